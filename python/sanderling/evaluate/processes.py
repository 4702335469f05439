"""Jobs in worker processes, one at a time each, over a pipe of their own.

`concurrent.futures` would do, were it not for its ends: an interrupt while workers start may leave it waiting for
ever, and workers whose parent was killed wait for ever too. Here a pipe that closes ends its worker.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from sanderling.errors import WorkerError

Done = Callable[[int, Any], None]
Answer = tuple[bool, Any, str]  # whether it went well; the result or the error; the error's traceback


def run_in_processes(function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]], done: Done, workers: int) -> None:
    """Calls done(index, function(*job)) as each job ends, in any order; at most `workers` processes, started as needed.

    Function, jobs and results must pickle. The first error of a job is raised here, and WorkerError when a process
    ends before its job; like an interrupt it ends the others at once, after what they have finished reached `done`.
    """
    context = get_context("spawn")
    processes: list[Any] = []
    pipes: list[Connection] = []
    busy: dict[Connection, int] = {}
    idle: list[Connection] = []
    try:
        for index, job in enumerate(jobs):
            if not idle and len(processes) < workers:
                ours, theirs = context.Pipe()
                pipes.append(ours)
                idle.append(ours)
                with theirs, _uninterrupted():
                    processes.append(context.Process(target=_serve, args=(theirs,)))
                    processes[-1].start()
            while not idle:
                idle += _collect(busy, done)
            connection = idle.pop()
            busy[connection] = index
            try:
                connection.send((function, job))
            except ConnectionError as error:
                raise _lost() from error
        while busy:
            idle += _collect(busy, done)
    except BaseException:
        try:
            _collect(busy, done, at_once=True)
        finally:
            for process in processes:
                if process.pid is not None:
                    process.terminate()
        raise
    finally:
        for connection in pipes:
            connection.close()
        for process in processes:
            if process.pid is not None:
                process.join()


def _collect(busy: dict[Connection, int], done: Done, at_once: bool = False) -> list[Connection]:
    """Hands over what has ended, one job at least unless at_once. Results before errors: an error costs none."""
    failed: list[tuple[BaseException, str]] = []
    ended = [item for item in wait(list(busy), 0 if at_once else None) if isinstance(item, Connection)]
    for connection in ended:
        index = busy.pop(connection)
        try:
            well, value, where = connection.recv()
        except (EOFError, ConnectionError):
            well, value, where = False, _lost(), ""
        if well:
            done(index, value)
        else:
            failed.append((value, where))
    if failed and not at_once:
        error, where = failed[0]
        raise error from (RuntimeError(f"in a worker process:\n{where}") if where else None)
    return ended


def _lost() -> WorkerError:
    why = "found one that was killed or could not start (memory, or a script without `if __name__ == \"__main__\"`)"
    return WorkerError(f"expected worker processes that end their jobs, {why}; use fewer workers")


def _serve(connection: Connection) -> None:
    """A worker's life: jobs from the pipe until it closes."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker is enough
    with connection:
        while True:
            try:
                function, job = connection.recv()
                answer: Answer = (True, function(*job), "")
                whole = pickle.dumps(answer)
            except EOFError:
                return
            except Exception as error:
                whole = pickle.dumps((False, _portable(error), traceback.format_exc()))
            try:
                connection.send_bytes(whole)
            except ConnectionError:  # the parent is gone
                return


def _portable(error: Exception) -> Exception:
    """The error if it survives the pipe, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A process that starts in here is deaf to Ctrl-C, from its first instruction on; an interrupt waits for the end.

    Its parent ends it. The mask is inherited; the handler is for interrupts that reach another thread of ours.
    """
    heard: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and before not in (None, signal.SIG_IGN)
    if ours:
        signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if ours:
            signal.signal(signal.SIGINT, before)
        if heard:
            signal.raise_signal(signal.SIGINT)
