"""Target of the state layer: segments whose every number an attacker chose, straight into the flow table and the other views.

A sample is a list of :class:`Op`, packed: the segments of a recorded capture or of a scenario. Mutants set their numbers
to others that occur near by, repeat them by the thousand, leave them out, swap them and weave two captures into each other.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from random import Random
from typing import Final, NamedTuple

from tcpscope.options import Options
from tcpscope.pipeline import Pipeline
from tcpscope.report.build import connection_report
from tcpscope.report.json_connection import connection_json
from tcpscope.report.style import Style
from tcpscope.report.text_connection import connection_text
from tcpscope.rules import judge_for
from tcpscope.rules.quiet import Quiet
from tcpscope.rules.symptoms import NONE, symptom
from tcpscope.state.connection import Connection
from tcpscope.state.endpoint import Endpoint, Transfer
from tcpscope.state.facts import KEPT, KIND_COUNT
from tcpscope.state.holes import MAX_HOLES
from tcpscope.state.keys import canonical_key, reverse_key
from tcpscope.state.path import MAX_STEPS
from tcpscope.state.transfer import MAX_OUTSTANDING
from tcpscope.state.transitions import STATE_NAMES, TABLE
from tcpscope.state.wireshark import FLAG_NAMES, WiresharkAnalyzer
from tcpscope.state.zeek import ZeekRow
from tcpscope.wire.icmp import IcmpError
from tcpscope.wire.segment import ABSENT, CHECKSUM_BAD, SYN, Segment
from tests.fuzz.recorded import each_segment
from tests.fuzz.target import Digest, sample_captures, scenario_captures
from tests.tls_builder import LAWFUL

SECOND: Final = 1_000_000_000
MAX_OPS: Final = 15_000
OPS_OF_A_SAMPLE: Final = 1500
REPORTED, SHOWN = 500, 50  # connections whose report is made, and made as text, too
MAX_TIME: Final = (1 << 62) - 1

# Both directions of connections; the last two are a host that talks to itself, on two ports and on one.
KEYS: Final = [
    *(
        bytes([10, 0, 0, 1 + n // 3, 10, 0, 0, 99]) + struct.pack("!HH", 40000 + n, port)
        for n, port in enumerate((80, 443, 443, 5000, 21, 22, 25, 8080, 443, 40009))
    ),
    *(
        b"\xfd" + bytes([0] * 14) + b"\1" + b"\xfd" + bytes([0] * 14) + b"\2" + struct.pack("!HH", 50000 + n, 443)
        for n in range(4)
    ),
    bytes([10, 0, 0, 7] * 2) + struct.pack("!HH", 41000, 80),
    bytes([10, 0, 0, 7] * 2) + struct.pack("!HH", 41000, 41000),
]
HEADER: Final = bytes(20)
BLOB: Final = HEADER + b"".join(octets for talk in LAWFUL.values() for _, _, _, octets in talk().writes)[:60_000]

ICMP_TYPES: Final = (1, 2, 3, 11, 3, 3, 11, 4)  # errors of either version
FORM: Final = struct.Struct("<qBBBBHIIIHHiihhiqqhHBBIIIIIIIIH")


class Op(NamedTuple):
    """One segment, or one ICMP error about it (``kind`` 1). Fields are as in Segment; absent options are -1."""

    time_ns: int
    kind: int
    key: int
    back: int
    flags: int
    window: int
    seq: int
    ack: int
    length: int
    missing: int  # bytes of the payload that were not captured
    payload: int  # offset of the payload in BLOB
    ip_id: int
    mss: int
    window_scale: int
    sack_permitted: int
    fast_open: int
    ts_val: int
    ts_ecr: int
    mptcp: int
    urgent: int
    checksum: int
    sack_count: int
    left0: int
    right0: int
    left1: int
    right1: int
    left2: int
    right2: int
    left3: int
    right3: int
    encapsulation: int


NUMBERS_OF_SEQUENCE: Final = ("seq", "ack", "left0", "right0", "left1", "right1")
JUMPS: Final = (
    0,
    1,
    -1,
    2,
    -2,
    100,
    1448,
    -1448,
    65535,
    65536,
    1 << 20,
    1 << 24,
    (1 << 30) - 1,
    1 << 30,
    (1 << 31) - 1,
)
DELAYS: Final = (
    0,
    1,
    1000,
    10**6,
    2 * 10**8,
    SECOND,
    59 * SECOND,
    61 * SECOND,
    601 * SECOND,
    10_900 * SECOND,
    10**17,
    1 << 62,
)
FLAGS: Final = (0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x01, 0x00, 0x19, 0x03, 0x06, 0x13, 0xC2, 0x52, 0x3F, 0xFF)


def pack(ops: Sequence[Op]) -> bytes:
    """Segments as one sample."""
    return b"".join(FORM.pack(*op) for op in ops)


def unpack(data: bytes) -> list[Op]:
    """What :func:`pack` made; any bytes give segments."""
    return [Op(*values) for values in FORM.iter_unpack(data[: len(data) // FORM.size * FORM.size])]


def op_of(seg: Segment, key: int, back: bool) -> Op:
    """A recorded segment."""
    captured = seg.data[seg.payload : seg.payload + seg.captured]
    return Op(
        seg.time_ns,
        0,
        key,
        int(back),
        seg.flags & 0xFF,
        seg.window,
        seg.seq,
        seg.ack,
        seg.length,
        seg.length - seg.captured & 0xFFFF,
        max(0, BLOB.find(captured[:5]) - len(HEADER)),
        seg.ip_id,
        seg.mss,
        seg.window_scale,
        seg.sack_permitted,
        seg.fast_open,
        seg.ts_val,
        seg.ts_ecr,
        seg.mptcp & 0x7FFF,
        seg.urgent,
        0,
        seg.sack_count,
        seg.sack_left0,
        seg.sack_right0,
        seg.sack_left1,
        seg.sack_right1,
        seg.sack_left2,
        seg.sack_right2,
        seg.sack_left3,
        seg.sack_right3,
        0,
    )


def recorded(capture: bytes) -> bytes:
    """The segments of a capture; the connections take the keys in turn."""
    ops: list[Op] = []
    numbers: dict[bytes, tuple[int, bytes]] = {}

    def take(seg: Segment) -> None:
        number, first = numbers.setdefault(canonical_key(seg.key), (len(numbers) % len(KEYS), seg.key))
        if len(ops) < OPS_OF_A_SAMPLE:
            ops.append(op_of(seg, number, seg.key != first))

    each_segment(capture, take)
    return pack(ops)


@cache
def samples() -> list[bytes]:
    """Recorded captures and scenarios, those with segments."""
    found = [recorded(capture) for capture in (*sample_captures(), *scenario_captures())]
    return [sample for sample in dict.fromkeys(found) if sample]


# Mutants


def change(op: Op, ops: Sequence[Op], random: Random) -> Op:
    """One field of a segment set to something that may matter."""
    other = random.choice(ops)
    near = getattr(other, random.choice(NUMBERS_OF_SEQUENCE)) + random.choice(JUMPS) * random.choice((1, 1, -1))
    near &= 0xFFFFFFFF
    match random.randrange(16):
        case 0 | 1:
            return op._replace(seq=near)
        case 2 | 3:
            return op._replace(ack=near)
        case 4:
            return op._replace(flags=random.choice(FLAGS))
        case 5:
            return op._replace(flags=op.flags ^ (1 << random.randrange(8)))
        case 6:
            return op._replace(window=random.choice((0, 1, 1000, 65535, random.randrange(65536))))
        case 7:
            return op._replace(length=random.choice((0, 1, 2, 1448, 65495, (1 << 20) - 1)), missing=0)
        case 8:
            return op._replace(missing=random.randrange(65536))
        case 9:
            delay = random.choice(DELAYS) * random.choice((1, 1, 1, -1))
            return op._replace(time_ns=max(-MAX_TIME, min(MAX_TIME, op.time_ns + delay)))
        case 10:
            left, right = near, (near + random.choice(JUMPS)) & 0xFFFFFFFF
            count = random.randrange(5)
            blocks = {f"{end}{n}": (left, right)[end == "right"] for n in range(count) for end in ("left", "right")}
            return op._replace(sack_count=count, **blocks)
        case 11:
            scale, permitted = random.choice((-1, 0, 1, 7, 14)), random.choice((-1, 1))
            return op._replace(window_scale=scale, sack_permitted=permitted, mss=random.choice((-1, 0, 1, 536, 65535)))
        case 12:
            stamps = (-1, 0, other.ts_val, other.ts_ecr, 0xFFFFFFFF, other.ts_val + 1 & 0xFFFFFFFF)
            return op._replace(ts_val=random.choice(stamps), ts_ecr=random.choice(stamps))
        case 13:
            return op._replace(kind=random.choice((0, 1)), ip_id=random.choice((-1, 0, other.ip_id, other.ip_id + 1)))
        case 14:
            return op._replace(payload=random.randrange(len(BLOB)), fast_open=random.choice((-1, 0, 8, 40)))
        case _:
            return op._replace(key=random.choice((other.key, random.randrange(256))), back=random.randrange(2))


def repeated(op: Op, random: Random) -> list[Op]:
    """A segment many times, each with numbers a step further: the lists that follow it must stay bounded."""
    count = random.choice((2, 3, 5)) if random.random() < 0.7 else random.choice((10, 70, 150, 300, 300, 11_000))
    if op.flags & SYN:
        count = min(count, 300)  # each of them may begin a connection
    forward, acknowledged = random.choice((0, 0, 1, 1448, 3000, -1448)), random.choice((0, 0, 0, 1, 1448))
    delay, keys = random.choice((0, 1000, 10**6, SECOND)), random.choice((0, 0, 0, 1))
    return [
        op._replace(
            seq=(op.seq + n * forward) & 0xFFFFFFFF,
            ack=(op.ack + n * acknowledged) & 0xFFFFFFFF,
            left0=(op.left0 + n * forward) & 0xFFFFFFFF,
            right0=(op.right0 + n * forward) & 0xFFFFFFFF,
            time_ns=min(MAX_TIME, op.time_ns + n * delay),
            key=(op.key + n * keys) & 0xFF,
        )
        for n in range(count)
    ]


def make(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Segments changed, repeated, left out, moved, turned round, later, or with those of another capture in between."""
    ops = unpack(data) or unpack(others[0])
    for _ in range(random.choice((0, 1, 2, 4, 8, 20))):
        index = random.randrange(len(ops))
        match random.randrange(12):
            case 0 | 1 | 2 | 3:
                ops[index] = change(ops[index], ops, random)
            case 4:
                ops[index:index] = [change(ops[index], ops, random)]
            case 5:
                ops[index : index + 1] = repeated(ops[index], random)
            case 6 if len(ops) > 1:
                del ops[index : index + random.choice((1, 1, 1, 2, 10))]
                ops = ops or unpack(others[0])
            case 7:
                moved = ops.pop(index)
                ops.insert(max(0, index + random.choice((-3, -1, 1, 2, 40))), moved)
            case 8:
                start = max(0, index - random.choice((1, 5, 40)))
                ops[index:index] = ops[start:index]
            case 9:
                delay = random.choice(DELAYS)
                ops[index:] = [op._replace(time_ns=min(MAX_TIME, op.time_ns + delay)) for op in ops[index:]]
            case 10:
                other = unpack(random.choice(others))
                shift, key = ops[index].time_ns - other[0].time_ns, random.choice((0, 1))
                other = [op._replace(time_ns=op.time_ns + shift, key=(op.key + key) & 0xFF) for op in other]
                ops = sorted([*ops, *other], key=lambda op: op.time_ns) if random.random() < 0.5 else [*ops, *other]
            case _:
                ops[index] = ops[index]._replace(back=1 - (ops[index].back & 1))
    return pack(ops[:MAX_OPS])


