"""From what a connection's dialogue was to :class:`tcpscope.report.model.CarrierReport`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpscope.report.model import CarrierReport
from tcpscope.rules.tls_dialogue import answer_name, request_name, text_of
from tcpscope.state.dialogue import ANSWER_NONE, PROTOCOL_NAMES, PROXY, REFUSED, REPLIES

if TYPE_CHECKING:
    from tcpscope.state.connection import Connection
    from tcpscope.state.dialogue import Dialogue


def carrier_report(conn: Connection) -> CarrierReport | None:
    """What led to TLS, or should have; None where nobody asked for it and TLS came without, or not at all."""
    tls = conn.tls
    carrier = tls.carrier if tls is not None else None
    told = carrier.told() if carrier is not None else None
    if tls is None or carrier is None or told is None or told.protocol == REPLIES:
        return None
    if not told.request_frame and not (tls.recognised and tls.preamble):
        return None
    parts = [carrier.proxy] if carrier.proxy is not None and carrier.proxy is not told else []
    destination = carrier.destination()
    return CarrierReport(
        protocol=PROTOCOL_NAMES[told.protocol],
        offer_frame=int(told.offer_frame) or None,
        request_frame=int(told.request_frame) or None,
        answer_frame=int(told.answer_frame) or None,
        accepted=None if told.answer == ANSWER_NONE or told.protocol == PROXY else told.answer != REFUSED,
        destination=text_of(destination) if destination else None,
        lines=tuple(line for one in (*parts, told) for line in _lines(one)),
    )


def _lines(dialogue: Dialogue) -> list[tuple[int, str]]:
    """The request and its answer with their frames."""
    lines = [(int(dialogue.request_frame), request_name(dialogue))] if dialogue.request_frame else []
    if dialogue.answer_frame:
        lines.append((int(dialogue.answer_frame), answer_name(dialogue)))
    return lines
