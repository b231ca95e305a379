"""TS9xx, the capture itself: what it lacks takes the proof away from everything that rests on absence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from tcpscope.rules.base import TLS_HELLO_CUT, Context, FactRule, Finding, Rule, Seen, Severity
from tcpscope.rules.verdicts import transfer_of
from tcpscope.rules.words import frames, opening, party, plural, span
from tcpscope.state.facts import ACK_OF_UNSEEN

if TYPE_CHECKING:
    from tcpscope.pipeline import CaptureFacts
    from tcpscope.state.connection import Connection


class CaptureDamaged(Rule):
    """The capture file ends in the middle or is damaged.

    What it does:
        Reports a file whose last record is cut off, or that holds something which is no record. What was read up to
        there is judged; with --salvage the next records that follow each other are looked for, and judged too.

    Why it matters:
        Connections that go on behind the damage look as if they had stopped; findings about them that rest on absence
        say so, and are a step less severe.

    Example:
        the file ends 20 bytes into frame 4,711

    How to fix:
        Stop the capture in order before copying the file (Ctrl-C, not kill -9), and see that the disk was not full.

    References:
        RFC 9293 section 3.3.2: states are followed from segment to segment.
    """

    code: ClassVar[str] = "TS901"
    name: ClassVar[str] = "capture-damaged"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.3.2"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """Where, and what is wrong."""
        if capture.complete:
            return
        if not capture.damage:
            places = plural(capture.gap_count, "damaged place")
            yield self.capture_finding(
                f"The capture has {places}: {plural(capture.skipped_bytes, 'byte')} could not be read as frames and "
                "were stepped over, so frames are missing there",
                f"frame.number <= {max(1, capture.frames)}",
                count=capture.gap_count,
            )
            return
        where = f" at byte {capture.damage_offset:,}" if capture.damage_offset >= 0 else ""
        yield self.capture_finding(
            f"The capture is not complete{where}: {capture.damage or 'it ends too early'}; "
            f"{plural(capture.frames, 'frame')} before that could be read",
            f"frame.number == {max(1, capture.frames)}",
            frames=[capture.frames],
        )


class AcknowledgedBytesNotCaptured(FactRule):
    """Bytes were acknowledged that the capture does not contain.

    What it does:
        Compares acknowledgements with the data in the capture, for each connection and in all. What the receiver
        acknowledged did arrive, so it is the capture that lacks it.

    Why it matters:
        The network did not lose these bytes. Findings of this connection that rest on something being absent are left
        out or weakened; a tool that does not look takes them for network loss.

    Example:
        frame 9   server > client   bytes 1 to 1460
        frame 10  client > server   ACK 5841   (1461 to 5840 are not in the file)

    How to fix:
        Use a faster capture host or disk, a larger buffer (tcpdump -B), a capture filter, or a smaller snap length; at
        a mirror port, mind that both directions together may exceed its speed.

    References:
        RFC 9293 section 3.4: an acknowledgement covers all bytes before it.
    """

    code: ClassVar[str] = "TS902"
    name: ClassVar[str] = "acknowledged-bytes-not-captured"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.4"
    kinds: ClassVar[tuple[int, ...]] = (ACK_OF_UNSEEN,)

    def say(self, seen: Seen, conn: Connection, ctx: Context) -> Finding | None:
        """How many of this connection, if any are still missing at its end."""
        missing = transfer_of(conn.side(seen.side)).trouble.unseen_bytes
        if missing <= 0 or conn.one_sided:
            return None
        text = (
            f"The capture lacks {plural(missing, 'byte')} of {party(conn, seen.side)} that the other side "
            f"acknowledged ({frames(seen.frames, seen.count)}): the capture lost them, not the network"
        )
        return self.about(conn, seen, opening(text))

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many in all."""
        if capture.unseen_bytes <= 0:
            return
        yield self.capture_finding(
            f"The capture lacks {plural(capture.unseen_bytes, 'byte')} that their receivers acknowledged: the capture "
            "lost them, not the network, "
            "so what seems to be absent may have been there",
            "tcp.analysis.ack_lost_segment || tcp.analysis.lost_segment",
            severity=Severity.WARNING,
        )