# Runs


def fill(seg: Segment, op: Op, frame: int) -> None:
    """The segment as the decoder would give it."""
    index = op.key % len(KEYS)
    key = reverse_key(KEYS[index]) if op.back & 1 else KEYS[index]
    seg.key, seg.ip_version, seg.frame, seg.time_ns = key, 4 if len(key) == 12 else 6, frame, op.time_ns
    seg.src_port, seg.dst_port = struct.unpack("!HH", key[-4:])
    seg.seq, seg.ack, seg.flags, seg.window = op.seq, op.ack, op.flags, op.window
    seg.length = op.length & 0xFFFFF
    seg.payload = len(HEADER) + op.payload % (len(BLOB) - len(HEADER))
    seg.data = BLOB
    seg.captured = max(0, min(seg.length - op.missing, len(BLOB) - seg.payload))
    seg.ip_id = max(ABSENT, op.ip_id & 0xFFFF if op.ip_id >= 0 else ABSENT)
    seg.mss = ABSENT if op.mss < 0 else op.mss & 0xFFFF
    seg.window_scale = ABSENT if op.window_scale < 0 else op.window_scale & 0xFF
    seg.sack_permitted = 1 if op.sack_permitted > 0 else ABSENT
    seg.fast_open = ABSENT if op.fast_open < 0 else op.fast_open % 39
    seg.ts_val, seg.ts_ecr = (ABSENT if value < 0 else value & 0xFFFFFFFF for value in (op.ts_val, op.ts_ecr))
    seg.mptcp, seg.urgent, seg.checksum = op.mptcp & 0x7FFF, op.urgent, op.checksum % (CHECKSUM_BAD + 1)
    seg.sack_count = op.sack_count % 5
    seg.sack_left0, seg.sack_right0, seg.sack_left1, seg.sack_right1 = op.left0, op.right0, op.left1, op.right1
    seg.sack_left2, seg.sack_right2, seg.sack_left3, seg.sack_right3 = op.left2, op.right2, op.left3, op.right3
    seg.header_length, seg.ttl, seg.ecn = len(HEADER), 64, 0


