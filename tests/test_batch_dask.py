"""A batch on Dask: a real scheduler with two worker processes on loopback, one of which is killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tcpscope.batch.run import run_batch
from tcpscope.batch.tables import write_tables
from tcpscope.cli.main import run
from tcpscope.many.inputs import find
from tcpscope.options import Options
from tests.captures import clean, many, unanswered

distributed: Any = pytest.importorskip("distributed")

# Of the libraries' own, and of a worker that is killed on purpose.
pytestmark = pytest.mark.filterwarnings("ignore")

COUNT = 60
TABLES = ("captures.csv", "connections.csv", "findings.csv")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with captures. Relative names are those of the workers, too: they are started there."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for number in range(COUNT):
        Path(f"in/{number:02}.pcap").write_bytes([clean(), unanswered(), many(40)][number % 3])
    return tmp_path


@pytest.fixture
def cluster(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A scheduler and two worker processes."""
    root = str(Path(__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", root)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster


def tables(directory: str) -> list[bytes]:
    """All tables as they are."""
    return [Path(directory, name).read_bytes() for name in TABLES]


def test_a_worker_is_killed_and_nothing_is_lost(cluster: Any) -> None:
    assert run(["batch", "in", "-o", "here", "-j", "1", "--tables", "csv", "--no-progress"]) == 0
    with distributed.Client(cluster) as client:
        workers: list[int] = list(client.run(os.getpid).values())
        done: list[int] = []

        def kill() -> None:
            while len(done) < COUNT // 4:
                time.sleep(0.001)
            os.kill(workers[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        ran = run_batch(
            find(["in"]), "out", Options(), executor=client.get_executor(), progress=lambda one: done.append(one.number)
        )
        killer.join()
        assert workers[0] not in client.run(os.getpid).values()
    assert [one.error for one in ran.results] == [""] * COUNT
    write_tables(ran, "out", "csv")
    assert tables("out") == tables("here")


def test_the_address_of_a_cluster(cluster: Any) -> None:
    address: str = cluster.scheduler_address
    assert run(["batch", "in", "-o", "out", "--dask", address, "--tables", "csv", "--no-progress"]) == 0
    assert run(["batch", "in", "-o", "here", "-j", "1", "--tables", "csv", "--no-progress"]) == 0
    assert tables("out") == tables("here")


def test_no_cluster_is_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    dask: Any = pytest.importorskip("dask")
    with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}):
        assert run(["batch", "in", "-o", "out", "--dask", "tcp://127.0.0.1:1", "--no-progress"]) == 2
    assert "tcpscope: no Dask cluster at tcp://127.0.0.1:1: " in capsys.readouterr().err
