"""The version, and whether the hot modules run compiled. Imports nothing heavy: ``tcpscope --version`` loads this."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

__version__ = "0.1.0"


def compiled() -> bool:
    """True if the hot modules are the C extensions that the build made, false if they run as plain Python."""
    # setup.py builds all of them or none, so one module answers for all. Finding it does not import it.
    spec = find_spec("tcpscope.pipeline")
    return spec is not None and spec.origin is not None and spec.origin.endswith(tuple(EXTENSION_SUFFIXES))


def version_line() -> str:
    """What ``tcpscope --version`` prints, such as ``tcpscope 0.1.0 (compiled)``."""
    return f"tcpscope {__version__} ({'compiled' if compiled() else 'uncompiled'})"
