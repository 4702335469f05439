"""The bearing evaluation: its measures, its table on generated records, and its bar on the real ones."""

import os

import numpy as np
import pytest

from sanderling.errors import InputError
from sanderling.evaluate.series import Series
from sanderling.evaluate.vibration import REFERENCE, auroc, evaluate, frame_rms, main, markdown

PERIOD = 1 / 48_000


def test_auroc_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 40).astype(float), rng.integers(3, 12, 30).astype(float)
    pairs = np.sign(b[:, None] - a[None]) / 2 + 0.5
    assert auroc(a, b) == pytest.approx(pairs.mean())
    assert auroc(a, a) == 0.5


def test_frame_rms_is_the_larger_channels() -> None:
    x = np.ones((100 * 10 + 3, 2))
    x[:, 1] = 2
    assert frame_rms(x, 10).tolist() == [2.0] * (100 - 64)


def test_table_on_generated_records(model_path) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2 * REFERENCE, 2)).astype(np.float32)
    records = [
        Series("s", "Normal", x, None, period_s=PERIOD),
        Series("s", "loud", 3 * x[::-1].copy(), None, period_s=PERIOD),
    ]
    table = evaluate(records, str(model_path), slice(0, 1))
    assert table["frame_samples"] == 240 and table["reference_frames"] == 266
    assert table["records"]["loud"]["rms_auroc"] == 1.0 and table["records"]["loud"]["auroc"] > 0.9
    assert "| loud |" in markdown("one", table) and "| least |" in markdown("one", table)


def test_the_folder_is_asked_for(monkeypatch) -> None:
    monkeypatch.delenv("SANDERLING_DATA", raising=False)
    with pytest.raises(InputError, match="SANDERLING_DATA"):
        main([])


def test_real_records(tmp_path, capsys) -> None:
    if not os.environ.get("SANDERLING_DATA"):
        pytest.skip("SANDERLING_DATA is unset")
    import json

    main(["--json", str(tmp_path / "out.json")])
    table = json.loads((tmp_path / "out.json").read_text())["tables"]["drive end"]
    assert len(table["records"]) == 13 and "| least |" in capsys.readouterr().out
    assert table["least"]["auroc"] >= max(0.95, table["least"]["rms_auroc"])