def icmp_of(seg: Segment, op: Op) -> IcmpError:
    """An ICMP error that quotes the segment."""
    error = IcmpError()
    error.frame, error.time_ns, error.seq = seg.frame, seg.time_ns, seg.seq
    error.ip_version, error.key = seg.ip_version, seg.key
    error.type, error.code = ICMP_TYPES[op.flags & 7], op.window & 0xFF
    error.mtu = op.window if op.window > 0 else ABSENT
    error.reporter = bytes(4 if seg.ip_version == 4 else 16)
    return error


ALLOWED: Final = {(state, following) for state, _, following, _, _ in TABLE}
COUNTS: Final = (
    "payload_segments", "payload_bytes", "unique_bytes", "outstanding", "max_in_flight", "fin_count",
    "first_data_frame", "last_data_frame", "highest_frame", "fin_frame",
)  # fmt: skip
TROUBLES: Final = (
    "retransmitted_segments", "retransmitted_bytes", "out_of_order", "keep_alives", "window_probes", "after_peer_fin_bytes",
    "unseen_bytes", "hole_bytes_lost", "duplicate_acks", "duplicate_run", "zero_windows", "window_full", "rst_count",
    "rst_unacknowledged", "backoff", "rst_frame",
)  # fmt: skip


def check_transfer(t: Transfer) -> None:
    """What holds of a side at any time: bounded lists, no count below zero."""
    assert 0 <= t.outstanding <= MAX_OUTSTANDING
    assert t.trouble.holes is None or len(t.trouble.holes) <= MAX_HOLES


