"""Scores an archive of many recordings, in parallel and resumably."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from sanderling.errors import InputError, SanderlingError, StorageError
from sanderling.evaluate.jobs import run_jobs
from sanderling.files import write_file

SUFFIXES = (".csv", ".tsv", ".txt", ".wav", ".npy", ".npz", ".parquet", ".pq")


@dataclass(frozen=True)
class Request:
    """The options of `sanderling score` that scores depend on."""

    columns: tuple[str, ...] = ()
    time: str = ""
    label: str = ""
    period_s: float | None = None
    false_alarms: float = 1.0
    frame_ms: float | None = None
    dynamic: bool = False
    hindsight: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON gives it back."""
        return {**asdict(self), "columns": list(self.columns)}


@dataclass(frozen=True)
class Outcome:
    """One recording: where its result is, and "scored", "kept" (it was there), or "failed" with the reason."""

    recording: Path
    output: Path
    status: str
    alarms: int = 0
    reason: str = ""


def find_recordings(folder: str | os.PathLike[str], besides: str | os.PathLike[str]) -> list[Path]:
    """Recordings below `folder` by sorted path, those below `besides` (the results) and hidden ones left out."""
    root, results = Path(folder), Path(besides).resolve()
    found = [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not path.resolve().is_relative_to(results)
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not found:
        raise InputError(f"{root}: expected recordings below it ({' '.join(SUFFIXES)}), found none")
    return found


def score_archive(
    paths: Mapping[Path, Path] | Iterable[str | os.PathLike[str]],
    model: str | os.PathLike[str] | None,
    out_folder: str | os.PathLike[str],
    dask: str | None = None,
    workers: int = 1,
    *,
    isa: str | None = None,
    request: Request | None = None,
    progress: Callable[[Outcome, int, int], None] | None = None,
) -> list[Outcome]:
    """Scores recordings as `sanderling score --json` does; one JSON file each in `out_folder`, outcomes in order.

    paths: recordings, or recording -> its name relative to out_folder; the result is that name with .json appended.
    A result that is newer than its recording and has the model's sha256 and the request is kept. A recording that
    cannot be read is an outcome, no error. workers, dask: see `jobs.run_jobs`; the workers must see the same
    files. progress(outcome, done, total). Raises InputError (two recordings of one name), ModelError, StorageError.
    """
    from sanderling.runtime.detector import Detector

    named = dict(paths) if isinstance(paths, Mapping) else {Path(path): Path(Path(path).name) for path in paths}
    outputs = {recording: Path(out_folder) / f"{name}.json" for recording, name in named.items()}
    if len(set(outputs.values())) < len(outputs):
        raise InputError("expected recordings of different names, found two that would share a result; rename one")
    detector = Detector.load(model, isa)
    assert detector.path is not None
    request = request or Request()
    key = {"model_sha256": detector.sha256(), "request": request.to_dict()}
    found: dict[int, Outcome] = {}

    def done(index: int, outcome: Outcome) -> None:
        found[index] = outcome
        if progress:
            progress(outcome, len(found), len(outputs))

    order = list(outputs)
    todo = [index for index, recording in enumerate(order) if not _is_current(recording, outputs[recording], key)]
    for index, recording in enumerate(order):
        if index not in set(todo):
            done(index, Outcome(recording, outputs[recording], "kept"))
    jobs = ((order[index], outputs[order[index]], detector.path, isa, request, key) for index in todo)
    run_jobs(score_one, jobs, lambda i, outcome: done(todo[i], outcome), workers=workers, dask=dask)
    return [found[index] for index in sorted(found)]


def score_one(
    recording: Path, output: Path, model: Path, isa: str | None, request: Request, key: dict[str, Any]
) -> Outcome:
    """Scores one recording into `output`; the job of `score_archive`."""
    from sanderling.runtime.detector import Detector
    from sanderling.runtime.readers import read
    from sanderling.score import score_recording

    frames = {} if request.frame_ms is None else {"frame_ms": request.frame_ms}
    try:
        signal = read(
            recording,
            columns=request.columns,
            time=request.time,
            label=request.label,
            period_s=request.period_s,
        )
        ways = {"dynamic": request.dynamic, "hindsight": request.hindsight}
        wanted: dict[str, Any] = {"false_alarms": request.false_alarms, **ways, **frames}
        detector = Detector.load(model, isa, period_s=signal.period_s, **wanted)
        if detector.sha256() != key["model_sha256"]:
            raise InputError(f"expected one model on every worker, found another at {model}; copy it there")
        scored = score_recording(detector, signal)
    except SanderlingError as error:
        return Outcome(recording, output, "failed", reason=" ".join(str(error).split()))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"expected to make the folder {output.parent}, found: {error.strerror}") from error

    def write(binary: Any) -> None:
        file = TextIOWrapper(binary, "ascii")
        json.dump({**scored.to_dict(), "request": key["request"]}, file, allow_nan=False)
        file.write("\n")
        file.detach()

    write_file(output, write)
    return Outcome(recording, output, "scored", alarms=len(scored.alarms))


def _is_current(recording: Path, output: Path, key: dict[str, Any]) -> bool:
    try:
        if output.stat().st_mtime_ns < recording.stat().st_mtime_ns:
            return False
        result = json.loads(output.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(result, dict) and all(result.get(name) == value for name, value in key.items())
