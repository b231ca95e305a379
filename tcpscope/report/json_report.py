"""JSON of all but connections (those: json_connection), schema ``tcpscope/1`` (``schema.json`` beside this file).

Keys may be added; none is renamed or dropped without a new schema number. Everything outside ASCII is escaped, so that
text from the wire cannot act on a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from tcpscope.report import model, model_tls
from tcpscope.report.quantities import rfc3339, seconds

if TYPE_CHECKING:
    from tcpscope.rules.base import Finding
    from tcpscope.rules.diagnosis import Diagnosis

SCHEMA: Final = "tcpscope/1"

Value: TypeAlias = "bool | int | float | str | Sequence[Value] | Mapping[str, Value] | None"
Object: TypeAlias = dict[str, Value]


# One for all: json.dumps would make a new one for each of a million connections, and look for circles that cannot be.
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)


def dumps(value: Value) -> str:
    """One line of JSON in ASCII."""
    return _ENCODER.encode(value)


def capture_object(capture: model.CaptureReport) -> Object:
    """A capture as in ``captures[]``, without its connections."""
    return {
        "path": capture.path,
        "format": capture.format,
        "compression": capture.compression or None,
        "frames": capture.frames,
        "segments": capture.segments,
        "skipped": dict(capture.skipped),
        "first_time": _time(capture.first_time_ns),
        "last_time": _time(capture.last_time_ns),
        "duration": _seconds(capture.duration_ns),
        "complete": capture.complete,
        "damage": _damage(capture.damage, capture.damage_offset),
        **({"files": [_file(file) for file in capture.files]} if _has_parts(capture) else {}),
        "truncated_frames": capture.truncated_frames,
        "cut_tls_hellos": capture.cut_hellos,
        "dropped": capture.dropped,
        "untimed_frames": capture.untimed,
        "clock_steps_back": {"count": capture.clock_back_count, "largest": seconds(capture.clock_back_max_ns)},
        "bad_checksums": capture.checksums.wrong,
        "checksums": capture.checksums._asdict(),
        "large_segments": capture.large_segments._asdict(),
        "fragments": capture.fragments._asdict(),
        "unseen_bytes": capture.unseen_bytes,
        "one_sided_connections": capture.one_sided_connections,
        "copies": _copies(capture.copies),
        "connection_count": capture.connection_count,
        "evicted_connections": capture.evicted,
        "diagnosis": None if capture.diagnosis is None else _diagnosis(capture.diagnosis),
        "listeners": [_listener(listener) for listener in capture.listeners],
        "findings": [finding_object(finding) for finding in capture.findings],
    }


def _damage(message: str, offset: int | None) -> Object | None:
    return {"message": message, "offset": offset} if message else None


def _has_parts(capture: model.CaptureReport) -> bool:
    """Whether there is more to say of the files than that there is one."""
    return len(capture.files) > 1 or capture.gap_count > 0


def _file(file: model.FileReport) -> Object:
    return {
        "path": file.path,
        "format": file.format or None,
        "compression": file.compression or None,
        "first_frame": file.first_frame,
        "frames": file.frames,
        "damage": _damage(file.damage, file.damage_offset),
        "skipped": [{"offset": gap.offset, "length": gap.length, "message": gap.text} for gap in file.gaps],
    }


def _diagnosis(diagnosis: Diagnosis) -> Object:
    return {**diagnosis._asdict(), "frames": list(diagnosis.frames)}


def finding_object(finding: Finding) -> Object:
    """A finding as in ``findings[]``."""
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": str(finding.severity),
        "message": finding.message,
        "side": finding.side,
        "frame": finding.frame,
        "frames": list(finding.frames),
        "count": finding.count,
        "time": _time(finding.time_ns),
        "rfc": finding.rfc,
        "display_filter": finding.display_filter,
    }


def summary_object(summary: model.Summary) -> Object:
    """The counts over all captures."""
    return {
        "captures": summary.captures,
        "connections": summary.connections,
        "frames": summary.frames,
        "findings": dict(summary.findings),
    }


def _host_port(end: model.HostPort) -> Object:
    return {"address": end.address, "port": end.port}


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else rfc3339(time_ns)


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else seconds(duration_ns)


def _copies(copies: model.Copies) -> Object:
    return {
        "count": copies.count,
        "connections": copies.connections,
        "same_interface": copies.same_place,
        "other_interface": copies.other_interface,
        "other_encapsulation": copies.other_encapsulation,
        "other_hop": copies.other_hop,
        "without_identification": copies.without_identification,
        "longest_delay": _seconds(copies.longest_ns),
    }


def _carrier(carrier: model.CarrierReport) -> Object:
    return {
        "protocol": carrier.protocol,
        "offer_frame": carrier.offer_frame,
        "request_frame": carrier.request_frame,
        "answer_frame": carrier.answer_frame,
        "accepted": carrier.accepted,
        "destination": carrier.destination,
    }


def tls_object(tls: model_tls.TlsReport, carrier: model.CarrierReport | None) -> Object:
    """The TLS handshake of a connection, and what led to it."""
    return {
        "verdict": tls.verdict,
        "version": tls.version,
        "cipher_suite": tls.cipher_suite,
        "sni": tls.sni,
        "alpn": tls.alpn,
        "resumed": tls.resumed,
        "ja3": tls.ja3,
        "ja3s": tls.ja3s,
        "ja4": tls.ja4,
        "messages": [
            {
                "frame": one.frame,
                "side": one.side,
                "message": one.message,
                "decrypted": one.decrypted,
                "alert": one.alert,
                "time": _time(one.time_ns),
            }
            for one in tls.messages
        ],
        "message_count": tls.message_count,
        "handshake": _tls_handshake(tls.handshake),
        "resumption": tls.resumption,
        "suite": None if tls.suite is None else tls.suite._asdict(),
        "group": tls.group,
        "prime_bits": tls.prime_bits,
        "signature": {"client": tls.client_signature, "server": tls.server_signature},
        "alerts": [
            {
                "frame": one.frame,
                "side": one.side,
                "alert": one.alert,
                "level": one.level,
                "time": _time(one.time_ns),
            }
            for one in tls.alerts
        ],
        "alert_count": tls.alert_count,
        "versions_offered": list(tls.versions_offered),
        "cipher_suites_offered": list(tls.ciphers_offered),
        "groups_offered": list(tls.groups_offered),
        "key_shares": list(tls.key_shares),
        "alpn_offered": list(tls.alpn_offered),
        "client_random": tls.client_random,
        "server_random": tls.server_random,
        "keys": tls.keys,
        "carrier": None if carrier is None else _carrier(carrier),
        "proofs": [one._asdict() for one in tls.proofs],
        "certificates": [one._asdict() for one in tls.certificates],
    }


def _tls_handshake(handshake: model_tls.TlsHandshake) -> Object:
    shares = {"client": handshake.client_ns, "server": handshake.server_ns, "network": handshake.network_ns}
    return {
        "duration": _seconds(handshake.duration_ns),
        "shares": None if handshake.client_ns is None else {name: _seconds(span) for name, span in shares.items()},
        "ended": {
            "how": handshake.ended_how,
            "by": handshake.ended_by,
            "frame": handshake.ended_frame,
            "alert": handshake.alert,
        },
    }


def _listener(listener: model.ListenerReport) -> Object:
    return {
        "listener": _host_port(listener.listener),
        "syns": listener.syns,
        "completed": listener.completed,
        "refused": listener.refused,
        "timed_out": listener.timed_out,
        "half_open_at_end": listener.half_open_now,
        "half_open_peak": listener.half_open_peak,
        "pending_peak": listener.pending_peak,
        "peak_frame": listener.peak_frame,
        "peak_time": _time(listener.peak_time_ns),
    }
