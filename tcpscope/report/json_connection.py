"""One connection as JSON, schema ``tcpscope/1`` (``schema.json`` beside this file).

Written as text at once: of a million connections each would otherwise cost some forty dictionaries and their encoding. The
words of :mod:`tcpscope.rules.verdicts` and the like are ours and need no escapes; what comes from the wire goes through the
encoder of :mod:`tcpscope.report.json_report`.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

from tcpscope.report import model
from tcpscope.report.json_report import dumps, finding_object, tls_object
from tcpscope.report.quantities import rfc3339, seconds_text

if TYPE_CHECKING:
    from tcpscope.rules.diagnosis import Diagnosis
    from tcpscope.rules.measures import Negotiated, Numbers, SideNumbers, Spread
    from tcpscope.rules.verdicts import Handshake, TimeWait


def connection_json(connection: model.ConnectionReport, path: str | None = None) -> str:
    """A connection as in ``captures[].connections[]``, one line. ``path``: of its capture, where the line stands alone."""
    client: model.Side = connection.client_side
    server: model.Side = connection.server_side
    numbers: Numbers = connection.numbers
    handshake: Handshake = connection.handshake
    return (
        f"{'{' if path is None else _with_path(path)}"
        f'"stream":{connection.stream},"community_id":"{connection.community_id}"'
        f',"client":{_host_port(connection.client)},"server":{_host_port(connection.server)}'
        f',"roles":"{connection.roles}","encapsulation":{_word(connection.encapsulation)}'
        f',"first_frame":{connection.first_frame},"last_frame":{connection.last_frame}'
        f',"start":"{rfc3339(connection.start_ns)}","end":"{rfc3339(connection.end_ns)}"'
        f',"duration":{seconds_text(connection.duration_ns)}'
        f',"handshake":{_handshake(handshake)},"teardown":{_teardown(connection)}'
        f',"time_wait":{_time_wait(connection.time_wait)}'
        f',"states":{{"client":{_states(client)},"server":{_states(server)}}}'
        f',"syn":{{"client":{_syn(client.syn)},"server":{_syn(server.syn)}}}'
        f',"conn_state":{_word(connection.conn_state)},"history":{_word(connection.history)}'
        f"{_zeek(connection) if connection.zeek else ''}"
        f',"completeness":{connection.completeness},"ended_by":"{connection.ended_by}"'
        f',"reused_by":{_number(connection.reused_by)}'
        f',"lossy":{_truth(connection.lossy)},"one_sided":{_truth(connection.one_sided)}'
        f',"traffic":{{"client":{_traffic(client.traffic, numbers.client)}'
        f',"server":{_traffic(server.traffic, numbers.server)}}}'
        f',"rtt":{{"handshake":{_span(handshake.rtt_ns)}'
        f',"to_server":{_span(numbers.rtt_to_server_ns)},"to_client":{_span(numbers.rtt_to_client_ns)}'
        f',"client":{_spread(client.rtt)},"server":{_spread(server.rtt)}'
        f',"timestamps":{{"client":{_spread(numbers.client.stamp_rtt)}'
        f',"server":{_spread(numbers.server.stamp_rtt)}}}}}'
        f',"time":{_time_spent(numbers)},"responses":{_spread(numbers.responses)}'
        f',"negotiated":{_negotiated(numbers.negotiated)}'
        f',"tls":{"null" if connection.tls is None else dumps(tls_object(connection.tls, connection.carrier))}'
        f',"diagnosis":{_diagnosis(connection.diagnosis)}'
        f',"findings":{_findings(connection) if connection.findings else "[]"}}}'
    )


def _findings(connection: model.ConnectionReport) -> str:
    return dumps([finding_object(finding) for finding in connection.findings])


def _with_path(path: str) -> str:
    return f'{{"path":{dumps(path)},'


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _word(value: str | None) -> str:
    """A word of ours: letters, digits and signs that JSON takes as they are."""
    return "null" if value is None else f'"{value}"'


def _truth(value: bool | None) -> str:
    return "null" if value is None else "true" if value else "false"


def _span(duration_ns: int | None) -> str:
    return "null" if duration_ns is None else seconds_text(duration_ns)


def _rounded(value: float | None, digits: int) -> str:
    if value is None:
        return "null"
    return repr(value if value.is_integer() else round(value, digits))


def _host_port(end: model.HostPort) -> str:
    return f'{{"address":"{end.address}","port":{end.port}}}'


def _handshake(handshake: Handshake) -> str:
    return (
        f'{{"verdict":"{handshake.verdict}"'
        f',"frames":{{"syn":{_number(handshake.syn)},"syn_ack":{_number(handshake.syn_ack)},"ack":{_number(handshake.ack)}}}'
        f',"rtt":{_span(handshake.rtt_ns)}}}'
    )


def _teardown(connection: model.ConnectionReport) -> str:
    teardown = connection.teardown
    return (
        f'{{"verdict":"{teardown.verdict}","form":{_word(teardown.form)}'
        f',"active_closer":{_word(teardown.active_closer)},"reset_by":{_word(connection.reset_by)}'
        f',"frames":{{"fin":{_number(teardown.fin)},"fin_ack":{_number(teardown.fin_ack)}'
        f',"peer_fin":{_number(teardown.peer_fin)},"final_ack":{_number(teardown.final_ack)}'
        f',"rst":{_number(connection.reset)}}}}}'
    )


def _time_wait(time_wait: TimeWait) -> str:
    return (
        f'{{"verdict":"{time_wait.verdict}","side":{_word(time_wait.side)}'
        f',"observed":{_span(time_wait.observed_ns)},"required":{seconds_text(time_wait.required_ns)}}}'
    )


def _states(side: model.Side) -> str:
    steps = [f'["{step.state}",{_number(step.frame)}]' for step in side.states]
    return f"[{','.join(steps)}]"


def _syn(syn: model.SynOptions | None) -> str:
    if syn is None:
        return "null"
    return (
        f'{{"isn":{syn.isn},"mss":{_number(syn.mss)},"window_scale":{_number(syn.window_scale)}'
        f',"sack":{_truth(syn.sack)},"timestamps":{_truth(syn.timestamps)},"fast_open":{_truth(syn.fast_open)}'
        f',"sent":{syn.sent}}}'
    )


def _zeek(connection: model.ConnectionReport) -> str:
    return f',"zeek":{dumps([cut._asdict() for cut in connection.zeek])}'


def _traffic(traffic: model.Traffic, numbers: SideNumbers) -> str:
    return (
        f'{{"segments":{traffic.segments}'
        f',"payload_segments":{traffic.payload_segments},"payload_bytes":{traffic.payload_bytes}'
        f',"large_segments":{traffic.large_segments}'
        f',"unique_bytes":{traffic.unique_bytes},"unseen_bytes":{traffic.unseen_bytes}'
        f',"retransmitted_segments":{traffic.retransmitted_segments}'
        f',"retransmitted_bytes":{traffic.retransmitted_bytes}'
        f',"lost_before":{traffic.lost_before},"lost_behind":{traffic.lost_behind}'
        f',"timeouts":{traffic.timeouts},"spurious_timeouts":{traffic.spurious_timeouts}'
        f',"out_of_order":{traffic.out_of_order},"duplicate_acks":{traffic.duplicate_acks}'
        f',"keep_alives":{traffic.keep_alives},"zero_windows":{traffic.zero_windows}'
        f',"zero_window_time":{seconds_text(traffic.zero_window_ns)}'
        f',"window_probes":{traffic.window_probes},"window_full":{traffic.window_full}'
        f',"min_window":{_number(traffic.min_window)},"max_window":{_number(traffic.max_window)}'
        f',"max_in_flight":{traffic.max_in_flight}'
        f',"losses":{numbers.losses},"min_in_flight_at_loss":{_number(numbers.min_flight_at_loss)}'
        f',"max_in_flight_at_loss":{_number(numbers.max_flight_at_loss)}'
        f',"retransmitted_share":{_rounded(numbers.retransmitted_share, 6)},"data_time":{_span(numbers.data_ns)}'
        f',"throughput":{_rounded(numbers.throughput, 3)},"goodput":{_rounded(numbers.goodput, 3)}'
        f',"bad_checksums":{traffic.bad_checksums},"copies":{traffic.copies}'
        f',"network_duplicates":{traffic.network_duplicates}}}'
    )


def _spread(rtt: Spread) -> str:
    if rtt.samples == 0:
        return '{"samples":0,"min":null,"median":null,"p95":null,"max":null}'
    if rtt.min_ns == rtt.max_ns:
        one = _span(rtt.min_ns)
        return f'{{"samples":{rtt.samples},"min":{one},"median":{one},"p95":{one},"max":{one}}}'
    return (
        f'{{"samples":{rtt.samples},"min":{_span(rtt.min_ns)},"median":{_span(rtt.median_ns)}'
        f',"p95":{_span(rtt.p95_ns)},"max":{_span(rtt.max_ns)}}}'
    )


def _time_spent(numbers: Numbers) -> str:
    client, server = numbers.client, numbers.server
    return (
        f'{{"total":{seconds_text(numbers.life_ns)}'
        f',"shares":{{"client_thinking":{seconds_text(client.thinking_ns)},"server_thinking":{seconds_text(server.thinking_ns)}'
        f',"network":{seconds_text(numbers.network_ns)},"transfer":{seconds_text(client.transfer_ns + server.transfer_ns)}'
        f',"loss":{seconds_text(client.loss_ns + server.loss_ns)},"window":{seconds_text(client.window_ns + server.window_ns)}'
        f',"idle":{seconds_text(numbers.idle_ns)}}}'
        f',"sides":{{"client":{_side_time(client)},"server":{_side_time(server)}}}}}'
    )


def _side_time(side: SideNumbers) -> str:
    return (
        f'{{"thinking":{seconds_text(side.thinking_ns)},"transfer":{seconds_text(side.transfer_ns)},"loss":{seconds_text(side.loss_ns)}'
        f',"window":{seconds_text(side.window_ns)},"longest_silence":{seconds_text(side.longest_silence_ns)}}}'
    )


def _negotiated(negotiated: Negotiated) -> str:
    return (
        f'{{"window_scaling":{_truth(negotiated.window_scaling)},"sack":{_truth(negotiated.sack)}'
        f',"timestamps":{_truth(negotiated.timestamps)},"ecn":{_truth(negotiated.ecn)}}}'
    )


def _diagnosis(diagnosis: Diagnosis) -> str:
    """A diagnosis, which may quote what came over the wire."""
    return (
        f'{{"kind":"{diagnosis.kind}","where":"{diagnosis.where}","confidence":"{diagnosis.confidence}"'
        f',"summary":{encode_basestring_ascii(diagnosis.summary)}'
        f',"next_step":{encode_basestring_ascii(diagnosis.next_step)}'
        f',"frames":[{",".join([str(frame) for frame in diagnosis.frames])}]}}'
    )
