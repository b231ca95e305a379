"""What the TS7xx rules share: one rule for each trouble of :mod:`tcpscope.crypto.certificates`, code TS7 plus its number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from tcpscope.crypto.certificates import Examined, Trouble
from tcpscope.rules.base import BOTH_SIDES, Context, Finding, Rule, Severity
from tcpscope.rules.words import frames, opening, party, plural

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection


class CertificateRule(Rule):
    """A rule about one trouble. ``sentence`` is its finding; the names in braces are those of the trouble's words.

    ``{who}`` is the side that sent the certificate, ``{peer}`` the other one.
    """

    trouble: ClassVar[int]
    sentence: ClassVar[str]

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """One finding for each side: about the first of its certificates that has the trouble; how many more is said."""
        examined = conn.tls.log.examined if conn.tls is not None and conn.tls.log is not None else None
        if not isinstance(examined, Examined):
            return
        for side in BOTH_SIDES:
            found = [one for one in examined.troubles if one.code == self.trouble and one.side == side]
            if not found:
                continue
            first = next((one for one in found if one.serious), found[0])
            more = f"; {plural(len(found) - 1, 'more certificate')} likewise" if len(found) > 1 else ""
            yield self.finding(
                conn,
                side,
                opening(self._say(first, conn) + more),
                [one.frame for one in found],
                frame=first.frame,
                time_ns=first.time_ns,
                count=len(found),
                severity=self.severity if first.serious else Severity.NOTE,
            )

    def _say(self, one: Trouble, conn: Connection) -> str:
        return self.sentence.format(
            who=party(conn, one.side), peer=party(conn, 1 - one.side), frame=frames([one.frame]), **one.words
        )