def check_side(end: Endpoint) -> list[object]:
    """What holds of a side at the end; returns what it shows."""
    assert end.segments >= 0
    assert -1 <= end.scale <= 14
    for number in (end.isn, end.base, end.nxt, end.una):
        assert -1 <= number < 1 << 32
    assert len(end.steps) <= MAX_STEPS
    path = [step.state for step in end.steps]
    for one, two in pairwise(path):
        assert (one, two) in ALLOWED, f"{STATE_NAMES[one]} > {STATE_NAMES[two]} is not in the table"
    assert len(path) in (0, MAX_STEPS) or path[-1] == end.state
    found: list[object] = [path, end.isn, end.base, end.nxt, end.una, end.scale]
    t = end.transfer
    if t is None:
        return found
    check_transfer(t)
    counts = [(name, getattr(t, name)) for name in COUNTS] + [(name, getattr(t.trouble, name)) for name in TROUBLES]
    for name, count in counts:
        assert count >= 0, f"{name} = {count}"
        found.append(count)
    assert t.unique_bytes + t.trouble.retransmitted_bytes <= t.payload_bytes + t.payload_segments
    kept, sent = 0, t.oldest
    while sent is not None:
        kept += 1
        assert 0 <= sent.seq < 1 << 32
        assert sent.sendings > 0
        assert sent.next is not None or sent is t.newest
        sent = sent.next
    assert kept == t.outstanding
    if t.rtt is not None:
        assert 0 <= t.rtt.minimum <= t.rtt.quantile(1, 2) <= t.rtt.maximum
        assert t.rtt.rows is None or sum(map(sum, t.rtt.rows)) == t.rtt.count
        found.append((t.rtt.count, t.rtt.minimum, t.rtt.quantile(19, 20), t.srtt))
    return [*found, t.position, t.trouble.zero_time_total, t.min_window, t.max_window]


