"""The one reused record that the decoders fill for each TCP segment (RFC 9293 section 3.1).

Payload and options are never copied: they are offsets into ``data``, the reader's chunk.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i64

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80

ABSENT: Final = -1
"""Value of an option field when the segment does not carry that option."""

# Bits of Segment.bad_options
BAD_LENGTH: Final = 1  # a length that the kind cannot have, or that leads beyond the header
REPEATED: Final = 2  # the same option twice
MISPLACED: Final = 4  # without SYN, an option that only a SYN may carry

CHECKSUM_UNKNOWN: Final = 0
CHECKSUM_GOOD: Final = 1
CHECKSUM_BAD: Final = 2
CHECKSUM_UNFILLED: Final = 3  # left to the network card: no sum of the segment
CHECKSUM_UNSURE: Final = 4  # what it counts is not in the headers, or was not their final form


class Segment:
    """One TCP segment as the capture shows it. Numbers are raw (unscaled window, 32-bit sequence numbers)."""

    def __init__(self) -> None:
        self.frame: i64 = 0  # 1-based frame number
        self.time_ns: i64 = 0  # nanoseconds since 1970 UTC
        self.interface: i64 = 0  # like Frame.interface
        self.encapsulation: i64 = 0  # what lies between link and IP header: see Decoder.encapsulation_name; 0: nothing
        self.rebuilt: bool = False  # put together from IP fragments
        # Both ends as numbers, address * 65536 + port, where the addresses are of IPv4; else ABSENT. ``key`` says the same.
        self.source: i64 = ABSENT
        self.target: i64 = ABSENT
        # Where ``data`` holds the key, whose octets are copied when it is asked for; ``addresses`` is ABSENT once they are.
        self.addresses: i64 = ABSENT
        self.address_size: i64 = 0
        self.ports: i64 = 0
        self.copied_key: bytes = b""
        self.src_port: i64 = 0
        self.dst_port: i64 = 0
        self.ip_version: i64 = 0
        self.ip_id: i64 = ABSENT  # IPv4 identification
        self.ttl: i16 = 0  # or IPv6 hop limit
        self.ecn: i64 = 0  # the two ECN bits of the IP header
        self.seq: i64 = 0
        self.ack: i64 = 0
        self.flags: i64 = 0  # the low eight bits, FIN = 1 … CWR = 0x80
        self.window: i64 = 0
        self.tcp_checksum: i64 = 0  # as it stands in the header
        self.urgent: i64 = 0
        self.header_length: i64 = 0
        # Payload length by the IP header; ``captured`` of these bytes are present as data[payload:payload + captured].
        self.length: i64 = 0
        self.captured: i64 = 0
        self.data: bytes = b""
        self.payload: i64 = 0
        # Options (RFC 9293 3.2, RFC 7323, RFC 2018, RFC 7413); ABSENT where not carried.
        self.mss: i64 = ABSENT
        self.window_scale: i64 = ABSENT
        self.sack_permitted: i64 = ABSENT  # 1 if carried
        self.ts_val: i64 = ABSENT
        self.ts_ecr: i64 = ABSENT
        self.fast_open: i64 = ABSENT  # length of the cookie; 0 asks for one
        self.mptcp: i64 = 0  # bit set of the MPTCP subtypes carried (1 << subtype)
        self.bad_options: i64 = 0  # what is wrong with the options: BAD_LENGTH, REPEATED, MISPLACED
        self.sack_count: i64 = 0  # blocks carried, at most 4
        self.sack_left0: i64 = 0
        self.sack_right0: i64 = 0
        self.sack_left1: i64 = 0
        self.sack_right1: i64 = 0
        self.sack_left2: i64 = 0
        self.sack_right2: i64 = 0
        self.sack_left3: i64 = 0
        self.sack_right3: i64 = 0
        self.checksum: i64 = CHECKSUM_UNKNOWN  # judged only where asked for and every byte was captured
        self.header_cut: i64 = 0  # 1 if the snap length cut the options

    @property
    def key(self) -> bytes:
        """Source address, destination address, source port, destination port as on the wire: 12 bytes (IPv4) or 36 (IPv6)."""
        if self.addresses >= 0:
            end: i64 = self.addresses + 2 * self.address_size
            if self.ports == end:
                self.copied_key = self.data[self.addresses : end + 4]
            else:  # IP options or extension headers stand between them
                self.copied_key = self.data[self.addresses : end] + self.data[self.ports : self.ports + 4]
            self.addresses = ABSENT
        return self.copied_key

    @key.setter
    def key(self, key: bytes) -> None:
        self.copied_key = key
        self.addresses = ABSENT
        self.source = number_of_end(key, 0, 8)
        self.target = number_of_end(key, 4, 10)


def number_of_end(key: bytes, address: i64, port: i64) -> i64:
    """One end of an IPv4 flow key as a number, by the places of its address and port; ABSENT for a key of IPv6."""
    if len(key) != 12:
        return ABSENT
    number: i64 = 0
    i: i64 = 0
    while i < 4:
        octet: i64 = key[address + i]
        number = number << 8 | octet
        i += 1
    high: i64 = key[port]
    low: i64 = key[port + 1]
    return number << 16 | high << 8 | low
