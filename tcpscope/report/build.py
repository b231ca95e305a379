"""From a judged connection and the facts of a capture to the records of :mod:`tcpscope.report.model`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from tcpscope.report import model
from tcpscope.report.build_carrier import carrier_report
from tcpscope.report.build_tls import tls_report
from tcpscope.rules import capture_offload, verdicts
from tcpscope.rules.diagnosis import diagnose
from tcpscope.rules.measures import numbers_of, spread
from tcpscope.state.connection import END_NAMES, ROLE_NAMES
from tcpscope.state.endpoint import (
    OPTION_FAST_OPEN,
    OPTION_SACK,
    OPTION_SCALE,
    OPTION_TIMESTAMPS,
    Endpoint,
    Transfer,
)
from tcpscope.state.path import Step
from tcpscope.state.transitions import STATE_NAMES, UNKNOWN
from tcpscope.wire.address import endpoints, format_address

if TYPE_CHECKING:
    from tcpscope.pipeline import CaptureFacts, FileFacts, LargeSegments
    from tcpscope.rules.base import Finding
    from tcpscope.rules.diagnosis import Diagnosis
    from tcpscope.state.checksums import Checksums
    from tcpscope.state.connection import Connection
    from tcpscope.state.copies import CopyTotals
    from tcpscope.state.listeners import Listener
    from tcpscope.state.zeek import ZeekRow
    from tcpscope.wire.fragments import Reassembler

_record: Final = tuple.__new__

MAX_LISTENERS: Final = 50
"""Listeners that a report names, those with the longest queues first."""


def connection_report(conn: Connection, findings: Sequence[Finding], msl_ns: int) -> model.ConnectionReport:
    """Everything that a report says about one finished connection. ``msl_ns``: maximum segment lifetime."""
    key = conn.key
    client, server = host_ports(key)
    ours, theirs = conn.client.transfer or Transfer(), conn.server.transfer or Transfer()
    reset, reset_by = _first_side(ours.trouble.rst_frame, theirs.trouble.rst_frame)
    whole = None if conn.zeek is None else conn.zeek.row()
    client_steps, server_steps = conn.client.steps, conn.server.steps
    # These records are filled by position: by name it takes a tuple three times as long, and there may be a million connections.
    return model.ConnectionReport(
        conn.stream,
        key,
        client,
        server,
        ROLE_NAMES[conn.roles],
        conn.encapsulation_name or None,
        conn.first_frame,
        conn.last_frame,
        conn.first_time,
        conn.last_time,
        verdicts.handshake(conn),
        verdicts.teardown(conn),
        verdicts.time_wait(conn, msl_ns),
        _first_side(ours.fin_frame, theirs.fin_frame)[1],
        reset_by,
        reset,
        _side(conn.client, client_steps),
        _side(conn.server, server_steps),
        None if whole is None else whole.conn_state,
        None if whole is None else whole.history,
        _zeek(conn, whole),
        conn.completeness,
        END_NAMES[conn.end_reason],
        None if conn.reused_by < 0 else conn.reused_by,
        conn.lossy,
        conn.one_sided,
        _frame_times(conn, client_steps, server_steps),
        numbers_of(conn),
        carrier_report(conn),
        tls_report(conn),
        diagnose(conn, msl_ns),
        ordered(findings),
    )


def _zeek(conn: Connection, whole: ZeekRow | None) -> tuple[model.ZeekCut, ...]:
    """The rows of Zeek's conn.log, unless they are one row that says what the connection as a whole says."""
    rows = [] if conn.zeek is None else conn.zeek.rows
    if len(rows) == 1 and whole is not None:
        row = rows[0]
        if row.key == conn.key and row.conn_state == whole.conn_state and row.history == whole.history:
            return ()
    return tuple(
        [model.ZeekCut(row.conn_state, row.history, "client" if row.key == conn.key else "server") for row in rows]
    )


def capture_report(
    facts: CaptureFacts,
    path: str,
    findings: Sequence[Finding],
    connections: tuple[model.ConnectionReport, ...] = (),
    diagnosis: Diagnosis | None = None,
) -> model.CaptureReport:
    """Everything that a report says about a capture as a whole. ``path``: what the user called it."""
    queues = sorted((li for li in facts.listeners if li.syns), key=lambda li: (-li.pending_peak, li.first_frame))
    return model.CaptureReport(
        path=path,
        format=facts.format,
        files=tuple(_file(file) for file in facts.files),
        frames=facts.frames,
        segments=facts.segments,
        skipped=dict(facts.skipped),
        first_time_ns=None if facts.first_time < 0 else facts.first_time,
        last_time_ns=None if facts.last_time < 0 else facts.last_time,
        complete=facts.complete,
        damage=facts.damage,
        damage_offset=None if facts.damage_offset < 0 else facts.damage_offset,
        gap_count=facts.gap_count,
        skipped_bytes=facts.skipped_bytes,
        truncated_frames=facts.truncated_frames,
        cut_hellos=facts.cut_hellos,
        dropped=None if facts.dropped < 0 else facts.dropped,
        untimed=facts.untimed,
        clock_back_count=facts.clock_back_count,
        clock_back_max_ns=facts.clock_back_max_ns,
        checksums=_checksums(facts.checksums),
        large_segments=_large(facts.large),
        fragments=_fragments(facts.fragments),
        unseen_bytes=facts.unseen_bytes,
        one_sided_connections=facts.one_sided_connections,
        copies=_copies(facts.copies),
        two_sided_connections=facts.two_sided_connections,
        connection_count=facts.connections,
        evicted=facts.evicted,
        listeners=tuple(_listener(listener) for listener in queues[:MAX_LISTENERS]),
        findings=ordered(findings),
        connections=connections,
        diagnosis=diagnosis,
    )


