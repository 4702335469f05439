"""The coordinator's end of a worker."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sanderling.errors import SanderlingError

# Engines that read their number of threads from the environment.
ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
}


class WorkerError(SanderlingError):
    """A row's engine failed; the message is the row's reason."""


class Process:
    """A worker; stderr goes to `log`. Ctrl-C reaches the coordinator alone, which closes its workers."""

    def __init__(self, log: Path) -> None:
        self._log = log
        environment = {**os.environ, **ONE_THREAD}
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sanderling.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
                start_new_session=True,
            )

    def ask(self, do: str, **arguments: Any) -> Any:
        """The worker's result. WorkerError when the engine raised or the process died."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"its process ended with status {self._process.wait()}: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["result"]

    def busy_ns(self) -> int:
        """Processor time of all its threads so far."""
        return busy_ns(self._process.pid)

    def close(self) -> None:
        """Ends the process; it holds nothing that must be saved."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        return " ".join(next((line for line in reversed(lines) if line.strip()), "nothing said").split())[:300]


def busy_ns(pid: int) -> int:
    """Processor time of all threads of a process, nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def is_installed(module: str) -> bool:
    """Without importing it."""
    return importlib.util.find_spec(module) is not None
