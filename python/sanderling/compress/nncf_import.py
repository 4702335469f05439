"""Import NNCF with its telemetry off and without a C++ compiler at hand."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

from ..errors import DependencyError

SENDER = "openvino_telemetry"


def import_nncf() -> ModuleType:
    """The nncf module, silent.

    `import nncf` starts openvino_telemetry, which writes a client id below HOME and sends events without
    asking. NNCF falls back to a stub when that package cannot be imported, so it is hidden while NNCF loads.

    Raises:
        DependencyError: nncf is not installed, or something imported it before, with its telemetry on.
    """
    if "nncf" not in sys.modules:
        before = sys.modules.get(SENDER)
        sys.modules[SENDER] = None  # type: ignore[assignment]  # makes its import fail
        try:
            import nncf
        except ImportError as error:
            raise DependencyError(
                f"expected the package nncf, found none ({error}); run: pip install 'sanderling[train]'"
            ) from error
        finally:
            if before is None:
                del sys.modules[SENDER]
            else:
                sys.modules[SENDER] = before
    import nncf
    from nncf.telemetry import telemetry

    if type(telemetry).__name__ == "NNCFTelemetry":
        raise DependencyError(
            "nncf: expected its telemetry off, found it on because nncf was imported before "
            "sanderling.compress; call sanderling.compress.nncf_import.import_nncf() first"
        )
    _use_torch_kernels()
    return nncf


def _use_torch_kernels() -> None:
    """Give NNCF its own torch fallback at once.

    Otherwise the first fake-quantised forward compiles a C++ extension below HOME for minutes, and fails
    after 60 seconds on a slow machine.
    """
    from nncf.torch.quantization.extensions import QuantizedFunctionsCPU
    from nncf.torch.quantization.reference import ReferenceBackendType, ReferenceQuantize

    kernels = ReferenceQuantize(backend_type=ReferenceBackendType.TORCH)
    QuantizedFunctionsCPU._loaded_namespace = SimpleNamespace(
        Quantize_forward=kernels.forward, Quantize_backward=kernels.backward
    )
