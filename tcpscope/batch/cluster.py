"""Executors of a cluster: Dask distributed, where it is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Final

from tcpscope.errors import OptionError
from tcpscope.many.processes import processors

LOCAL: Final = "local"


@contextmanager
def dask_executor(address: str, jobs: int = 0) -> Iterator[Executor]:
    """The executor of the Dask cluster at an address, or of one that lives here as long as it is used.

    :raises OptionError: distributed is not installed, or there is no cluster.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise OptionError("--dask needs pip install 'tcpscope[dask]'") from error
    if address == LOCAL:
        cluster = distributed.LocalCluster(
            n_workers=jobs or processors(), threads_per_worker=1, processes=True, dashboard_address=None
        )
        with cluster, distributed.Client(cluster) as client:
            yield client.get_executor()
        return
    try:
        client = distributed.Client(address)
    except (OSError, ValueError) as error:
        raise OptionError(f"no Dask cluster at {address}: {error}") from error
    with client:
        yield client.get_executor()
