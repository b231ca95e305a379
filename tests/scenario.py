r"""Captures written as text: ``tests/scenarios/*.txt``, one line a segment, in the manner of packetdrill and tcpdump.

The file begins with comment lines that say what it shows, then settings, then segments in the order of the file::

    # The client sends five bytes beyond its own FIN.
    expect: TS201
    silent: TS202 TS401

    0.000  C > S  S  <mss 1460,sackOK,nop,wscale 7>
    +.010  S > C  S. <mss 1460,sackOK,nop,wscale 7>
    +.001  C > S  .
    +.001  C > S  P. data "GET / HTTP/1.1\r\n\r\n"
    +.001  C > S  F.
    +.001  C > S  P. 20:25(5) ack 1 stray

Settings, ``name: value``, each before the first segment that it matters to

    expect, silent    rule codes that must fire, and near misses that must not
    shows             ``[STREAM] PATH = VALUE``, what the JSON report says of a connection, the first if no stream is
                      given: ``shows: handshake.verdict = complete``
    options           command-line options of the analysis: ``--msl 30 --verify-checksums``
    client, server    ``10.0.0.1:40000`` or ``[fd00::1]:40000``. A second connection is C2 and S2, with ``client2:`` and
                      ``server2:``; left out, they are the first one's, with the client's port one higher; given as
                      the first one's, the second connection reuses its ports
    isn               initial sequence numbers: ``client 4294967290 server 7``; ``isn2:`` for the second connection
    window            window field of segments that say nothing else (65535)
    timestamps        ``yes``: every segment carries the timestamp option, in milliseconds
    link              ``ethernet``, ``raw``, ``null``, ``loop``, ``ppp``, ``sll``, ``sll2``, ``ipv4`` or ``ipv6``
    vlan              VLAN numbers, the outermost first
    format            ``pcap`` or ``pcapng``
    order             byte order of the file: ``little`` or ``big``
    resolution        of the file's times: ``us`` or ``ns``
    snaplen           longest frame that the file holds
    dropped           frames that the file says the capture dropped (pcapng)
    start             the time of 0.000: ``2024-01-01T00:00:00Z``
    let               ``hello = hex 16030100``: bytes for ``@hello`` in payloads

Segments, ``TIME FROM > TO FLAGS [NUMBERS] [<OPTIONS>] [PAYLOAD] [MODIFIERS]``

    TIME       seconds since the start, or after a ``+`` since the line before
    FLAGS      letters of ``SFRP.UEW`` (``.`` ACK, ``E`` ECE, ``W`` CWR), or ``-`` for none
    NUMBERS    ``1:101(100)`` or ``seq 1`` or ``(100)``, ``ack 1``, ``win 512``, ``urg 3``. Sequence numbers are
               relative to their side's initial one; ``=5`` is the raw number 5. Left out, seq is the next of its side
               and ack acknowledges all that the other side has sent. Bytes that no payload gives are letters that
               depend on their sequence number alone, so that what is sent again is the same.
    OPTIONS    ``mss 1460``, ``sackOK``, ``wscale 7``, ``ts 1:0``, ``sack 1:100 200:300``, ``nop``, ``eol``,
               ``tfo [HEX]``, ``opt KIND [HEX]``
    PAYLOAD    any of these in a row: ``data "text\r\n"``, ``hex 160301``, ``@hello``, ``@hello[0:5]``, ``fill 1000``
    MODIFIERS  ``nocapture``: it happened, but the file lacks it
               ``stray``: does not count for the numbers that later lines leave out
               ``repeat 3 [every 0.010]``: the line this many times; numbers left out go on counting
               ``cut 60``: the file holds this many bytes of the frame
               ``badsum``, ``badipsum``: a wrong TCP or IP checksum; ``nosum``: the TCP checksum is left to the network
               card, so that the field holds the sum of the pseudo header alone
               ``fragments 0:24 24:120``: the packet comes in IP fragments, each a frame, with these octets of the segment
               ``id 7``, ``ttl 63``, ``tos 2``, ``total 0``: fields of the IP header, the last its length
               ``doff 4``: TCP's header length field, in words

``TIME raw HEX`` is a frame of any content; ``TIME again FRAME [on INTERFACE] [vlan NUMBER]`` is a copy of an earlier frame of
the file, on another interface (pcapng) or within a VLAN. A ``#`` after a blank begins a comment.
"""

from __future__ import annotations

import re
import shlex
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests import pcapwriter
from tests.pcapwriter import Interface, Record, Tcp
from tests.scenario_line import (
    FLAGS,
    TOKEN,
    Line,
    LineError,
    Number,
    Option,
    Words,
    choice,
    filler,
    hexadecimal,
    integer,
    nanoseconds,
    read_address,
    read_claim,
    read_line,
    read_payload,
    read_start,
)

