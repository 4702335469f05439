"""The bars that the figures are held against: ratios of medians of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .entries import NATIVE, STREAM, WINDOW

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """measured: None when a side was not run; met: None likewise; at_most: smaller is better.

    by_cpu: the same ratio of the medians of processor time; None where it has none. A busy machine lets long calls wait
    more often than short ones, which flatters the faster side: met asks for both ratios.
    """

    name: str
    bar: float
    measured: float | None
    unit: str = "x"
    at_most: bool = False
    by_cpu: float | None = None
    of: str = ""

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        if self.at_most:
            return self.measured <= self.bar
        return min(self.measured, self.measured if self.by_cpu is None else self.by_cpu) >= self.bar

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


# native tier -> (engine, variants or None for its best, bar)
_WINDOW_BARS = {
    "amx": (("onnxruntime", None, 3.5), ("openvino", None, 2.5), ("litert", None, 2.0)),
    "avx512vnni": (("onnxruntime", None, 2.0), ("openvino", None, 1.5), ("litert", None, 1.1)),
    "avxvnni": (("onnxruntime", "fp32", 1.2),),
    "avx2": (("onnxruntime", "fp32", 1.2),),
}
_GEMM_TIERS = ("avx2", "avxvnni", "avx512vnni")
_WAVELET_BARS = (((512, 1), 5.0), ((65536, 32), 3.0))


def bars(document: Document) -> list[Bar]:
    """Every bar, in the issue's order; rows whose answers do not agree count as not run."""
    return [*_windows(document), *_products(document), *_streams(document), *_wavelets(document), *_footprint(document)]


def _best(document: Document, mode: str, engine: str, variant: str | None = None, isa: str | None = None) -> Any:
    """The fastest row that agrees, or None."""
    wanted = {"mode": mode, "engine": engine, "checked": True}
    wanted |= {k: v for k, v in (("variant", variant), ("isa", isa)) if v is not None}
    rows = [row for row in document["rows"] if all(row[k] == v for k, v in wanted.items())]
    return min(rows, key=lambda row: row["median_us"], default=None)


def _ratio(name: str, bar: float, peer: Any, own: Any) -> Bar:
    if peer is None or own is None:
        return Bar(name, bar, None)
    by_cpu = peer["cpu_us"] / own["cpu_us"] if own.get("cpu_us") and peer.get("cpu_us") else None
    of = f"{peer['engine']} {peer['variant']} / {own['isa']}"
    return Bar(name, bar, _round(peer["median_us"] / own["median_us"]), by_cpu=_round(by_cpu), of=of)


def _windows(document: Document) -> Iterator[Bar]:
    for isa, against in _WINDOW_BARS.items():
        own = _best(document, WINDOW, NATIVE, isa=isa)
        for engine, variant, bar in against:
            peer = _best(document, WINDOW, engine, variant)
            yield _ratio(f"window: {isa} against {engine} {variant or '(its fastest)'}", bar, peer, own)


def _products(document: Document) -> Iterator[Bar]:
    peaks = document.get("peaks") or {}
    whole = {(row["isa"], row["M"]): row for row in peaks.get("gemm", ()) if row["name"] == "model" and row["checked"]}
    for isa in _GEMM_TIERS:
        row = whole.get((isa, 64))
        yield Bar(f"INT8 GEMM, M = 64: {isa} of its measured peak", 0.75, row and row["of_peak"], "of peak")
    for isa in _GEMM_TIERS:
        row = whole.get((isa, 1))
        yield Bar(f"INT8 GEMV, M = 1: {isa} of the measured L2 bandwidth", 0.70, row and row["of_l2"], "of L2")


def _streams(document: Document) -> Iterator[Bar]:
    own = _best(document, STREAM, NATIVE)
    again = _best(document, WINDOW, "onnxruntime")
    yield _ratio("stream: one patch against running the window again (onnxruntime's fastest)", 30.0, again, own)
    yield _ratio(
        "stream: one patch against onnxruntime's step graph (its fastest)",
        4.0,
        _best(document, STREAM, "onnxruntime"),
        own,
    )
    dynamic = document.get("dynamic") or {"stream": {}}
    yield Bar("dynamic mode in a stream: wall time saved", 0.25, dynamic["stream"].get("saved"), "saved")


def _wavelets(document: Document) -> Iterator[Bar]:
    rows = document.get("wavelet") or ()
    for (samples, channels), bar in _WAVELET_BARS:
        size = {"samples": samples, "channels": channels, "checked": True}
        found = [row["ratio"] for row in rows if all(row[k] == v for k, v in size.items())]
        yield Bar(f"wavedec: {samples:,} samples x {channels}, against PyWavelets", bar, found[0] if found else None)


def _footprint(document: Document) -> Iterator[Bar]:
    yield Bar("wheel without weights", 2.0, _round(document["wheel_bytes"] / 2**20), "MiB", at_most=True)
    times = document["import_ms"]
    own = times.get("sanderling.Detector")
    share = _round(own / times["numpy"]) if own is not None and times.get("numpy") else None
    yield Bar("import sanderling (and its core) over numpy's own import", 0.6, share, "of numpy's", at_most=True)
    runner = document.get("runner") or {}
    yield Bar("runner's resident memory, one channel", 8.0, runner.get("rss_mib"), "MiB", at_most=True)
    idle = [v for k, v in document["idle_cpu_ms_per_s"].items() if k.startswith(NATIVE) or k == "runner"]
    yield Bar("idle processor time", 0.1, max(idle) if idle else None, "ms/s", at_most=True)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
