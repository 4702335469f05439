"""The table of what is measured: engine, variant, modes, the package it needs, how far answers may differ."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from sanderling.errors import InputError

WINDOW, STREAM = "window", "stream"
MODES = (WINDOW, STREAM)
TOKENS = 64  # of a window
PATCH = 8  # samples a token
WINDOW_SAMPLES = TOKENS * PATCH
NATIVE = "native"
AUTO = "auto"  # a peer chooses its kernels itself, from all that the processor has


@dataclass(frozen=True)
class Bound:
    """How far a row's scores may be from the native ones: least Spearman correlation, most difference (agree.py)."""

    spearman: float
    difference: float


EXACT = Bound(1.0, 0.0)
# A float network against INT8 weights with INT8 rows; then what coarser activation grids add.
FLOAT = Bound(0.98, 0.10)
BFLOAT = Bound(0.95, 0.30)
ROWS = Bound(0.97, 0.20)
PER_TENSOR = Bound(0.90, 0.50)


@dataclass(frozen=True)
class Entry:
    """One row or two (window, stream) of the result.

    module: what must be importable; peer: module of sanderling.bench.peers; files: what `prepare` makes for it.
    """

    engine: str
    variant: str
    module: str
    peer: str
    bound: Bound
    modes: tuple[str, ...] = (WINDOW,)
    isa: str = AUTO

    @property
    def label(self) -> str:
        """Name in progress lines, tables and plots."""
        return f"{self.engine} {self.isa if self.engine == NATIVE else self.variant}"


PEERS = (
    Entry("onnxruntime", "fp32", "onnxruntime", "onnxruntime", FLOAT, MODES),
    Entry("onnxruntime", "int8-rows", "onnxruntime", "onnxruntime", ROWS, MODES),
    Entry("onnxruntime", "int8-dynamic", "onnxruntime", "onnxruntime", PER_TENSOR, MODES),
    Entry("onnxruntime", "int8-qdq", "onnxruntime", "onnxruntime", PER_TENSOR, MODES),
    Entry("openvino", "fp32", "openvino", "openvino", FLOAT),
    Entry("openvino", "bf16", "openvino", "openvino", BFLOAT),
    Entry("openvino", "int8", "openvino", "openvino", PER_TENSOR),
    Entry("openvino", "int8-bf16", "openvino", "openvino", BFLOAT),
    Entry("litert", "fp32", "ai_edge_litert", "litert", FLOAT),
    Entry("litert", "int8-dynamic", "ai_edge_litert", "litert", PER_TENSOR),
    Entry("litert", "int8-static", "ai_edge_litert", "litert", PER_TENSOR),
    Entry("executorch", "fp32", "executorch", "executorch", FLOAT),
    Entry("torch", "eager", "torch", "torch", FLOAT, MODES),
    Entry("torch", "compiled", "torch", "torch", FLOAT, MODES),
)

# What a user may meet, best first; a name that this build or processor lacks is reported as not run.
TIERS = {
    "x86_64": ("amx", "avx512vnni", "avxvnni", "avx2", "reference"),
    "aarch64": ("neon_dotprod", "neon", "reference"),
}


def native_entry(isa: str) -> Entry:
    return Entry(NATIVE, "int8", "sanderling", "native", EXACT, MODES, isa)


def native_tiers(machine: str | None = None) -> tuple[str, ...]:
    """Tiers of this kind of processor, and any other that is compiled in."""
    from sanderling.runtime.isa import isa_names

    known = TIERS.get(machine or platform.machine(), ("reference",))
    return (*known, *(name for name in isa_names(supported=False) if name not in known))


def why_no_tier(isa: str) -> str | None:
    """Why a tier cannot run here; None when it can."""
    from sanderling.runtime.isa import isa_names

    if isa not in isa_names(supported=False):
        return "not compiled into this build"
    return None if isa in isa_names() else "this processor lacks it"


def chosen(names: Iterable[str] | None) -> list[Entry]:
    """The entries of the named engines (None: all), native first. InputError for a name that is none."""
    known = {NATIVE, *(entry.engine for entry in PEERS)}
    wanted = known if names is None else set(names)
    if wanted - known:
        raise InputError(
            f"--engines: expected any of {', '.join(sorted(known))}; found {', '.join(sorted(wanted - known))}"
        )
    natives = [native_entry(isa) for isa in native_tiers()]
    return [entry for entry in (*natives, *PEERS) if entry.engine in wanted]


@dataclass
class Row:
    """A measured row; times in microseconds a call: a window of 64 tokens, or one patch."""

    engine: str
    variant: str
    isa: str
    mode: str
    median_us: float
    p10_us: float
    p90_us: float
    checked: bool
    cpu_us: float = 0.0
    calls: int = 0
    spearman: float = 0.0
    difference: float = 0.0
    settings: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict:
        return asdict(self)


@dataclass
class NotRun:
    """A row that is named and has no time."""

    engine: str
    variant: str
    isa: str
    mode: str
    why: str

    def to_dict(self) -> dict:
        return asdict(self)
