"""Many independent jobs: in this process, in worker processes, or on a Dask cluster, with the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from typing import Any

from sanderling.errors import InputError
from sanderling.evaluate.processes import Done, run_in_processes
from sanderling.extras import require

LOCAL = "local"
CONNECT_SECONDS = 30
# Of the scheduler's status page: for this machine alone, and beside that of another cluster.
ANY_PORT = "127.0.0.1:0"
# A recording travels with its job; Dask warns from 10 MB on.
LARGE_JOB = {"distributed.admin.large-graph-warning-threshold": "1GB"}


def run_jobs(
    function: Callable[..., Any],
    jobs: Iterable[tuple[Any, ...]],
    done: Done,
    *,
    workers: int = 1,
    dask: str | None = None,
) -> None:
    """Calls function(*job) for every job, and done(index of the job, result) here as each one ends, in any order.

    workers: processes; 1 = this one. dask: a scheduler's address, or "local" for a cluster of `workers` processes on
    this machine; needs the `distributed` extra. At most two jobs a worker are under way (processes: one), and only
    these are in memory. Function, jobs and results must pickle unless workers is 1 and dask None. On an error or an
    interrupt the results that are there still reach `done` before it is raised. Raises InputError (workers below 1,
    nothing at the address), WorkerError, DependencyError.
    """
    if workers < 1:
        raise InputError(f"expected at least 1 worker, found {workers}")
    if dask is None:
        if workers > 1:
            run_in_processes(function, jobs, done, workers)
            return
        for index, job in enumerate(jobs):
            done(index, function(*job))
        return
    with _executor(workers, dask) as (executor, width):
        running: dict[Future[Any], int] = {}
        try:
            for index, job in enumerate(jobs):
                running[executor.submit(function, *job)] = index
                if len(running) >= 2 * width:
                    _collect(running, done)
            while running:
                _collect(running, done)
        except BaseException:
            for future in running:
                future.cancel()
            for future, index in running.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    done(index, future.result())
            raise


def _collect(running: dict[Future[Any], int], done: Done) -> None:
    """Waits until at least one job has ended. Results before errors, so that an error costs none of them."""
    finished = wait(running, return_when=FIRST_COMPLETED).done
    for future in sorted(finished, key=lambda one: one.exception() is not None):
        result = future.result()
        done(running[future], result)
        del running[future]


@contextmanager
def _executor(workers: int, dask: str) -> Iterator[tuple[Executor, int]]:
    """A cluster's executor and how many jobs it runs at a time."""
    distributed = require("distributed", "distributed")
    settings = require("dask.config", "distributed")
    with settings.set(LARGE_JOB), _client(distributed, workers, dask) as client:
        width = sum(client.nthreads().values())
        if not width:
            raise InputError(f"expected Dask workers at {dask}, found none; start some: dask worker {dask}")
        yield client.get_executor(pure=False), width


@contextmanager
def _client(distributed: Any, workers: int, dask: str) -> Iterator[Any]:
    if dask == LOCAL:
        sizes = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": 0}
        with (
            distributed.LocalCluster(dashboard_address=ANY_PORT, **sizes) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(dask, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"expected a Dask scheduler at {dask}, found: {error}; use its address, as tcp://host:8786, or local"
        ) from error
    with client:
        yield client
