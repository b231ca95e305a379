"""Zeek's history of a connection, one letter an event, and the verdict conn_state.

Upper case is the originator's, lower case the responder's. S: SYN, H: SYN with ACK, A: pure ACK, D: data, F: FIN,
R: RST, C: bad checksum, T: retransmitted data, W: zero window, G: gap in the data, I: FIN with RST, Q: SYN with FIN or
RST, ^: roles swapped.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.zeek_endpoint import (
    CLOSED,
    ESTABLISHED,
    INACTIVE,
    PARTIAL,
    RESET,
    SYN_ACK_SENT,
    SYN_SENT,
    ZeekEndpoint,
)
from tcpscope.wire.segment import ACK, FIN, RST, SYN, Segment

MAX_HISTORY: Final = 1000
"""Letters kept. Zeek has no limit; a hostile sender could make it write one letter a segment."""

# What was written already: in the low bits for the originator, shifted for the responder.
SEEN_SYN: Final = 0x01
SEEN_FIN: Final = 0x02
SEEN_RST: Final = 0x04
SEEN_FIN_RST: Final = 0x08
SEEN_DATA: Final = 0x10
SEEN_ACK: Final = 0x20
SEEN_MIXED: Final = 0x40
RESPONDER_SHIFT: Final = 8


class ZeekHistory:
    """The letters so far. ``seen`` belongs to the roles, not to the sides: swapping roles leaves it as it is."""

    def __init__(self) -> None:
        self.text: str = ""
        self.seen: i64 = 0

    def write(self, letter: str) -> None:
        """Append a letter as it is."""
        if len(self.text) < MAX_HISTORY:
            self.text += letter

    def write_scaled(self, side: ZeekEndpoint, letter: str, count: i64) -> None:
        """Write the letter for the first, tenth, hundredth … time."""
        while count >= 10 and count % 10 == 0:
            count //= 10
        if count == 1:
            self._write_for(side, letter)

    def write_flags(self, sender: ZeekEndpoint, seg: Segment, relative: i64) -> None:
        """Write the letter for a segment's flags, if it is due. ``relative``: its relative sequence number."""
        bits: i64 = seg.flags
        kinds: i64 = bits & (SYN | FIN | RST)
        if kinds == 0:
            if seg.length > 0:
                self._write_once(sender, SEEN_DATA, "D")
            elif bits & ACK:
                self._write_once(sender, SEEN_ACK, "A")
        elif kinds == SYN:
            letter: str = "H" if bits & ACK else "S"
            if self._write_once(sender, SEEN_SYN, letter) and relative != sender.last_syn:
                self._write_for(sender, letter)
            sender.last_syn = relative
        elif kinds == FIN:
            # A repeated FIN may come with more or less data: its end tells whether it is the same.
            end: i64 = relative + seg.length
            if self._write_once(sender, SEEN_FIN, "F") and end != sender.last_fin:
                self._write_for(sender, "F")
            sender.last_fin = end
        elif kinds == RST:
            if self._write_once(sender, SEEN_RST, "R") and relative != sender.last_rst:
                self._write_for(sender, "R")
            sender.last_rst = relative
        elif kinds & FIN and kinds & RST:
            self._write_once(sender, SEEN_FIN_RST, "I")
        else:
            self._write_once(sender, SEEN_MIXED, "Q")

    def _write_for(self, side: ZeekEndpoint, letter: str) -> None:
        self.write(letter if side.is_orig else letter.lower())

    def _write_once(self, side: ZeekEndpoint, bit: i64, letter: str) -> bool:
        """Write the letter if this role never did; returns whether it had."""
        mask: i64 = bit if side.is_orig else bit << RESPONDER_SHIFT
        if self.seen & mask:
            return True
        self.seen |= mask
        self._write_for(side, letter)
        return False


def conn_state(originator: ZeekEndpoint, responder: ZeekEndpoint, history: str) -> str:
    """Zeek's conn_state for two sides as they stand."""
    o: i64 = originator.state
    r: i64 = responder.state
    o_absent: bool = o == INACTIVE or o == PARTIAL
    r_absent: bool = r == INACTIVE or r == PARTIAL
    if r == RESET:
        if o == SYN_SENT or o == SYN_ACK_SENT:
            return "REJ"
        if o == RESET and originator.size(responder) == 0 and responder.size(originator) == 0:
            return "REJ"
        return "RSTRH" if o_absent else "RSTR"
    if o == RESET:
        if not r_absent:
            return "RSTO"
        return "RSTOS0" if is_syn_then_reset(history) else "OTH"
    if o == CLOSED:
        if r == CLOSED:
            return "SF"
        return "SH" if r_absent else "S2"
    if r == CLOSED:
        return "SHR" if o_absent else "S3"
    if o == SYN_SENT and r == INACTIVE:
        return "S0"
    return "S1" if o == ESTABLISHED and r == ESTABLISHED else "OTH"


def is_syn_then_reset(history: str) -> bool:
    """Whether the originator began with a SYN and then sent an RST, with nothing of its own between but data."""
    letters: str = history[1:] if history.startswith("^") else history
    if not letters.startswith("S"):
        return False
    for letter in letters:
        if letter == "R":
            return True
        if letter in "HAFGIQ":
            return False
    return False
