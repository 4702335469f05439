"""Calling the runner, and reading what it writes."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.runner.recordings import recording, to_csv

Done = subprocess.CompletedProcess[bytes]
Run = Callable[..., Done]


def runner(command: Sequence[str]) -> Run:
    """run(*arguments, text=standard input, **options of subprocess.run) -> CompletedProcess."""

    def run(*arguments: object, text: str | bytes = b"", **options: Any) -> Done:
        data = text.encode() if isinstance(text, str) else text
        line = [*command, *map(str, arguments)]
        return subprocess.run(line, input=data, capture_output=True, check=False, **options)

    return run


def lines_of(done: Done) -> list[dict[str, Any]]:
    """The JSON lines of a run that went well; the last is the summary."""
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def scores_of(run: Run, model: Path, text: str, folder: Path, *options: object) -> NDArray[np.float32]:
    target = folder / "scores.bin"
    done = run(*options, "--scores-bin", target, model, text=text)
    assert done.returncode == 0, done.stderr.decode()
    return np.fromfile(target, "<f4")


def calibrated(run: Run, model: Path, folder: Path, channels: int, *options: object) -> Path:
    """The model, calibrated by the runner on a generated recording."""
    target = folder / "calibrated.gguf"
    text = to_csv(recording(600, channels, seed=5))
    done = run("--calibrate", "-", "-o", target, *options, model, text=text)
    assert done.returncode == 0, done.stderr.decode()
    return target


def isas(run: Run) -> list[str]:
    """What this processor has, best first."""
    return [name for name in run("--list-isa").stdout.decode().splitlines() if "(" not in name]


def assert_refused(done: Done, part: str) -> None:
    """What has to be put right is told on one line of standard error, with exit status 2."""
    message = done.stderr.decode()
    assert done.returncode == 2 and part in message and message.count("\n") == 1, message
