"""Jobs here, in processes and on Dask: the same results, and none lost on the way out."""

from concurrent.futures import Executor, Future
from contextlib import contextmanager

import numpy as np
import pytest

from sanderling.errors import InputError
from sanderling.evaluate import jobs
from sanderling.evaluate.baselines import amplitude, random_scores
from sanderling.evaluate.jobs import run_jobs
from sanderling.evaluate.run import evaluate_all
from sanderling.evaluate.series import Series


def recordings():
    for i in range(5):
        x = np.random.default_rng(i).normal(size=(900, 2)).astype(np.float32)
        labels = np.zeros(900, np.uint8)
        labels[700:720] = 1
        x[700:720] += i
        yield Series("st"[i % 2], str(i), x, labels, 500, 60.0)


def results(**how):
    found = evaluate_all(recordings(), {"a": amplitude, "r": random_scores}, **how)
    for result in found.values():
        for part in (*result["series"], *result["sets"].values()):
            part.pop("seconds")
    return repr(found)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="the extra distributed is not installed")
    with distributed.LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address=jobs.ANY_PORT) as running:
        yield running


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_once(workers):
    found = {}
    run_jobs(pow, ((i, 2) for i in range(7)), found.__setitem__, workers=workers)
    assert found == {i: i * i for i in range(7)}
    run_jobs(pow, [], found.__setitem__, workers=workers)


def test_dask_gives_the_serial_results(cluster):
    assert results(dask=cluster.scheduler_address) == results()


def test_a_dask_cluster_of_processes_on_this_machine():
    pytest.importorskip("distributed", reason="the extra distributed is not installed")
    assert results(dask="local", workers=2) == results()


def test_an_error_of_a_dask_job_comes_back_as_it_was(cluster):
    found = {}
    with pytest.raises(ValueError, match="invalid literal"):
        run_jobs(int, [("1",), ("x",)], found.__setitem__, dask=cluster.scheduler_address)
    assert found in ({}, {0: 1})


def test_nothing_at_the_address(monkeypatch):
    pytest.importorskip("distributed", reason="the extra distributed is not installed")
    monkeypatch.setattr(jobs, "CONNECT_SECONDS", 0.2)
    # Port 1 is privileged and unused on any test machine; the second is no address at all.
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(InputError, match="expected a Dask scheduler at"):
            run_jobs(pow, [(2, 2)], print, dask=address)


class Immediate(Executor):
    """Runs a job when it is submitted, so that which ones have ended is certain."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except ValueError as error:
            future.set_exception(error)
        return future


@pytest.fixture
def immediate(monkeypatch):
    @contextmanager
    def executor(workers, dask):
        yield Immediate(), workers

    monkeypatch.setattr(jobs, "_executor", executor)


def test_an_interrupt_loses_nothing_finished(immediate):
    def interrupted():
        yield from ((i, 2) for i in range(3))
        raise KeyboardInterrupt

    found = {}
    with pytest.raises(KeyboardInterrupt):
        run_jobs(pow, interrupted(), found.__setitem__, workers=2, dask="here")
    assert found == {0: 0, 1: 1, 2: 4}


def test_an_error_loses_nothing_finished(immediate):
    found = {}
    with pytest.raises(ValueError, match="invalid literal"):
        run_jobs(int, [("0",), ("x",), ("2",), ("3",)], found.__setitem__, workers=2, dask="here")
    assert found == {0: 0, 2: 2, 3: 3}


def test_at_most_two_jobs_a_worker_are_under_way(immediate, monkeypatch):
    taken, at_collect = [], []
    whole = jobs._collect

    def collect(running, done):
        at_collect.append(len(running))
        whole(running, done)

    monkeypatch.setattr(jobs, "_collect", collect)
    run_jobs(pow, ((taken.append(i) or i, 2) for i in range(9)), lambda *_: None, workers=2, dask="here")
    assert max(at_collect) == 4 and len(taken) == 9


def test_no_workers():
    with pytest.raises(InputError, match="at least 1 worker"):
        run_jobs(pow, [], print, workers=0)