class OneDirectionOnly(Rule):
    """Connections were captured in one direction only.

    What it does:
        Counts connections of which the capture has one side's segments only although the other side must have
        answered.

    Why it matters:
        Nothing can be said about answers, round trips and losses of these connections.

    Example:
        SYN, ACK and data of the client; no segment of the server

    How to fix:
        Capture where both directions pass: with asymmetric routes near one of the hosts; at a mirror port, mirror both
        directions.

    References:
        RFC 9293 section 3.4: acknowledgements prove that the other side answered.
    """

    code: ClassVar[str] = "TS903"
    name: ClassVar[str] = "one-direction-only"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.4"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many of all."""
        if capture.one_sided_connections <= 0:
            return
        yield self.capture_finding(
            f"{capture.one_sided_connections:,} of {plural(capture.connections, 'connection')} "
            f"{'was' if capture.one_sided_connections == 1 else 'were'} captured in one direction only, and cannot be "
            "judged as a whole",
            "tcp.analysis.ack_lost_segment",
            count=capture.one_sided_connections,
        )


class SnapLengthCutHeaders(Rule):
    """The capture cut frames so short that TCP headers are incomplete.

    What it does:
        Counts segments whose TCP options the snap length cut off.

    Why it matters:
        Without the options of the SYNs the window scale is unknown, and SACK and timestamps cannot be followed.

    Example:
        snap length 60, TCP header of 40 bytes behind 34 bytes of Ethernet and IP

    How to fix:
        Capture at least 128 bytes of each frame (tcpdump -s 128; more behind tunnels or with IPv6 extensions).

    References:
        RFC 9293 section 3.1: the header and its length.
        RFC 7323 section 2.2: the window scale option of the SYN.
    """

    code: ClassVar[str] = "TS904"
    name: ClassVar[str] = "snap-length-cut-headers"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.1"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many."""
        if capture.cut_headers <= 0:
            return
        yield self.capture_finding(
            f"The snap length cut the TCP header of {plural(capture.cut_headers, 'segment')}, so options are missing "
            "and windows may be misread",
            "tcp && frame.len > frame.cap_len",
            count=capture.cut_headers,
        )


class ClockWentBackwards(Rule):
    """The capture's clock stepped back.

    What it does:
        Counts frames with an earlier time than a frame before them, and the largest step.

    Why it matters:
        Round-trip times, pauses and waiting times across such a step are wrong, and states that depend on time
        (TIME-WAIT) may be misjudged. Small steps come from multi-queue network cards or from merged files.

    Example:
        frame 9   12:00:01.500
        frame 10  12:00:01.200

    How to fix:
        Sort the file by time (reordercap), merge files with mergecap, and do not let NTP step the clock during a
        capture.

    References:
        RFC 9293 section 3.8.1: what is measured in time.
    """

    code: ClassVar[str] = "TS905"
    name: ClassVar[str] = "clock-went-backwards"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.8.1"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How often, and how far."""
        if capture.clock_back_count <= 0:
            return
        yield self.capture_finding(
            f"The time of {plural(capture.clock_back_count, 'frame')} lies before that of an earlier one, by up to "
            f"{span(capture.clock_back_max_ns)} "
            f"(frame {capture.clock_back_frame}): durations across it are not reliable",
            "frame.time_delta < 0",
            frames=[capture.clock_back_frame],
            count=capture.clock_back_count,
        )


class FramesDroppedByCapture(Rule):
    """The capturing side lost frames, by its own account.

    What it does:
        Reports the number of dropped frames that a pcapng file states in its interface statistics, or beside its
        packets. Findings that rest on absence are a step less severe then, and say so. Most programs write the
        statistics at the end of the file: a connection that was over long before (closed and past 2 MSL, or idle) has
        been judged by then, without them.

    Why it matters:
        What the capture does not show may have been there: findings that rest on absence lose their proof.

    Example:
        interface statistics: 120,000 received, 3,500 dropped

    How to fix:
        Use a faster capture host or disk, a larger buffer (dumpcap -B), a capture filter, or a smaller snap length.

    References:
        RFC 9293 section 3.4: sequence numbers show what is missing.
    """

    code: ClassVar[str] = "TS907"
    name: ClassVar[str] = "frames-dropped-by-capture"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 9293 section 3.4"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many."""
        if capture.dropped <= 0:
            return
        yield self.capture_finding(
            f"The capturing side dropped {plural(capture.dropped, 'frame')} (the file holds {capture.frames:,}): what "
            "seems to be absent may have been there",
            "tcp.analysis.ack_lost_segment || tcp.analysis.lost_segment",
            count=capture.dropped,
        )