SETTING = re.compile(r"([a-z]+)([0-9]*):\s*(.*)")
COMMENT = re.compile(r'((?:"(?:\\.|[^"\\])*"|[^"])*?)(?:^|\s)#.*')
END = re.compile(r"([CS])([0-9]*)")
DEFAULT_ADDRESS = {True: ("10.0.0.1", 40000), False: ("10.0.0.2", 80)}  # of the client and of the server
DEFAULT_ISN = {True: 1_000_000_000, False: 3_000_000_000}
FIRST_TIMESTAMP = {True: 1000, False: 500_000}  # no two clocks agree
FIRST_IDENTIFICATION = {True: 0x1000, False: 0x8000}


class ScenarioError(ValueError):
    """A line that cannot be understood, with the file and the line's number."""


@dataclass(slots=True)
class Side:
    """One end of a connection. ``next`` is relative to ``isn`` and may exceed 32 bits."""

    address: str
    port: int
    isn: int
    next: int = 0
    identification: int = 0
    last_timestamp: int = 0  # the TSval that it sent last


@dataclass(slots=True)
class Scenario:
    """What a file says. ``frames`` holds only what was captured, ``lines`` the line number of each of them."""

    name: str
    title: str = ""
    expect: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    shows: list[tuple[int, str, object]] = field(default_factory=list)  # stream, path, value
    options: tuple[str, ...] = ()
    frames: list[Record] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    link_type: int = pcapwriter.ETHERNET
    format: str = "pcap"
    big_endian: bool = False
    nanoseconds: bool = False
    snap_length: int = 262144
    dropped: int | None = None


def load(path: Path) -> Scenario:
    """Read a scenario file."""
    return parse(path.read_text(encoding="utf-8"), path.stem)


def parse(text: str, name: str = "scenario") -> Scenario:
    """Read a scenario; raises :class:`ScenarioError`."""
    return _Parser(name).parse(text)


def build(scenario: Scenario) -> bytes:
    """The capture file that the scenario describes."""
    if scenario.format == "pcapng":
        resolution = 9 if scenario.nanoseconds else 6
        interface = Interface(scenario.link_type, scenario.snap_length, resolution, dropped=scenario.dropped)
        count = 1 + max((record.interface for record in scenario.frames), default=0)
        return pcapwriter.pcapng(scenario.frames, [interface] * count, big_endian=scenario.big_endian)
    return pcapwriter.pcap(
        scenario.frames,
        scenario.link_type,
        big_endian=scenario.big_endian,
        nanoseconds=scenario.nanoseconds,
        snap_length=scenario.snap_length,
    )


