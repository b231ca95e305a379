"""One row of Zeek's conn.log: what each segment does to the states of both sides and to the history."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcpscope.state.seq import diff
from tcpscope.state.zeek_endpoint import (
    CLOSED,
    ESTABLISHED,
    INACTIVE,
    NEVER,
    PARTIAL,
    RESET,
    SYN_ACK_SENT,
    SYN_SENT,
    ZeekEndpoint,
)
from tcpscope.state.zeek_history import ZeekHistory
from tcpscope.wire.segment import ACK, CHECKSUM_BAD, FIN, RST, SYN, Segment

SECOND: Final = 1_000_000_000
ATTEMPT_DELAY: Final = 5 * SECOND
CLOSE_DELAY: Final = 5 * SECOND
LINGER: Final = 5 * SECOND
SYN_TIMEOUT: Final = 5 * SECOND
SESSION_TIMER: Final = 6 * SECOND
HANDSHAKE_TIMEOUT: Final = 60 * SECOND
INACTIVITY_TIMEOUT: Final = 300 * SECOND
LOGIN_TIMEOUT: Final = 3600 * SECOND  # FTP, SSH, Telnet, rlogin
NO_TIMER: Final = -1

LARGE_JUMP: Final = 1 << 20  # bytes; a SYN, an RST or an acknowledgement of 0 that jumps further is not believed


class ZeekConnection:
    """A row in the making. ``first`` is the side that sent the first segment, whichever role it has."""

    def __init__(self, key: bytes, first: ZeekEndpoint, second: ZeekEndpoint, seg: Segment, clock: i64) -> None:
        self.key: bytes = key  # of the first segment
        self.first: ZeekEndpoint = first
        self.second: ZeekEndpoint = second
        self.first_frame: i64 = seg.frame
        self.last_frame: i64 = seg.frame
        self.first_time: i64 = seg.time_ns
        self.last_time: i64 = seg.time_ns
        self.history: ZeekHistory = ZeekHistory()
        self.is_partial: bool = False
        self.originator_seen: bool = False
        self.responder_seen: bool = False
        self.close_deferred: bool = False
        # Whether the timers that look for a dead connection still run; an RST stops them.
        self.is_active: bool = True
        self.is_finished: bool = False  # both sides closed, or reset: only ``delete_at`` counts now
        self.inactivity: i64 = HANDSHAKE_TIMEOUT
        self.attempt_at: i64 = NO_TIMER
        self.delete_at: i64 = NO_TIMER
        self.check_at: i64 = clock + SYN_TIMEOUT
        self.half_closed_check_at: i64 = NO_TIMER

    def originator(self) -> ZeekEndpoint:
        """The side that is originator now."""
        return self.first if self.first.is_orig else self.second

    def responder(self) -> ZeekEndpoint:
        """The side that is responder now."""
        return self.second if self.first.is_orig else self.first

    # Timers

    def has_ended(self, now: i64, before: i64) -> bool:
        """Whether a timer ended the connection by ``now``. ``before`` is the time of the frame before this one.

        Zeek runs its timers when a frame arrives. Those due up to ``before`` are taken to have run when they were due,
        as if frames had come without pause.
        """
        if self.is_finished:
            return now >= self.delete_at
        if self.last_time + self.inactivity <= now:
            return True
        if self.attempt_at != NO_TIMER and self.attempt_at <= now:
            self.attempt_at = NO_TIMER
            state: i64 = self.originator().state
            is_waiting: bool = state == SYN_SENT or state == SYN_ACK_SENT
            if is_waiting and self.is_active and self.responder().state == INACTIVE:
                return True
        return self.is_active and self._is_idle_and_dead(now, before)

    def _is_idle_and_dead(self, now: i64, before: i64) -> bool:
        """Run the timers that look for a connection that died without saying so."""
        latest: i64 = NO_TIMER
        if self.check_at <= now:
            latest = last_run(self.check_at, now, before)
            self.check_at = latest + SESSION_TIMER
        if NO_TIMER < self.half_closed_check_at <= now:
            ran: i64 = last_run(self.half_closed_check_at, now, before)
            self.half_closed_check_at = ran + SESSION_TIMER
            if ran > latest:
                latest = ran
        return latest != NO_TIMER and latest - self.last_time > LINGER and self._looks_dead()

    def _looks_dead(self) -> bool:
        first = self.first
        second = self.second
        if first.state == INACTIVE and second.state == INACTIVE:
            return True
        if not first.did_close and not second.did_close:
            return False
        if first.did_close and second.did_close:
            return True
        if first.state == RESET or second.state == RESET:
            return True
        return first.state == INACTIVE or second.state == INACTIVE

    def is_reuse(self, seg: Segment) -> bool:
        """Whether a segment with SYN begins a new connection although this one has not ended."""
        compared = self.originator()
        if seg.flags & ACK:
            if compared.state != INACTIVE:
                return False
            compared = self.responder()
        if self.first.did_close or self.second.did_close:
            return True
        if seg.seq == compared.start:
            return False
        responder = self.responder()
        # SYN and SYN-ACK captured in the wrong order are no reuse.
        is_swapped: bool = compared.state == SYN_ACK_SENT and responder.state == INACTIVE and seg.seq == responder.start
        return bool(seg.flags & ACK) or not is_swapped

    # Segments

    def process(self, seg: Segment, sender: ZeekEndpoint, peer: ZeekEndpoint, clock: i64) -> None:
        """Take in one segment of this connection."""
        self.last_frame = seg.frame
        if seg.header_cut:
            return
        if seg.checksum == CHECKSUM_BAD:
            sender.corrupt += 1
            self.history.write_scaled(sender, "C", sender.corrupt)
            return
        bits: i64 = seg.flags
        is_orig: bool = sender.is_orig
        self._note_partial(bits, is_orig)
        length: i64 = 0 if bits & RST else seg.length
        if bits & SYN:
            length += 1
        if bits & FIN:
            length += 1
        end: i64 = (seg.seq + length) & 0xFFFFFFFF
        self._begin_counting(sender, seg, end)
        relative: i64 = sender.relative(seg.seq)
        if self.history.text == "H" and not bits & (SYN | FIN | RST) and (bits & ACK or seg.length > 0):
            # It began with a SYN-ACK and goes on: the sender of that was the responder.
            self.swap_roles()
            self.history.text = "^h"
        self.history.write_flags(sender, seg, relative)
        if seg.window == 0 and not bits & RST and peer.state != CLOSED and sender.state != RESET:
            sender.zero_windows += 1
            self.history.write_scaled(sender, "W", sender.zero_windows)
        if not self.first.did_close or not self.second.did_close:
            self.last_time = seg.time_ns
        if bits & FIN:
            sender.fin_seen = True
            sender.fin_relative = relative + length if relative + length >= 0 else NEVER
        ack: i64 = 0
        if bits & ACK:
            ack = self._note_ack(seg, peer)
        self._note_last(sender, seg, end)
        closes: bool = self._change_state(seg, sender, peer, is_orig, clock)
        if bits & ACK:
            self._acknowledge(peer, sender, ack)
        if is_orig:
            self.originator_seen = True
        else:
            self.responder_seen = True
        if 0 < seg.length <= seg.captured and not bits & RST and relative >= 0:
            sender.receive(relative + 1 if bits & SYN else relative, seg.length, peer)
        self._check_end(sender, peer)
        if closes:
            self._close(sender, peer)

    def _note_partial(self, bits: i64, is_orig: bool) -> None:
        """A connection whose SYN was not captured is partial."""
        if is_orig:
            if not self.originator_seen:
                self.is_partial = not bits & SYN or bits & ACK != 0
        elif not self.responder_seen and not self.is_partial:
            self.is_partial = not bits & SYN

    def _begin_counting(self, sender: ZeekEndpoint, seg: Segment, end: i64) -> None:
        """Set where the sender's numbers start: at its first segment, and anew at a SYN."""
        state: i64 = sender.state
        if state == INACTIVE:
            if seg.flags & SYN:
                sender.begin(seg.seq, end)
            else:
                sender.begin(seg.seq - 1, seg.seq)
        elif seg.flags & SYN:
            if state == SYN_SENT or state == SYN_ACK_SENT:
                if seg.seq != sender.start:
                    sender.begin(seg.seq, end)
            elif state != CLOSED and (state != RESET or sender.previous == INACTIVE):
                sender.begin(seg.seq, end)

    def _note_ack(self, seg: Segment, peer: ZeekEndpoint) -> i64:
        """Take over the acknowledgement number; returns it relative to the peer's start, 0 if it lies before that."""
        if peer.state == INACTIVE:
            peer.begin(seg.ack - 1, seg.ack - 1)
            return 1
        relative: i64 = peer.relative_ack(seg.ack)
        if relative < 0:
            return 0
        ahead: i64 = diff(seg.ack, peer.ack)
        if ahead > 0 and not seg.flags & RST and not (seg.ack == 0 and ahead > LARGE_JUMP):
            peer.advance_ack(seg.ack)
        return relative

    def _note_last(self, sender: ZeekEndpoint, seg: Segment, end: i64) -> None:
        """Take over the end of the segment as the sender's highest number, or call it a retransmission."""
        ahead: i64 = diff(end, sender.last)
        if seg.flags & (SYN | RST) and (ahead > LARGE_JUMP or ahead < -LARGE_JUMP):
            return
        if seg.flags & FIN and sender.last == (sender.start + 1) & 0xFFFFFFFF:
            # Of more than 2 GiB only the SYN and the FIN may have been captured.
            sender.advance_last(end)
        elif sender.state == RESET:
            return
        elif ahead > 0:
            sender.advance_last(end)
        elif seg.length > 0:
            sender.retransmitted += 1
            self.history.write_scaled(sender, "T", sender.retransmitted)

    def _acknowledge(self, receiver: ZeekEndpoint, acknowledger: ZeekEndpoint, ack: i64) -> None:
        holes: i64 = receiver.acknowledge(ack, self.is_partial)
        if holes < 0:
            return
        if holes > 0 and receiver.is_clean() and acknowledger.is_clean():
            while holes > 0:
                receiver.gaps += 1
                self.history.write_scaled(receiver, "G", receiver.gaps)
                holes -= 1
        self._check_end(receiver, acknowledger)

    # State machine

    def _set_state(self, side: ZeekEndpoint, peer: ZeekEndpoint, state: i64) -> None:
        if state == side.state:
            return
        if state >= PARTIAL and side.state < PARTIAL and peer.state < PARTIAL:
            self.inactivity = INACTIVITY_TIMEOUT
        side.previous = side.state
        side.state = state

    def _change_state(self, seg: Segment, sender: ZeekEndpoint, peer: ZeekEndpoint, is_orig: bool, clock: i64) -> bool:
        """One step of the sender's state machine; returns whether the sender's direction ends."""
        bits: i64 = seg.flags
        state: i64 = sender.state
        if state == INACTIVE:
            return self._leave_inactive(seg, sender, peer, is_orig, clock)
        if not bits & (SYN | FIN | RST) or state == RESET:
            return False
        if state == CLOSED:
            if bits & RST and peer.state != CLOSED:
                self._set_state(sender, peer, RESET)
                return not sender.did_close
            return False
        if state == SYN_SENT or state == SYN_ACK_SENT:
            if bits & FIN:
                self._set_state(sender, peer, CLOSED)
            if bits & RST:
                self._set_state(sender, peer, RESET)
                self.is_active = False
            return bits & (FIN | RST) != 0
        if bits & SYN and not bits & ACK and state == PARTIAL and peer.state == INACTIVE:
            self._set_state(sender, peer, SYN_SENT)
        if bits & FIN and not bits & RST:
            self._set_state(sender, peer, CLOSED)
            if peer.state == RESET and peer.previous == CLOSED:
                self._set_state(peer, sender, CLOSED)  # FIN and RST of one side, FIN of the other: a normal end
        if bits & RST:
            self._set_state(sender, peer, RESET)
            if peer.state != RESET or peer.previous != ESTABLISHED:
                self.is_active = False
        return bits & (FIN | RST) != 0

    def _leave_inactive(
        self, seg: Segment, sender: ZeekEndpoint, peer: ZeekEndpoint, is_orig: bool, clock: i64
    ) -> bool:
        """The first segment of a side; returns whether its direction ends with it."""
        bits: i64 = seg.flags
        if bits & SYN:
            if is_orig:
                self._set_state(sender, peer, SYN_ACK_SENT if bits & ACK else SYN_SENT)
                self.attempt_at = clock + ATTEMPT_DELAY
            else:
                self._answer_syn(seg, sender, peer)
        if bits & FIN:
            self._set_state(sender, peer, CLOSED)
        if bits & RST:
            self._set_state(sender, peer, RESET)
        if sender.state == INACTIVE:
            if not is_orig and seg.length == 0 and self.originator().state == SYN_SENT:
                return False  # some hosts acknowledge a SYN before they answer it
            if bits & ACK and peer.state == ESTABLISHED:
                self._set_state(sender, peer, ESTABLISHED)  # only its SYN was not captured
                self.is_partial = False
                if is_orig:
                    self.originator_seen = True
                else:
                    self.responder_seen = True
            else:
                self._set_state(sender, peer, PARTIAL)
        return bits & (FIN | RST) != 0

    def _answer_syn(self, seg: Segment, sender: ZeekEndpoint, peer: ZeekEndpoint) -> None:
        """A SYN of the responder, with ACK or without. Zeek does not check what it acknowledges."""
        if not seg.flags & ACK and peer.state == SYN_ACK_SENT and seg.seq == sender.start:
            # The SYN-ACK was captured before the SYN that it answers.
            self.swap_roles()
            self._set_state(peer, sender, ESTABLISHED)
            self.originator_seen = True
        if peer.state == SYN_SENT:
            self._set_state(peer, sender, ESTABLISHED)
        self._set_state(sender, peer, ESTABLISHED)
        if peer.state != PARTIAL and is_login_port(self._responder_port()):
            self.inactivity = LOGIN_TIMEOUT

    # End

    def _check_end(self, side: ZeekEndpoint, peer: ZeekEndpoint) -> None:
        """Once, when a side has ended and nothing of it is outstanding: a close that waited for it happens now."""
        if side.did_eof or not (side.fin_seen or side.state == CLOSED or side.state == RESET):
            return
        if side.is_pending(peer):
            return
        side.did_eof = True
        if self.close_deferred:
            self._close(side, peer)
            self.close_deferred = False

    def _close(self, side: ZeekEndpoint, peer: ZeekEndpoint) -> None:
        """The side ended; the connection is finished if the other one is, too, or cannot answer."""
        if side.is_pending(peer):
            self.close_deferred = True
            return
        self.close_deferred = False
        if side.did_close:
            return
        side.did_close = True
        if side.state == RESET or peer.did_close or peer.state == INACTIVE:
            self.is_finished = True
            self.delete_at = self.last_time + CLOSE_DELAY
        elif side.previous != INACTIVE:
            self.half_closed_check_at = self.last_time + SESSION_TIMER

    def _responder_port(self) -> i64:
        """The responder's port, from the key."""
        o: i64 = len(self.key) - 2 if self.first.is_orig else len(self.key) - 4
        high: i64 = self.key[o]
        low: i64 = self.key[o + 1]
        return high << 8 | low

    def swap_roles(self) -> None:
        """Originator becomes responder and the other way round."""
        self.first.is_orig = not self.first.is_orig
        self.second.is_orig = not self.second.is_orig
        seen: bool = self.originator_seen
        self.originator_seen = self.responder_seen
        self.responder_seen = seen
        self.is_partial = False
        self.history.write("^")


def is_login_port(port: i64) -> bool:
    """FTP, SSH, Telnet and rlogin: Zeek lets these connections be idle for an hour."""
    return port == 21 or port == 22 or port == 23 or port == 513


def last_run(due: i64, now: i64, before: i64) -> i64:
    """When a timer due at ``due`` and again SESSION_TIMER after each run last ran, not later than ``now``."""
    if due > before:
        return now
    due += (before - due) // SESSION_TIMER * SESSION_TIMER
    return now if due + SESSION_TIMER <= now else due
