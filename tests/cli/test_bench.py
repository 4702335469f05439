"""`sanderling bench`: the good case and a user's mistakes."""

from __future__ import annotations

import json

import pytest

from sanderling.bench import costs, document
from sanderling.bench.entries import chosen
from sanderling.bench.measure import Plan
from sanderling.cli.main import main


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(document, "QUICK", Plan(rounds=1, turn_ms=0.5, max_calls=2, checked=1, idle_s=0.02))
    monkeypatch.setattr(costs, "import_ms", lambda repeats, engines: {"numpy": 1.0})
    slowest = chosen(["native"])[-1:]
    monkeypatch.setattr(document, "chosen", lambda engines: slowest if engines == ["native"] else chosen(engines))
    monkeypatch.delenv("SANDERLING_DATA", raising=False)
    monkeypatch.delenv("SANDERLING_AEON_WHEEL", raising=False)


def test_writes_what_was_asked_for(model_path, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    names = [f"--{kind}={tmp_path / kind}" for kind in ("json", "markdown", "plot")]
    assert main(["bench", "--quick", "--engines", "native", "--model", str(model_path), *names]) == 0
    out = capsys.readouterr()
    assert "**native reference**" in out.out and "round 1/1" in out.err
    result = json.loads((tmp_path / "json").read_text())
    assert result["rows"] and result["complete"]
    assert (tmp_path / "markdown").read_text().startswith("# sanderling bench")
    assert (tmp_path / "plot").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options, found",
    [
        (["--engines", "native,caffe"], "caffe"),
        (["--rounds", "0"], "found 0"),
        (["--cpu", "100000"], "found 100000"),
        (["--model", "no-such-model"], "no-such-model"),
    ],
)
def test_mistakes_end_in_one_line(options, found, capsys):
    assert main(["bench", *options]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and found in errors[0]


def test_a_wrong_answer_is_the_exit_status(model_path, monkeypatch, capsys):
    right = document.run

    def wrong(*arguments):
        result = right(*arguments)
        result["rows"][0]["checked"] = False
        return result

    monkeypatch.setattr(document, "run", wrong)
    assert main(["bench", "--quick", "--engines", "native", "--model", str(model_path)]) == 1
    assert "**NO**" in capsys.readouterr().out
