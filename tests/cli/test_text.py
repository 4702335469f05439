"""`sanderling text`: each step's good case, and each mistake of a user."""

import io
import json
import sys

import pytest

from sanderling.cli.main import main

NORMAL = [f"pump {i} started at {10 + i % 9}:00" for i in range(60)]
ODD = [f"URGENT {i}: call 0800-1234-{i} NOW!!!" for i in range(6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    (path / "normal.txt").write_text("\n".join(NORMAL) + "\n")
    (path / "odd.txt").write_text("\n".join(ODD) + "\n")
    (path / "same.txt").write_text("pump started\n" * 60)
    rows = [*(f"{text},a" for text in NORMAL), *(f"{text},b" for text in ODD)]
    (path / "few.csv").write_text("\n".join(["text,label", *rows]))
    assert main(["text", "calibrate", str(path / "normal.txt"), "-o", str(path / "m.gguf"), "--encoder", "none"]) == 0
    return path


def test_clean(tmp_path, capsys):
    texts = tmp_path / "in.txt"
    texts.write_bytes(b"one\x00two\nmail a@b.org\n\nmail a@b.org\n\xff\n")
    assert main(["text", "clean", str(texts), "-o", str(tmp_path / "out.txt"), "--mask", "email"]) == 0
    assert (tmp_path / "out.txt").read_text() == "one two\nmail x@x.xxx\n"
    assert "5 texts, 3 cleaned, 2 kept" in capsys.readouterr().out


def test_score(folder, capsys):
    assert main(["text", "score", str(folder / "m.gguf"), str(folder / "odd.txt"), "--json", "--explain"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == ODD and all(row["alarm"] for row in rows)
    assert rows[0]["words"] and rows[0]["nearest"][0] in NORMAL


def test_a_hostile_line_is_said_as_it_is_scored(tmp_path, monkeypatch):
    """Nothing a terminal obeys, nothing the rules mask; JSON whatever the locale; an exported file too."""
    (tmp_path / "normal.txt").write_text("\n".join(NORMAL))
    model, odd = str(tmp_path / "m.gguf"), tmp_path / "odd.txt"
    made = ["text", "calibrate", str(tmp_path / "normal.txt"), "-o", model, "--encoder", "none", "--mask", "email"]
    assert main(made) == 0 and main(["text", "export", model, "-o", str(tmp_path / "board.gguf")]) == 0
    odd.write_bytes("\x1b[31mmail \u9999 bob@x.org\x9b2J \u202e\n".encode())
    said = "[31mmail \u9999 xxx@x.xxx 2J"
    for encoding in ("utf-8", "ascii"):
        for file in (model, str(tmp_path / "board.gguf")):
            out = io.BytesIO()
            monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding, errors="backslashreplace"))
            assert main(["text", "score", file, str(odd), "--json", "--explain"]) == 0
            assert json.loads(out.getvalue())["text"] == said
            assert main(["text", "score", file, str(odd), "--explain"]) == 0
            plain = out.getvalue().decode().split("\n", 1)[1]
            assert said.encode(encoding, "backslashreplace").decode() in plain
            assert "\x1b" not in plain and "bob" not in plain and ("nearest" in plain) == (file == model)


@pytest.mark.parametrize("source", ["stdin", "file"])
def test_watch(folder, capsys, monkeypatch, source):
    options = ["text", "watch", str(folder / "m.gguf")]
    if source == "stdin":
        text = "\n".join([*NORMAL[:3], ODD[0]]).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    else:
        from sanderling.text import sources

        def stop(_: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(sources.from_file, "__defaults__", (True, False, stop))
        options += ["--file", str(folder / "odd.txt"), "--from-start"]
    assert main(options) == (0 if source == "stdin" else 130)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == (ODD[:1] if source == "stdin" else ODD)


def test_fine_tune(folder, capsys):
    pytest.importorskip("sklearn", reason="the extra text is not installed")
    out = str(folder / "tuned.gguf")
    assert main(["text", "fine-tune", str(folder / "m.gguf"), str(folder / "odd.txt"), "-o", out]) == 0
    assert "6 labelled anomalies" in capsys.readouterr().out
    assert main(["text", "score", out, str(folder / "odd.txt")]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["score", "none", "none"], "found none at none"),
        (["score", "{folder}/normal.txt", "{folder}/odd.txt"], "expected a GGUF file"),
        (["score", "/dev/zero", "{folder}/odd.txt"], "no regular file"),
        (["calibrate", "none", "-o", "x"], "found no file at none"),
        (["calibrate", "{folder}/same.txt", "-o", "x", "--encoder", "none"], "found one 60 times"),
        (["calibrate", "/dev/zero", "-o", "x"], "expected UTF-8 text in /dev/zero"),
        (["clean", "{folder}/m.gguf", "-o", "x"], "found a model's GGUF file"),
        (["fine-tune", "{folder}/m.gguf", "{folder}", "-o", "x"], "directory"),
        (["calibrate", "{folder}/odd.txt", "-o", "x", "--encoder", "none"], "expected at least 32 normal texts"),
        (["calibrate", "{folder}/normal.txt", "-o", "x", "--encoder", "none", "--rate", "2"], "between 0 and 0.5"),
        (["calibrate", "{folder}/normal.txt", "-o", "x", "--encoder", "{folder}/odd.txt"], "expected"),
        (["clean", "{folder}/odd.txt", "-o", "x", "--mask", "names"], "expected a rule of email"),
        (["watch", "{folder}/m.gguf", "--file", "none"], "expected a log file"),
        (["evaluate", "{folder}/odd.txt", "--encoder", "none"], "expected a .parquet, .csv or .jsonl file"),
        (["calibrate", "{folder}/normal.txt", "-o", "x", "--encoder", "none", "--log"], "at least 512 normal lines"),
        (["pretrain", "{folder}/odd.txt", "-o", "x", "--encoder", "none"], "name one"),
        (["fine-tune", "{folder}/m.gguf", "{folder}/odd.txt", "-o", "x", "--rate", "0"], "between 0 and 0.5"),
        (["evaluate", "{folder}/few.csv", "--encoder", "none"], "found 50 labels and 6 anomalies; change --labels"),
        (["evaluate", "{folder}/none.parquet", "--encoder", "none"], "sanderling: expected texts, found no file"),
    ],
)
def test_mistakes(folder, capsys, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["text", *(argument.format(folder=folder) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pretrain", "x", "-o", "x", "--batch", "0"], "a whole number above 0"),
        (["clean", "x", "-o", "x", "--similarity", "nan"], "a number above 0"),
        (["evaluate", "x", "--seed", "-1"], "from 0 to 2^32 - 1"),
    ],
)
def test_numbers_that_are_none(capsys, arguments, said):
    with pytest.raises(SystemExit) as end:
        main(["text", *arguments])
    assert end.value.code == 2 and said in capsys.readouterr().err


def test_a_log(tmp_path, capsys, monkeypatch):
    pytest.importorskip("drain3", reason="the extra text is not installed")
    steps = ("connect from {}", "login of user {} accepted", "transfer of {} bytes done", "session {} closed")
    lines = [steps[i % 4].format(100 + 7 * i % 900) for i in range(1024)]
    (tmp_path / "normal.log").write_text("\n".join(lines))
    odd = [*lines[:40], *[steps[1].format(500 + i) for i in range(64)]]
    (tmp_path / "live.log").write_text("\n".join(odd))
    model = str(tmp_path / "plant.log")
    assert main(["text", "calibrate", "--log", str(tmp_path / "normal.log"), "-o", model, "--encoder", "none"]) == 0
    assert "1024 normal texts, 4 templates, characters + words + look" in capsys.readouterr().out
    assert main(["text", "export", model, "-o", "x"]) == 2
    assert "found one of logs (a zip)" in capsys.readouterr().err
    assert main(["text", "score", model, str(tmp_path / "live.log"), "--json"]) == 0
    scored = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in scored] == odd and any(row["alarm"] for row in scored[40:])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(odd).encode())))
    assert main(["text", "watch", model]) == 0
    alarms = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in alarms] == [row["text"] for row in scored if row["alarm"]]
    assert all(row["nats"]["sequence"] > 1 for row in alarms if row["text"] in odd[60:])


def test_evaluate_any_table(tmp_path, capsys):
    rows = [f"{NORMAL[i % 60]},a" for i in range(80)] + [f"{text},b" for text in ODD]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows]))
    assert main(["text", "evaluate", str(tmp_path / "mine.csv"), "--encoder", "none", "--labels", "0"]) == 0
    assert "| mine a | 1.000 |" in capsys.readouterr().out
    assert main(["evaluate", "text", str(tmp_path / "mine.csv"), "--encoder", "none", "--labels", "0"]) == 0
    assert "| mine a | 1.000 |" in capsys.readouterr().out
