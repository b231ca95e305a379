"""What rests on absence: an answer that never came. Where the capture itself is at fault, nobody can tell, and a finding says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpscope.rules.base import Severity
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import plural

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection

WEAKER: Final = {
    Severity.ERROR: Severity.WARNING,
    Severity.WARNING: Severity.NOTE,
    Severity.NOTE: Severity.NOTE,
}


def doubt(conn: Connection) -> str:
    """Why something may have happened that the capture does not show; "" if nothing speaks for that."""
    if conn.lossy and not conn.one_sided:
        sides = (transfer_of(conn.client), transfer_of(conn.server))
        missing = sum(side.trouble.unseen_bytes + side.trouble.hole_bytes_lost for side in sides)
        return f"it lacks {plural(missing, 'byte')} of this connection"
    if conn.frames_dropped > 0:
        return f"{plural(conn.frames_dropped, 'frame')} dropped"
    if conn.file_damaged:
        return "damaged parts of the file were stepped over"
    if conn.cut_off:
        return "it ends early, while this connection goes on"
    return ""


def weigh(conn: Connection, text: str, severity: Severity, what: str = "it") -> tuple[str, Severity]:
    """The text and severity of a finding that ``what`` would refute: a step lower, with the reason, if that may be missing."""
    reason = doubt(conn)
    if not reason:
        return text, severity
    return f"{text}, or the capture lost {what}: {reason}", WEAKER[severity]
