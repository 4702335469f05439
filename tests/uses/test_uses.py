"""Every use end to end on small stand-ins, what its table says there, and the mistakes of a user."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sanderling.errors import InputError
from sanderling.uses import all as every
from sanderling.uses import bearings, city, common, fraud, servers, turbofan
from sanderling.uses.simulate_payments import Plan
from tests.uses import stand_in

pytest.importorskip("matplotlib")

PNG = b"\x89PNG"
PLAN = Plan(customers=120, districts=2, terminals=12, days=50, history_days=10, clean_days=32, incidents=(4, 3, 3))
MODULES = {"bearings": bearings, "servers": servers, "city": city, "turbofan": turbofan}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for write in (stand_in.write_servers, stand_in.write_city, stand_in.write_turbofan, stand_in.write_bearings):
        write(tmp_path / "data" / "eval")
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, model_path: Path, tmp_path: Path) -> Callable[[str], dict]:
    """Runs a use by its command line; its figures."""

    def by_name(name: str) -> dict:
        arguments = ["--data", str(data), "-m", str(model_path), "-o", str(tmp_path / "out")]
        assert common.main(name, MODULES[name].run, MODULES[name].__doc__, arguments) == 0
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(PNG)
        return json.loads((tmp_path / "out" / f"{name}.json").read_text())

    return by_name


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables of a text: cells by row, the heading first."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1] += [] if set(line) <= set("|-") else [[cell.strip() for cell in line.strip("|").split("|")]]
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_bearings(run: Callable, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    figures = run("bearings")
    assert figures["tables"]["drive end"]["records"]["1797_IR_7_DE48[DE,FE]"]["rms_auroc"] == 1.0
    one, _, three = figures["real_time"]
    assert one["times"] == pytest.approx(3 * three["times"]) and one["times"] > 1
    printed = capsys.readouterr().out
    assert printed.strip() == (tmp_path / "out" / "bearings.md").read_text().strip()
    assert "modelled, not measured" in printed


def test_a_heavier_model_is_slower() -> None:
    info = {"patch": 8, "n_layers": 4, "window": 16, "d_model": 192, "weight_bytes": 400_000}
    light, heavy = bearings.real_time(info)[0], bearings.real_time(info | {"weight_bytes": 800_000})[0]
    assert heavy["macs_per_s"] - light["macs_per_s"] == pytest.approx(7 * 12.5 * 400_000)


def test_servers(run: Callable, tmp_path: Path) -> None:
    figures = run("servers")
    machine = figures["machines"][0]
    assert machine["events"] == 1 and 0 < machine["vus_pr"] <= 1 and 0 < machine["knn_vus_pr"] <= 1
    first, second = tables((tmp_path / "out" / "servers.md").read_text())
    assert first[1][0] == "machine-0-0" and first[-1][0] == "mean" and {len(row) for row in first} == {9}
    assert len(second) == 1 + len(figures["detections"])


def test_servers_name_the_metric_that_was_off() -> None:
    from sanderling.evaluate.series import Series
    from sanderling.runtime.explanation import Explanation

    labels, own = np.zeros(64, np.uint8), np.full((64, 4), 0.5, np.float32)
    labels[40:48] = labels[56:60] = 1
    own[43:46] = (1, 7, 2, 4)
    item = Series("smd", "m", own, labels, 16, 60.0)
    hits = servers.detections(item, Explanation(own.max(axis=1), 5.0, own, np.zeros((8, 4, 8), np.float32)))
    assert [(hit["start"], hit["end"], hit["delay"]) for hit in hits] == [(24, 31, 3)]
    assert list(hits[0]["metrics"]) == [1, 3] and len(servers.METRICS) == 38


def test_city(run: Callable) -> None:
    rows = {row["name"]: row for row in run("city")["recordings"]}
    assert rows["machine_temperature_system_failure"]["mode"] == "calibrated"
    assert rows["speed_6005"]["mode"] == "cold"
    assert all(row["events"] == 1 for row in rows.values())


def test_turbofan(run: Callable, tmp_path: Path) -> None:
    engines = run("turbofan")["engines"]
    assert [engine["number"] for engine in engines] == [21, 22, 23, 24]
    assert min(engine["plain_rho"] for engine in engines) > 0.5
    assert "4 engines, 3 sensors" in (tmp_path / "out" / "turbofan.md").read_text()


def test_too_few_engines(data: Path, model_path: Path) -> None:
    stand_in.write_turbofan(data / "eval", engines=20)
    with pytest.raises(InputError, match="more than 20 engines"):
        turbofan.run(common.Inputs(data, str(model_path)))


@pytest.mark.parametrize(
    ("a", "b", "rho"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 90], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 1, 2, 3], [5, 5, 6, 7], 1.0),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),
    ],
)
def test_spearman(a: list[int], b: list[int], rho: float) -> None:
    assert turbofan.spearman(np.array(a), np.array(b)) == pytest.approx(rho)
    assert np.isnan(turbofan.spearman(np.array(a), np.ones(len(a))))


def test_fraud(model_path: Path) -> None:
    outcome = fraud.run(common.Inputs(None, str(model_path)), PLAN)
    assert outcome.figures["simulated"] is True
    for table in tables(outcome.markdown):
        assert table[0][0] == "SIMULATED"
    customers, terminals = outcome.figures["views"]
    assert customers["recordings"] == 2 and terminals["recordings"] == 12
    assert set(customers["patterns"]) == {1, 3} and set(terminals["patterns"]) == {2}
    assert terminals["z"]["auc_roc"] > 0.9 and terminals["z"]["recall"] > 0.5
    for view in (customers, terminals):
        for key in ("score", "z"):
            assert 0 <= view[key]["precision"] <= 1 and view[key]["patches"] > 0


def test_recently() -> None:
    marks = np.array([[0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]], bool)
    assert fraud.recently(marks, 2).astype(int).tolist() == [[0, 1, 1, 1, 0, 1], [0] * 6]


def test_largest_z_and_patches() -> None:
    x = np.array([[0.0, 1], [2, 1], [0, 1], [2, 1], [1, np.nan], [9, 1]])
    assert fraud.largest_z(x, 4).tolist() == [1, 1, 1, 1, 0, 8]
    assert fraud.by_patch(np.array([1, 5, 2, np.nan, 7]), 2).tolist() == [5, 2]


def test_all_writes_the_page(
    data: Path, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(every, "USES", {name: every.USES[name] for name in ("city", "turbofan")})
    docs = tmp_path / "page.md"
    docs.write_text(f"before\n{every.BEGIN}\nstale\n{every.END}\nafter\n")
    arguments = ["--data", str(data), "-m", str(model_path), "-o", str(tmp_path / "out"), "--docs", str(docs)]
    assert every.main(arguments) == 0
    page = docs.read_text()
    assert page.startswith(f"before\n{every.BEGIN}\nModel `random`") and page.endswith(f"{every.END}\nafter\n")
    assert "stale" not in page and "### Turbofan wear: measured" in page
    assert (tmp_path / "page" / "city.png").read_bytes() == (tmp_path / "out" / "city.png").read_bytes()
    assert every.main(arguments) == 0 and docs.read_text() == page
    docs.write_text("no markers")
    assert every.main(arguments) == 2 and every.BEGIN in capsys.readouterr().err.splitlines()[-1]
    assert docs.read_text() == "no markers"


def test_every_module_is_in_all_and_on_the_page() -> None:
    folder = Path(common.__file__).parent
    helpers = {"__init__", "all", "common", "simulate_payments", "payment_channels"}
    assert {path.stem for path in folder.glob("*.py")} - helpers == set(every.USES)
    page = (Path(__file__).resolve().parents[2] / "docs" / "uses.md").read_text()
    assert every.BEGIN in page and every.END in page
    assert all(f"`{name}`" in page for name in every.USES)


@pytest.mark.parametrize("name", MODULES)
def test_a_missing_file_is_named_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["--data", str(tmp_path), "-o", str(tmp_path / "out")]
    assert common.main(name, MODULES[name].run, "", arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"eval{os.sep}" in error and ".npz" in error


def test_no_folder_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.delenv("SANDERLING_DATA", raising=False)
    assert common.main("city", city.run, "", ["-o", str(tmp_path / "out")]) == 2
    assert "SANDERLING_DATA" in capsys.readouterr().err


def test_an_out_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "out").write_text("")
    assert common.main("city", city.run, "", ["-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_cells() -> None:
    text = common.grid(["a", "b"], [[1, float("nan")], ["x", 0.12345]])
    assert text == "| a | b |\n|---|---|\n| 1 | - |\n| x | 0.123 |\n"


def test_real_recordings(tmp_path: Path, model_path: Path) -> None:
    if not os.environ.get("SANDERLING_DATA"):
        pytest.skip("SANDERLING_DATA is unset")
    # The servers take a minute; their stand-in has the same layout.
    inputs = common.Inputs(None, str(model_path))
    found = {name: common.write(name, MODULES[name].run, inputs, tmp_path) for name in ("bearings", "city", "turbofan")}
    assert len(found["bearings"].figures["tables"]["both ends"]["records"]) == 13
    assert len(found["city"].figures["recordings"]) == 8 and len(found["turbofan"].figures["engines"]) == 80
