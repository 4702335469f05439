"""A folder of recordings: one result each, continued, in parallel, and by the command line."""

import json
import os

import numpy as np
import pytest

from sanderling import Detector
from sanderling.cli.main import main
from sanderling.errors import InputError
from sanderling.evaluate.archive import Request, find_recordings, score_archive
from sanderling.runtime.readers import read
from sanderling.score import score_recording

pytest.importorskip("sanderling._core", reason="the C++ core is not installed")


@pytest.fixture
def folder(tmp_path):
    """Three recordings that can be read, in two folders, and one that cannot."""
    root = tmp_path / "archive"
    (root / "sub").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for i, name in enumerate(("a.csv", "sub/a.csv", "b.npy")):
        x = np.random.default_rng(i).normal(size=(600, 1)).astype(np.float32)
        x[550:560] += 9
        if name.endswith(".npy"):
            np.save(root / name, x)
        else:
            (root / name).write_text("flow\n" + "\n".join(str(v) for v in x[:, 0]) + "\n")
    (root / "bad.csv").write_text("flow\nx\n")
    (root / "notes.md").write_text("no recording")
    (root / ".hidden" / "c.csv").write_text("flow\n1\n")
    return root


def names(folder, out):
    return {path: path.relative_to(folder) for path in find_recordings(folder, out)}


def statuses(outcomes):
    return [(outcome.recording.name, outcome.status) for outcome in outcomes]


def test_every_recording_gets_a_result(folder, model_path, tmp_path):
    out = tmp_path / "out"
    outcomes = score_archive(names(folder, out), model_path, out)
    expected = [("a.csv", "scored"), ("b.npy", "scored"), ("bad.csv", "failed"), ("a.csv", "scored")]
    assert statuses(outcomes) == expected
    assert "bad.csv" in outcomes[2].reason and not outcomes[2].output.exists()
    result = json.loads((out / "sub" / "a.csv.json").read_text())
    assert len(result["scores"]) == 600 and result["request"]["false_alarms"] == 1.0
    assert len(result["alarms"]) == outcomes[3].alarms
    alone = score_recording(Detector.load(model_path), read(folder / "sub" / "a.csv")).to_dict()
    result.pop("request")
    assert result == json.loads(json.dumps(alone))


def test_results_are_kept_until_something_changes(folder, model_path, tmp_path):
    out = tmp_path / "out"
    first = names(folder, out)
    score_archive(first, model_path, out)
    kept = [("a.csv", "kept"), ("b.npy", "kept"), ("bad.csv", "failed"), ("a.csv", "kept")]
    assert statuses(score_archive(first, model_path, out)) == kept
    changed = score_archive(first, model_path, out, request=Request(false_alarms=3))
    assert [status for _, status in statuses(changed)] == ["scored", "scored", "failed", "scored"]
    score_archive(first, model_path, out)
    (out / "a.csv.json").write_text('{"torn')
    newer = (out / "b.npy.json").stat().st_mtime_ns + 10**9
    os.utime(folder / "b.npy", ns=(newer, newer))
    again = score_archive(first, model_path, out)
    assert [status for _, status in statuses(again)] == ["scored", "scored", "failed", "kept"]


def test_another_model_scores_anew(folder, model_path, tmp_path):
    from tests.helpers.random_model import write_random_native

    out, other = tmp_path / "out", tmp_path / "other.gguf"
    write_random_native(other, seed=3)
    score_archive([folder / "a.csv"], model_path, out)
    assert statuses(score_archive([folder / "a.csv"], other, out)) == [("a.csv", "scored")]


def test_dask_writes_the_same_bytes(folder, model_path, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra distributed is not installed")
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    serial = score_archive(names(folder, alone), model_path, alone)
    with distributed.LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        outcomes = score_archive(names(folder, shared), model_path, shared, cluster.scheduler_address)
    assert statuses(outcomes) == statuses(serial)
    files = [file.relative_to(alone) for file in alone.rglob("*.json")]
    assert len(files) == 3
    assert all((alone / file).read_bytes() == (shared / file).read_bytes() for file in files)


def test_workers_and_progress(folder, model_path, tmp_path):
    seen = []
    out = tmp_path / "out"

    def progress(outcome, done, total):
        seen.append((done, total))

    score_archive(names(folder, out), model_path, out, workers=2, progress=progress)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_two_of_one_name_are_refused(folder, model_path, tmp_path):
    with pytest.raises(InputError, match="share a result"):
        score_archive([folder / "a.csv", folder / "sub" / "a.csv"], model_path, tmp_path / "out")


def test_results_and_hidden_files_are_no_recordings(folder, tmp_path):
    inside = folder / "out"
    inside.mkdir()
    (inside / "a.csv").write_text("flow\n1\n")
    found = [path.relative_to(folder).as_posix() for path in find_recordings(folder, inside)]
    assert found == ["a.csv", "b.npy", "bad.csv", "sub/a.csv"]
    with pytest.raises(InputError, match="expected recordings below"):
        find_recordings(tmp_path / "archive" / ".hidden", tmp_path / "archive")


def run(capsys, *arguments):
    code = main(["score", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_the_command_line(folder, model_path, tmp_path, capsys):
    out = tmp_path / "out"
    code, text, errors = run(capsys, folder, "-m", model_path, "-o", out)
    assert code == 2 and "bad.csv: failed: " in errors and errors.count("\n") == 1
    assert "a.csv: " in text and "alarm(s)" in text and "4/4" in text
    (folder / "bad.csv").unlink()
    code, text, errors = run(capsys, folder, "-m", model_path, "-o", out)
    assert (code, errors) == (0, "") and text.count(": kept") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["."], "expected -o FOLDER"),
        ([".", "-o", "out", "--json", "x.json"], "no --json"),
        (["a.csv", "-o", "out"], "expected a folder for --out"),
        (["a.csv", "--dask", "local"], "expected a folder for --out"),
        ([".", "-o", "out", "--workers", "0"], "at least 1 worker"),
        (["sub", "-o", "a.csv/out"], "expected to make the folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(folder, model_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    code, _, errors = run(capsys, *arguments, "-m", model_path)
    assert code == 2 and message in errors and errors.count("\n") == 1
