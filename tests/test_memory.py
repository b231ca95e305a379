"""Memory that comes from the kernel in whole arenas goes back to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tcpscope.version import compiled

ARENAS = """
import sys
from tcpscope import _arenas

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

assert _arenas.populate() is True
assert _arenas.populate() is True, "twice does no harm"
before = resident()
objects = [[number] for number in range(1_000_000)]
full = resident()
assert sum(one[0] for one in objects) == 499_999_500_000
del objects
after = resident()
assert full - before > 50_000_000, (before, full)
assert after - before < (full - before) // 4, (before, full, after)
"""


@pytest.mark.skipif(not compiled(), reason="a part of the compiled wheel")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no way to do so")
def test_arenas_go_back_to_the_kernel() -> None:
    done = subprocess.run([sys.executable, "-c", ARENAS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