class ConnectionsEvicted(Rule):
    """Connections were judged early because there were too many at once.

    What it does:
        Reports how many live connections were given up because of --max-connections, the longest idle ones first.

    Why it matters:
        What came later on these connections was counted as something new, so verdicts on them may be incomplete.

    Example:
        --max-connections 100000, 250,000 connections open at once

    How to fix:
        Raise --max-connections if there is memory, or filter the capture.

    References:
        RFC 9293 section 3.3.2: states are followed from segment to segment.
    """

    code: ClassVar[str] = "TS908"
    name: ClassVar[str] = "connections-evicted"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 9293 section 3.3.2"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many."""
        if capture.evicted <= 0:
            return
        yield self.capture_finding(
            f"{plural(capture.evicted, 'idle connection')} {'was' if capture.evicted == 1 else 'were'} judged before "
            "the end of the capture because more than "
            f"{ctx.options.max_connections:,} were open at once",
            "tcp",
            count=capture.evicted,
        )


class FramesCutByCapture(Rule):
    """Frames were not captured in full length.

    What it does:
        Counts frames of which the file holds fewer bytes than were on the wire.

    Why it matters:
        TCP can be judged as long as its headers are there (TS904 says when they are not), but contents cannot: TLS
        messages in the part that is cut off are not seen.

    Example:
        snap length 96, frames of 1,514 bytes

    How to fix:
        Capture whole frames if TLS is to be judged (tcpdump -s 0, the default today).

    References:
        RFC 8446 section 5.1: TLS messages span whole segments.
    """

    code: ClassVar[str] = "TS909"
    name: ClassVar[str] = "frames-cut-by-capture"
    severity: ClassVar[Severity] = Severity.NOTE
    rfc: ClassVar[str] = "RFC 8446 section 5.1"

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many of all."""
        if capture.truncated_frames <= 0:
            return
        yield self.capture_finding(
            f"{plural(capture.truncated_frames, 'frame')} of {capture.frames:,} "
            f"{'was' if capture.truncated_frames == 1 else 'were'} not captured in full "
            "length, so contents such as TLS messages are partly missing",
            "frame.len > frame.cap_len",
            count=capture.truncated_frames,
        )


class TlsHelloCut(Rule):
    """The capture cut a TLS hello.

    What it does:
        Reports ClientHellos and ServerHellos of which the capture holds only the beginning, because the snap length
        cut their frames.

    Why it matters:
        The hellos say what was offered and what was chosen: version, cipher suite, server name. What the rest says is
        not known, so the choice cannot be judged, and fingerprints (JA3, JA4) are missing.

    Example:
        snap length 128; a ClientHello of 517 bytes behind 66 bytes of headers

    How to fix:
        Capture whole frames if TLS is to be judged (tcpdump -s 0, the default today). Hellos take up to 2,000 bytes,
        but come first: 10 or 20 whole frames of each connection suffice.

    References:
        RFC 8446 section 4.1.2: ClientHello.
        RFC 8446 section 4.1.3: ServerHello.
    """

    code: ClassVar[str] = "TS913"
    name: ClassVar[str] = "tls-hello-cut"
    severity: ClassVar[Severity] = Severity.WARNING
    rfc: ClassVar[str] = "RFC 8446 section 4.1.2"
    occasions: ClassVar[int] = TLS_HELLO_CUT

    def judge(self, conn: Connection, ctx: Context) -> Iterable[Finding]:
        """Whose."""
        tls = conn.tls
        if tls is None:
            return
        for side, frame in ((0, tls.cut_hello0), (1, tls.cut_hello1)):
            if frame:
                hello = "ClientHello" if side == tls.client_side else "ServerHello"
                text = (
                    f"the snap length cut the {hello} of {party(conn, side)} (frame {frame}), so what it says behind "
                    "the cut cannot be judged"
                )
                yield self.finding(conn, side, opening(text), [frame], severity=Severity.NOTE)

    def judge_capture(self, capture: CaptureFacts, ctx: Context) -> Iterable[Finding]:
        """How many in all."""
        if capture.cut_hellos <= 0:
            return
        where = frames(capture.cut_hello_frames, capture.cut_hellos)
        yield self.capture_finding(
            f"The snap length cut {plural(capture.cut_hellos, 'TLS hello')} ({where}): what was offered and chosen there "
            "is not known",
            "tls.handshake && frame.len > frame.cap_len",
            frames=capture.cut_hello_frames,
            count=capture.cut_hellos,
        )
