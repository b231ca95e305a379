"""The benchmark's traffic is what it says: the same every time, in order, of whole connections, checksums right."""

from __future__ import annotations

import io
import itertools
import random
import struct

import dpkt
import pytest

import tcpscope
from tests import pcapwriter, transforms
from tests.benchmark import traffic
from tests.benchmark.traffic import PROFILES, frames, write

COUNT = 3000


@pytest.mark.parametrize("name", PROFILES)
def test_traffic(name: str) -> None:
    found = list(itertools.islice(frames(PROFILES[name]), COUNT))
    assert found == list(itertools.islice(frames(PROFILES[name]), COUNT))
    assert [now for now, _ in found] == sorted(now for now, _ in found)
    for _, frame in found:
        ip = dpkt.ethernet.Ethernet(frame).data
        assert pcapwriter.checksum(frame[14:34]) == 0
        assert ip.len == len(frame) - 14
        segment = bytes(ip.data)
        assert pcapwriter.checksum(struct.pack("!4s4sHH", ip.src, ip.dst, 6, len(segment)) + segment) == 0


def test_connections_open_transfer_and_close() -> None:
    flags: dict[frozenset[tuple[bytes, int]], list[int]] = {}
    for _, frame in itertools.islice(frames(PROFILES["short"]), COUNT):
        ip = dpkt.ethernet.Ethernet(frame).data
        flags.setdefault(frozenset({(ip.src, ip.data.sport), (ip.dst, ip.data.dport)}), []).append(ip.data.flags)
    whole = [seen for seen in flags.values() if sum(flag & 1 for flag in seen) == 2]
    assert whole
    for seen in whole:
        assert seen[:3] == [0x02, 0x12, 0x10]
        assert 0x18 in seen


# What the end of the capture cuts off, connections that RST ends, and segments that were lost before they were captured
MEANT = {"TS105", "TS106", "TS202", "TS206", "TS401", "TS405", "TS409", "TS673", "TS675", "TS676"}


@pytest.mark.parametrize("name", PROFILES)
def test_nothing_is_wrong_with_the_traffic(name: str) -> None:
    file = io.BytesIO()
    write(file, PROFILES[name], COUNT)
    file.seek(0)
    report = tcpscope.analyze(file)
    assert {finding.code for finding in report.findings} <= MEANT
    assert tcpscope.Severity.ERROR not in {finding.severity for finding in report.findings}


def test_a_flood_is_a_connection_a_frame() -> None:
    file = io.BytesIO()
    write(file, PROFILES["flood"], COUNT)
    file.seek(0)
    assert len(tcpscope.analyze(file).connections) == COUNT


@pytest.mark.parametrize("seed", range(5))
def test_what_is_lost_comes_again_as_it_was(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "LOSS", 0.3)
    now, records = 0, []
    for delay, frame in traffic.tls(traffic.Connection(random.Random(seed), seed, 443)):
        now += delay
        records.append(traffic.RECORD.pack(now // 10**9, now % 10**9 // 1000, len(frame), len(frame)) + frame)
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    report = tcpscope.analyze(io.BytesIO(head + b"".join(records)))
    (connection,) = report.connections
    assert connection.client_side.traffic.payload_segments + connection.server_side.traffic.payload_segments > 20
    assert not [finding for finding in report.findings if finding.severity == tcpscope.Severity.ERROR]
    assert not [finding.code for finding in report.findings if finding.code.startswith("TS6")]


def test_the_file_has_as_many_frames_as_were_asked_for() -> None:
    file = io.BytesIO()
    write(file, PROFILES["mixed"], COUNT)
    assert len(list(transforms.frames(file.getvalue()))) == COUNT