def _checksums(sums: Checksums) -> model.Checksums:
    senders = capture_offload.senders(sums)
    return model.Checksums(
        judged=sum(host.judged() for host in senders),
        wrong=capture_offload.damaged(sums),
        offloaded=sum(capture_offload.offloaded(host, sums) for host in senders),
        left_out=sums.left_out,
    )


def _large(large: LargeSegments) -> model.LargeSegments:
    return model.LargeSegments(large.segments, large.unknown, large.connections, large.largest)


def _fragments(seen: Reassembler) -> model.Fragments:
    lost = seen.incomplete - seen.conflicts
    return model.Fragments(seen.completed, lost, seen.conflicts, seen.overlaps, seen.cut)


def _file(file: FileFacts) -> model.FileReport:
    return model.FileReport(
        file.name,
        file.format,
        file.compression,
        file.first_frame,
        file.frames,
        file.damage,
        None if file.damage_offset < 0 else file.damage_offset,
        tuple(model.Gap(gap.offset, gap.length, gap.text) for gap in file.gaps),
    )


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings with the worst first, then by frame."""
    return tuple(sorted(findings, key=lambda f: (model.SEVERITIES.index(f.severity), f.frame or 0, f.code)))


def host_ports(key: bytes) -> tuple[model.HostPort, model.HostPort]:
    """The two ends of a flow key: source, destination."""
    source, source_port, destination, destination_port = endpoints(key)
    return model.HostPort(source, source_port), model.HostPort(destination, destination_port)


def _first_side(client_frame: int, server_frame: int) -> tuple[int | None, str | None]:
    """The lower frame and whose it is; 0 means that there is none."""
    if client_frame and (not server_frame or client_frame <= server_frame):
        return client_frame, "client"
    return (server_frame, "server") if server_frame else (None, None)


def _frame_times(conn: Connection, client_steps: list[Step], server_steps: list[Step]) -> dict[int, int]:
    times: dict[int, int] = {conn.first_frame: conn.first_time, conn.last_frame: conn.last_time}
    times[conn.ack_frame] = conn.ack_time
    _side_times(times, conn.client, client_steps)
    _side_times(times, conn.server, server_steps)
    times.pop(0, None)
    return times


def _side_times(times: dict[int, int], end: Endpoint, steps: list[Step]) -> None:
    times[end.syn_frame] = end.syn_time
    for step in steps:
        times[step.frame] = step.time_ns
    if end.transfer is not None:
        transfer = end.transfer
        times[transfer.fin_frame] = transfer.fin_time
        times[transfer.fin_ack_frame] = transfer.fin_ack_time
        times[transfer.trouble.rst_frame] = transfer.trouble.rst_time


def _side(end: Endpoint, steps: list[Step]) -> model.Side:
    transfer = end.transfer or Transfer()
    path = [
        # A dozen a connection: as the record's own __new__ does it, without calling that.
        _record(
            model.StateStep,
            (STATE_NAMES[step.state], step.frame or None, step.time_ns if step.time_ns > 0 else None),
        )
        for step in steps
        if step.state != UNKNOWN
    ]
    return model.Side(tuple(path), _syn(end), _traffic(end, transfer), spread(transfer.rtt))


def _syn(end: Endpoint) -> model.SynOptions | None:
    if end.isn < 0:
        return None
    return model.SynOptions(
        end.isn,
        None if end.mss < 0 else end.mss,
        end.scale if end.syn_options & OPTION_SCALE and end.scale >= 0 else None,
        bool(end.syn_options & OPTION_SACK),
        bool(end.syn_options & OPTION_TIMESTAMPS),
        bool(end.syn_options & OPTION_FAST_OPEN),
        end.syn_count,
    )


def _traffic(end: Endpoint, transfer: Transfer) -> model.Traffic:
    trouble = transfer.trouble
    return model.Traffic(
        end.segments,
        transfer.payload_segments,
        transfer.payload_bytes,
        trouble.large_segments,
        transfer.unique_bytes,
        trouble.unseen_bytes,
        trouble.retransmitted_segments,
        trouble.retransmitted_bytes,
        trouble.lost_before,
        trouble.lost_behind,
        trouble.timeouts,
        trouble.spurious_timeouts,
        trouble.out_of_order,
        trouble.duplicate_acks,
        trouble.keep_alives,
        trouble.zero_windows,
        trouble.zero_time_total,
        trouble.window_probes,
        trouble.window_full,
        None if transfer.min_window < 0 else transfer.min_window,
        None if transfer.max_window < 0 else transfer.max_window,
        transfer.max_in_flight,
        end.bad_checksums,
        0 if end.copied is None else end.copied.by_capture,
        0 if end.copied is None else end.copied.by_network,
    )


def _copies(totals: CopyTotals) -> model.Copies:
    return model.Copies(
        totals.connections,
        totals.same_place,
        totals.other_interface,
        totals.other_encapsulation,
        totals.other_hop,
        totals.unidentified,
        None if totals.longest < 0 else totals.longest,
    )


def _listener(listener: Listener) -> model.ListenerReport:
    return model.ListenerReport(
        model.HostPort(format_address(listener.address), listener.port),
        syns=listener.syns,
        completed=listener.completed,
        refused=listener.refused,
        timed_out=listener.timed_out,
        half_open_now=listener.half_open_now,
        half_open_peak=listener.half_open_peak,
        pending_peak=listener.pending_peak,
        peak_frame=listener.peak_frame or None,
        peak_time_ns=listener.peak_time if listener.peak_frame else None,
    )
