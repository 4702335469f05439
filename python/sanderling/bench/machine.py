"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_FLAGS = (
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
)
_PACKAGES = (
    "numpy",
    "onnxruntime",
    "onnx",
    "openvino",
    "nncf",
    "ai-edge-litert",
    "executorch",
    "torch",
    "PyWavelets",
)


def describe() -> dict[str, Any]:
    """Processor, caches, memory, system, load and versions; what the system does not say is left out."""
    info = _cpuinfo()
    flags = set(str(info.get("flags", info.get("Features", ""))).split())
    found = {
        "processor": info.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "isa_flags": [flag for flag in _FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "caches_kib": _caches(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "virtual": "hypervisor" in flags,
        "load_1min": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }
    return {key: value for key, value in found.items() if value is not None}


def resident_mib(pid: int | str = "self", peak: bool = False) -> float:
    """Resident memory of a process (VmRSS, or VmHWM for its peak)."""
    name = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return float("nan")


def _cpuinfo() -> dict[str, str]:
    first = (_read("/proc/cpuinfo") or "").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _caches() -> dict[str, int]:
    caches = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = (_read(folder / name) or "" for name in ("type", "level", "size"))
        if size.endswith("K"):
            caches[f"L{level}{'i' if kind == 'Instruction' else 'd' if kind == 'Data' else ''}"] = int(size[:-1])
    return caches


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
