"""What holds for every test: which build is tested, and how hypothesis behaves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import tcpscope
from tcpscope.state.endpoint import NO_TROUBLE, NOTHING_SENT, SILENT, Endpoint, Transfer, Trouble
from tcpscope.version import compiled, version_line

# No test asserts a time, and a run that found nothing finds nothing again.
settings.register_profile("tcpscope", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tcpscope")


def pytest_report_header() -> str:
    """Say what is tested."""
    return f"{version_line()} from {Path(str(tcpscope.__file__)).parent}"


def pytest_sessionstart() -> None:
    """Stop if TCPSCOPE_EXPECT (``compiled`` or ``uncompiled``) names another build than the one that was imported."""
    expected = os.environ.get("TCPSCOPE_EXPECT")
    found = "compiled" if compiled() else "uncompiled"
    if expected and expected != found:
        pytest.exit(f"TCPSCOPE_EXPECT={expected}, but what is imported is {pytest_report_header()}", returncode=3)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--snapshot-update`` for tests/test_samples.py."""
    parser.addoption(
        "--snapshot-update", action="store_true", help="store what the samples give now as their snapshots"
    )


def contents(record: object) -> dict[str, object]:
    """The attributes of a record of the state layer."""
    values = {name: getattr(record, name) for name in dir(record) if not name.startswith("_")}
    return {name: value for name, value in values.items() if not callable(value) and name != "transfer"}


@pytest.fixture(scope="session", autouse=True)
def _shared_records_are_never_written() -> Iterator[None]:
    """Whatever the tests feed: what stands for silent sides is shared by all connections and stays as it was made."""
    yield
    assert contents(SILENT) == contents(Endpoint())
    assert contents(NOTHING_SENT) == contents(Transfer())
    assert SILENT.transfer is NOTHING_SENT
    assert contents(NO_TROUBLE) == contents(Trouble())
