"""Every instruction set that this processor has gives the same bytes; others are refused by name."""

import hashlib

import numpy as np
import pytest

from sanderling import Detector, isa_names, selected_isa
from sanderling.errors import IsaError
from tests.runtime.conftest import signal


def test_the_reference_is_always_there() -> None:
    assert isa_names()[-1] == "reference"
    assert set(isa_names()) <= set(isa_names(supported=False))


@pytest.mark.parametrize("isa", isa_names())
def test_every_isa_gives_the_reference_bytes(model_path, tmp_path, isa: str) -> None:
    x = signal(900, 3)
    x[600:640, 1] = np.nan

    def run(name: str) -> tuple[bytes, bytes, bytes, str]:
        detector = Detector.load(model_path, isa=name)
        assert detector.isa == name
        cold = detector.decision_function(x).tobytes()
        detector.fit(x[:500])
        assert detector.isa == name
        detector.save(tmp_path / f"{name}.gguf")
        file = hashlib.sha256((tmp_path / f"{name}.gguf").read_bytes()).hexdigest()
        return cold, detector.decision_function(x).tobytes(), detector.reconstruct(x).tobytes(), file

    assert run(isa) == run("reference")


def test_the_environment_forces_an_isa(model_path, monkeypatch) -> None:
    monkeypatch.setenv("SANDERLING_ISA", "reference")
    assert Detector.load(model_path).isa == "reference" == selected_isa()
    best = isa_names()[0]
    assert Detector.load(model_path, isa=best).isa == best  # the argument wins
    monkeypatch.delenv("SANDERLING_ISA")
    assert Detector.load(model_path).isa == best == selected_isa()


@pytest.mark.parametrize("name", ["mmx", "AVX2", "reference ", "a" * 100])
def test_an_unknown_isa(model_path, monkeypatch, name: str) -> None:
    with pytest.raises(IsaError, match="reference"):
        Detector.load(model_path, isa=name)
    monkeypatch.setenv("SANDERLING_ISA", name)
    with pytest.raises(IsaError, match="reference"):
        Detector.load(model_path)
    with pytest.raises(IsaError, match="reference"):
        selected_isa()
