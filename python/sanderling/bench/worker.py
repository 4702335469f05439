"""A process that holds one engine and does what the coordinator says: `python -m sanderling.bench.worker`.

JSON lines: requests on standard input, one answer each on the descriptor that was standard output (what engines print
goes to standard error). Its own process, so that engines share no threads, no memory and no floating-point mode.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .entries import PATCH, STREAM, WINDOW
from .machine import resident_mib

WARM_UP = 2  # calls that bring code and weights back into the caches after the other rows' turns


class Worker:
    """One open engine; every method is a request and returns what JSON can hold."""

    def __init__(self) -> None:
        self.before_mib = resident_mib()
        self.session: Any = None
        self.windows = np.empty((0, 0), np.float32)

    def prepare(self, peer: str, native: str, variant: str, folder: str) -> str:
        """Makes the engine's files."""
        return str(_peer(peer).prepare(Path(native), variant, Path(folder)))

    def load(self, peer: str, path: str, variant: str, isa: str, windows: str, cpu: int | None) -> dict[str, Any]:
        """Opens the engine; windows: .npz of `raw` and `scaled` (n, 512); cpu: the one to stay on."""
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        begin = time.perf_counter()
        module = _peer(peer)
        imported = time.perf_counter()
        self.session = module.load(Path(path), variant, isa)
        loaded = time.perf_counter()
        with np.load(windows) as arrays:
            self.windows = arrays["raw" if self.session.takes_raw else "scaled"]
        return {
            "import_ms": (imported - begin) * 1e3,
            "load_ms": (loaded - imported) * 1e3,
            "settings": self.session.settings(),
        }

    def check(self, mode: str, count: int, out: str) -> None:
        """Scores of the first `count` windows, each from a fresh state, into a .npy (count, 64)."""
        each = self._stepped if mode == STREAM else self.session.fresh_window
        np.save(out, np.stack([np.asarray(each(window), np.float32) for window in self.windows[:count]]))

    def time(self, mode: str, calls: int, start: int) -> dict[str, Any]:
        """Nanoseconds of each call by the clock and of all threads; start: the first window's number."""
        call, inputs = self._timed(mode, calls + WARM_UP, start)
        for x in inputs[:WARM_UP]:
            call(x)
        clock, busy = time.perf_counter_ns, time.process_time_ns
        wall, cpu = [], []
        for x in inputs[WARM_UP:]:
            worked, begin = busy(), clock()
            call(x)
            end = clock()
            cpu.append(busy() - worked)
            wall.append(end - begin)
        return {"wall_ns": wall, "cpu_ns": cpu}

    def prefer(self) -> bool:
        """Real-time scheduling for every thread: a busy machine's other work waits. False without the right."""
        try:
            for task in Path("/proc/self/task").iterdir():
                os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))
        except PermissionError:
            return False
        return True

    def memory(self) -> dict[str, float]:
        """Resident MiB now, and before the engine's package was imported."""
        return {"rss_mib": resident_mib(), "before_mib": self.before_mib}

    def _stepped(self, window: np.ndarray) -> list[float]:
        self.session.reset()
        return [self.session.step(x) for x in window.reshape(-1, PATCH)]

    def _timed(self, mode: str, calls: int, start: int) -> tuple[Callable[[Any], Any], list[np.ndarray]]:
        if mode == WINDOW:
            return self.session.window, [self.windows[(start + i) % len(self.windows)] for i in range(calls)]
        patches = self.windows.reshape(-1, PATCH)
        return self.session.step, [patches[(start + i) % len(patches)] for i in range(calls)]


def _peer(name: str) -> Any:
    return importlib.import_module(f"sanderling.bench.peers.{name}")


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answers until the requests end."""
    worker = Worker()
    for line in requests:
        request = json.loads(line)
        try:
            answer: dict[str, Any] = {"result": getattr(worker, request.pop("do"))(**request)}
        except Exception as error:  # whatever a peer raises is the row's reason, not the run's end
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    private = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, private)
