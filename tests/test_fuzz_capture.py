"""What the fuzz targets of the capture layer found."""

from __future__ import annotations

import struct

from tests.fuzz.capture import read
from tests.pcapwriter import Record, pcap

SECOND = 1_000_000_000


def test_an_odd_record_is_judged_alike_whatever_the_chunks() -> None:
    # Found by the target "reader": the wire length alone is absurd, and the record was not yet whole when it was judged.
    data = bytearray(pcap(Record((1_700_000_000 + n) * SECOND, bytes([n]) * 200) for n in range(8)))
    data[24 + 216 * 3 + 12 : 24 + 216 * 3 + 16] = struct.pack("<I", 201_328_106)
    for size in (7, 64, 4096):
        assert read(bytes(data), size, salvage=True) == read(bytes(data), 1 << 17, salvage=True)
    assert read(bytes(data), 64, salvage=True)[1] == 8