class Watch:
    """A pipeline without its reader, Wireshark's view beside it, and the reports of the connections that are over."""

    def __init__(self, options: Options, text: bool) -> None:
        self.digest = Digest()
        self._options, self._text = options, text
        self._judge = judge_for(options)
        self._wireshark = WiresharkAnalyzer()
        limits = options.verify_checksums, options.max_connections, options.zeek
        self.pipeline = Pipeline(self._over, options.msl_ns, *limits)
        self.pipeline.flows.outlook = Quiet()
        self._ended = 0

    def segment(self, op: Op, frame: int) -> None:
        """One segment or ICMP error."""
        seg, flows = self.pipeline.seg, self.pipeline.flows
        fill(seg, op, frame)
        if op.kind == 1:
            flows.icmp(icmp_of(seg, op))
            return
        if not self.pipeline._apply():
            return
        flags = self._wireshark.analyze(seg)
        assert 0 <= flags < 1 << len(FLAG_NAMES)
        assert self._wireshark.window >= 0
        self.digest.add((flags, self._wireshark.stream, self._wireshark.window, flows.current_side))
        conn = flows.current
        assert conn is not None
        assert conn.key in (seg.key, reverse_key(seg.key))
        for end in (conn.client, conn.server):
            if end.transfer is not None:
                check_transfer(end.transfer)

    def finish(self) -> str:
        """The capture is over."""
        facts = self.pipeline.finish()
        flows = self.pipeline.flows
        assert not flows.table
        assert flows.live == 0
        assert self._ended == facts.connections
        assert facts.unseen_bytes >= 0
        for listener in facts.listeners:
            assert 0 <= listener.half_open_now <= listener.half_open_peak
            assert 0 <= listener.pending_now <= listener.pending_peak <= listener.syns
            assert min(listener.completed, listener.refused, listener.timed_out) >= 0
        self.digest.add([repr(finding) for finding in self._judge.capture(facts)])
        return str(self.digest)

    def _over(self, conn: Connection) -> None:
        self._ended += 1
        log = conn.log
        if log is not None:
            assert len(log.facts) <= 2 * KEPT * KIND_COUNT
            assert all(0 <= fact.kind < KIND_COUNT and fact.frame >= 0 for fact in log.facts)
        self.digest.add(check_side(conn.client), check_side(conn.server), conn.stream, conn.end_reason)
        check_rows([] if conn.zeek is None else conn.zeek.rows)
        if self._ended > REPORTED:
            return
        findings = self._judge.connection(conn)
        if conn.quiet:
            assert findings == []
            assert symptom(conn, self._options.msl_ns) >> 1 == NONE
        report = connection_report(conn, findings, self._options.msl_ns)
        encoded = connection_json(report)
        json.loads(encoded, parse_constant=refuse)
        self.digest.add(encoded)
        if self._text and self._ended <= SHOWN:
            self.digest.add(connection_text(Style(), report))


CONN_STATES: Final = ("S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH")


def check_rows(rows: Sequence[ZeekRow]) -> None:
    """Zeek's rows have states and histories that Zeek could have written."""
    for row in rows:
        assert row.conn_state in CONN_STATES
        assert set(row.history.upper()) <= set("^SHADFRTCQIWG"), row.history


def refuse(name: str) -> None:
    """For what JSON does not have: NaN and infinities."""
    raise AssertionError(name)


def run(data: bytes, random: Random) -> object:
    """All segments of a mutant."""
    msl, most = random.choice((30.0, 30.0, 0.0, 120.0, 86400.0)), random.choice((0, 0, 0, 1, 3))
    watch = Watch(Options(msl, random.random() < 0.2, max_connections=most), text=random.random() < 0.2)
    for frame, op in enumerate(unpack(data), 1):
        watch.segment(op, frame)
    return watch.finish()
