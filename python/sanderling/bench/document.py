"""The whole result: what `--json` holds (docs/bench.md has its keys)."""

from __future__ import annotations

import tempfile
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sanderling
from sanderling.runtime.detector import Detector
from sanderling.runtime.weights import resolve

from . import costs, dynamic, machine, peaks, samples, wavelet
from .bars import bars
from .entries import NATIVE, chosen
from .measure import QUICK, Bench, Plan, Say

FORMAT = 1


@dataclass(frozen=True)
class Wanted:
    """What the user asked for; None: the default."""

    model: str | None = None
    engines: Sequence[str] | None = None
    quick: bool = False
    rounds: int | None = None
    cpu: int | None = None
    realtime: bool = False
    kernels: Path | None = None
    runner: Path | None = None
    recordings: list[Path] = field(default_factory=list)


def plan_of(wanted: Wanted) -> Plan:
    """The plan of --quick, or the full one, with what was given put in."""
    plan = QUICK if wanted.quick else Plan()
    values = {**asdict(plan), "cpu": wanted.cpu, "realtime": wanted.realtime}
    if wanted.rounds is not None:
        values["rounds"] = wanted.rounds
    return Plan(**values)


def run(wanted: Wanted, say: Say) -> dict[str, Any]:
    """Measures. Ctrl-C during the rounds ends them: the result has the rounds so far and `complete` false."""
    entries, plan = chosen(wanted.engines), plan_of(wanted)
    file = resolve(wanted.model)
    model = Detector.load(file)
    with tempfile.TemporaryDirectory(prefix="sanderling-bench-") as folder:
        bench = Bench(model, entries, plan, Path(folder), say)
        complete = True
        try:
            bench.prepare()
            try:
                bench.rounds()
                bench.idle()
            except KeyboardInterrupt:
                complete = False
                say(f"interrupted after {bench.rounds_done} of {plan.rounds} rounds")
        finally:
            bench.close()
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": sanderling.__version__,
            "complete": complete,
            "rounds": bench.rounds_done,
            "quick": wanted.quick,
            "cpu": plan.cpu,
            "realtime": plan.realtime,
            "model": _model(file, Path(bench.native)),
            "machine": machine.describe(),
            "rows": [row.to_dict() for row in bench.rows()],
            "not_run": [row.to_dict() for row in bench.not_run],
        }
        for key in ("load_ms", "rss_mib", "python_mib", "model_bytes", "idle_cpu_ms_per_s"):
            document[key] = {name: found[key] for name, found in bench.per_engine.items() if key in found}
        document |= {"import_ms": {}, "peaks": None, "notes": {}}
        if complete and NATIVE in (engines := {entry.engine for entry in entries}):
            try:
                _beside(document, wanted, plan, bench.native, engines, say)
            except KeyboardInterrupt:
                document["complete"] = False
    document |= {"disk_bytes": costs.disk_bytes(), "wheel_bytes": costs.wheel_bytes()}
    document["bars"] = [bar.to_dict() for bar in bars(document)]
    return document


def _beside(
    document: dict[str, Any], wanted: Wanted, plan: Plan, native: Path, engines: Container[str], say: Say
) -> None:
    """What is measured beside the rows, into `document`; a part that cannot be is None, and `notes` says why."""
    few, notes = max(3, plan.rounds // 8), document["notes"]
    say("import times")
    document["import_ms"] = costs.import_ms(few, engines)
    if wanted.runner is None:
        notes["runner"] = "expected sanderling-run by --runner or SANDERLING_RUNNER, found none"
    else:
        say("the runner")
        document["runner"] = costs.runner(wanted.runner, native, samples.make(8)[1], plan.idle_s)
        document["idle_cpu_ms_per_s"]["runner"] = document["runner"]["idle_cpu_ms_per_s"]
    say("wavelets")
    _put(document, "wavelet", wavelet.compare(plan.rounds))
    say("peaks")
    _put(document, "peaks", peaks.measure(peaks.find(wanted.kernels), native, max(few, 5), plan.cpu))
    say("dynamic mode")
    none = f"expected a recording by --recording, {dynamic.DATA} or {dynamic.WHEEL}, found none"
    _put(document, "dynamic", dynamic.compare(wanted.model, wanted.recordings, few) or none)


def _put(document: dict[str, Any], key: str, found: Any) -> None:
    """Text is the reason why there is nothing."""
    document[key] = None if isinstance(found, str) else found
    if isinstance(found, str):
        document["notes"][key] = found


def _model(file: Path, calibrated: Path) -> dict[str, Any]:
    model = Detector.load(file)
    return {
        "name": file.name,
        "variant": str(model.info["variant"]),
        "sha256": model.sha256(),
        "bytes": file.stat().st_size,
        "calibrated_bytes": calibrated.stat().st_size,
    }