class _Parser:
    """Reads the lines in order. What a line gets wrong is a LineError, to which :meth:`parse` adds the place."""

    def __init__(self, name: str) -> None:
        self.scenario = Scenario(name)
        self.line_number = 0
        self.clock_ns = 0  # of the line before, since the start
        self.start_ns = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
        self.window = 65535
        self.timestamps = False
        self.vlan: tuple[int, ...] = ()
        self.blobs: dict[str, bytes] = {}
        # By (client or not, number of the connection)
        self.addresses: dict[tuple[bool, int], tuple[str, int]] = {}
        self.isn: dict[tuple[bool, int], int] = {}
        self.sides: dict[tuple[bool, int], Side] = {}

    def parse(self, text: str) -> Scenario:
        """The whole file."""
        title: list[str] = []
        lines = text.splitlines()
        while lines and lines[0].startswith("#"):
            self.line_number += 1
            title.append(lines.pop(0).lstrip("#").strip())
        self.scenario.title = " ".join(title).strip()
        try:
            if not self.scenario.title:
                raise LineError("the file does not begin with a comment that says what it shows")
            for line in lines:
                self.line_number += 1
                self.one_line(line)
        except LineError as error:
            raise ScenarioError(f"{self.scenario.name}.txt:{self.line_number}: {error}") from None
        return self.scenario

    def one_line(self, full: str) -> None:
        """One line: blank, a setting or a frame."""
        comment = COMMENT.fullmatch(full)
        line = (comment[1] if comment else full).strip()
        if not line:
            return
        setting = SETTING.fullmatch(line)
        if setting:
            self.setting(setting[1], setting[2], setting[3].strip())
        else:
            self.statement(Words(TOKEN.findall(line)))

    # Settings

    def setting(self, key: str, suffix: str, value: str) -> None:
        """One ``name: value`` line."""
        scenario, connection = self.scenario, int(suffix or 1)
        if suffix and key not in ("client", "server", "isn"):
            raise LineError(f"unknown setting {key}{suffix}")
        if key == "expect":
            scenario.expect += tuple(value.split())
        elif key == "silent":
            scenario.silent += tuple(value.split())
        elif key == "shows":
            scenario.shows.append(read_claim(value))
        elif key == "options":
            scenario.options += tuple(shlex.split(value))
        elif key in ("client", "server"):
            if (key == "client", connection) in self.sides:
                raise LineError(f"the address of the {key} comes after its first segment")
            self.addresses[key == "client", connection] = read_address(value)
        elif key == "isn":
            self.initial_numbers(connection, value.split())
        elif key == "let":
            self.blob(value)
        elif key == "window":
            self.window = integer(value)
        elif key == "timestamps":
            self.timestamps = choice(value, {"no": False, "yes": True})
        elif key == "vlan":
            self.vlan = tuple(integer(word) for word in value.split())
        else:
            self.file_setting(key, value)

    def file_setting(self, key: str, value: str) -> None:
        """A setting of the file as a whole."""
        scenario = self.scenario
        if scenario.frames:
            raise LineError(f"{key} comes after the first frame")
        if key == "link":
            scenario.link_type = choice(value, pcapwriter.LINK_TYPES)
        elif key == "format":
            scenario.format = choice(value, {"pcap": "pcap", "pcapng": "pcapng"})
        elif key == "order":
            scenario.big_endian = choice(value, {"little": False, "big": True})
        elif key == "resolution":
            scenario.nanoseconds = choice(value, {"us": False, "ns": True})
        elif key == "snaplen":
            scenario.snap_length = integer(value)
        elif key == "dropped":
            scenario.dropped = integer(value)
        elif key == "start":
            self.start_ns = read_start(value)
        else:
            raise LineError(f"unknown setting {key}")

    def initial_numbers(self, connection: int, words: list[str]) -> None:
        """``client N server M``, either or both."""
        if len(words) not in (2, 4) or not {*words[::2]} <= {"client", "server"}:
            raise LineError("expected isn: client NUMBER server NUMBER")
        for who, value in zip(words[::2], words[1::2], strict=True):
            if (who == "client", connection) in self.sides:
                raise LineError(f"the initial number of the {who} comes after its first segment")
            self.isn[who == "client", connection] = integer(value)

    def blob(self, value: str) -> None:
        """``NAME = PAYLOAD``."""
        name, _, text = value.partition("=")
        words = Words(TOKEN.findall(text))
        payload = read_payload(words, self.blobs)
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name.strip()) or words or not text.strip():
            raise LineError("expected let: name = PAYLOAD")
        self.blobs[name.strip()] = payload

    # Frames

    def statement(self, words: Words) -> None:
        """``TIME raw HEX`` or ``TIME FROM > TO …``."""
        time = words.take("the time")
        delta_ns = nanoseconds(time)
        relative = time.startswith("+")
        if words.peek() == "raw":
            words.take()
            self.clock_ns = self.clock_ns + delta_ns if relative else delta_ns
            self.add(hexadecimal("".join(words.words)))
            return
        if words.peek() == "again":
            words.take()
            self.clock_ns = self.clock_ns + delta_ns if relative else delta_ns
            self.again(words)
            return
        sender, arrow, receiver = (END.fullmatch(words.take("FROM > TO")), words.take(">"), words.take("TO"))
        other = END.fullmatch(receiver)
        if not sender or not other or arrow != ">" or sender[1] == other[1] or sender[2] != other[2]:
            raise LineError("expected TIME FROM > TO FLAGS …, such as 0.000 C > S S")
        from_client, connection = sender[1] == "C", int(sender[2] or 1)
        line = read_line(words, self.blobs)
        for count in range(line.repeat):
            if count and line.every_ns is not None:
                self.clock_ns += line.every_ns
            else:
                self.clock_ns = self.clock_ns + delta_ns if relative else delta_ns
            self.segment(line, self.side(from_client, connection), self.side(not from_client, connection), from_client)

    def side(self, client: bool, connection: int) -> Side:
        """An end of a connection, made when it is first named."""
        key = (client, connection)
        if key not in self.sides:
            address, port = self.addresses.get((client, 1), DEFAULT_ADDRESS[client])
            if client:
                port += connection - 1
            address, port = self.addresses.get(key, (address, port))
            isn = self.isn.get(key, DEFAULT_ISN[client] + 10_000_000 * connection)
            self.sides[key] = Side(address, port, isn, identification=FIRST_IDENTIFICATION[client])
        return self.sides[key]

    def segment(self, line: Line, side: Side, peer: Side, from_client: bool) -> None:
        """Work out the numbers that the line leaves out, and write the frame."""
        seq = line.seq or Number(side.next)
        length = line.length or 0
        payload = filler(seq.value, length) if line.payload is None else line.payload
        ack = line.ack or (Number(peer.next) if line.flags & FLAGS["."] else Number(0, raw=True))
        stamp = FIRST_TIMESTAMP[from_client] + self.clock_ns // 1_000_000
        options = list(line.options)
        if self.timestamps and not any(option.name == "ts" for option in options):
            echo = peer.last_timestamp if line.flags & FLAGS["."] else 0
            options += [Option("nop"), Option("nop"), Option("ts", [Number(stamp), Number(echo)])]
        for option in options:
            if option.name == "ts":
                side.last_timestamp = option.values[0].value
        values = line.values
        packed = Tcp(
            side.address,
            peer.address,
            side.port,
            peer.port,
            absolute(seq, side),
            absolute(ack, peer),
            line.flags,
            values.get("win", self.window),
            b"".join(pack_option(option, peer) for option in options),
            payload,
            values.get("urg", 0),
            values.get("doff"),
            "badsum" in line.words,
            "nosum" in line.words,
        )
        if not seq.raw and "stray" not in line.words:
            consumed = len(payload) + bool(line.flags & FLAGS["S"]) + bool(line.flags & FLAGS["F"])
            side.next = max(side.next, seq.value + consumed)
        self.packet(line, side, packed, from_client)

    def packet(self, line: Line, side: Side, segment: Tcp, from_client: bool) -> None:
        """Put the segment into its packet and frame."""
        if len(segment.options) > 40:
            raise LineError(f"{len(segment.options)} bytes of options; TCP has room for 40")
        side.identification += 1
        values = line.values
        packet = pcapwriter.tcp(
            segment,
            ttl=values.get("ttl", 64),
            tos=values.get("tos", 0),
            identification=values.get("id", side.identification),
            total_length=values.get("total"),
            bad_checksum="badipsum" in line.words,
        )
        packets = [pcapwriter.fragment(packet, start, end) for start, end in line.fragments] or [packet]
        pad = not from_client and "total" not in values
        for part in packets:
            frame = pcapwriter.link(part, self.scenario.link_type, from_client=from_client, vlan=self.vlan, pad=pad)
            if "nocapture" not in line.words:
                self.add(frame, values.get("cut"))

    def again(self, words: Words) -> None:
        """``FRAME [on INTERFACE] [vlan NUMBER]``."""
        number = integer(words.take("the number of a frame"))
        if not 1 <= number <= len(self.scenario.frames):
            raise LineError(f"there is no frame {number} yet")
        copy, interface = self.scenario.frames[number - 1].data, 0
        while words:
            word, value = words.take(), integer(words.take("a number"))
            if word == "on" and self.scenario.format == "pcapng":
                interface = value
            elif word == "vlan" and self.scenario.link_type == pcapwriter.ETHERNET:
                copy = copy[:12] + struct.pack("!HH", 0x8100, value) + copy[12:]
            else:
                raise LineError(f"a copy cannot be {word} {value}")
        self.add(copy, interface=interface)

    def add(self, frame: bytes, cut: int | None = None, interface: int = 0) -> None:
        """Add a frame to the file."""
        if self.clock_ns % 1000 and not self.scenario.nanoseconds:
            raise LineError("a time finer than a microsecond needs resolution: ns")
        self.scenario.frames.append(Record(self.start_ns + self.clock_ns, frame[:cut], len(frame), interface))
        self.scenario.lines.append(self.line_number)


def absolute(number: Number, side: Side) -> int:
    """A number of ``side`` as on the wire."""
    return number.value & 0xFFFFFFFF if number.raw else (side.isn + number.value) & 0xFFFFFFFF


def pack_option(option: Option, peer: Side) -> bytes:
    """One option as on the wire; the numbers of a SACK block are those of the ``peer``, whose data it acknowledges."""
    values = [number.value for number in option.values]
    match option.name:
        case "eol":
            return b"\0"
        case "nop":
            return b"\1"
        case "mss":
            return struct.pack("!BBH", 2, 4, *values)
        case "wscale":
            return struct.pack("!BBB", 3, 3, *values)
        case "sackok":
            return b"\4\2"
        case "sack":
            edges = [absolute(number, peer) for number in option.values]
            return struct.pack(f"!BB{len(edges)}I", 5, 2 + 4 * len(edges), *edges)
        case "ts":
            return struct.pack("!BBII", 8, 10, *values)
        case "tfo":
            return bytes([34, 2 + len(option.data)]) + option.data
    return bytes([values[0], 2 + len(option.data)]) + option.data
