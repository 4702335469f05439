"""Labelled tables: CSV, JSON lines, Parquet; what is wrong with one is said in a line."""

import json

import pytest

from sanderling.errors import InputError, ReadError
from sanderling.text.evaluate import evaluate, evaluate_log, log_table, table
from sanderling.text.sets import read_set

ROWS = [
    {"title": f"pump {i}", "body": None if i == 3 else f"ready, at {i % 7}", "kind": ("ok", "ok", "bad")[i % 3], "n": i}
    for i in range(120)
]


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def path(request, tmp_path):
    out = tmp_path / f"mine.{request.param}"
    if request.param == "jsonl":
        out.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "\n")
    elif request.param == "csv":
        lines = [f'{row["title"]},"{row["body"] or ""}",{row["kind"]},{row["n"]}' for row in ROWS]
        out.write_text("\n".join(["title,body,kind,n", *lines]))
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(ROWS), out)
    return out


def test_a_known_set_keeps_its_columns_when_only_the_normal_class_is_named(tmp_path):
    parquet, table = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow").Table
    rows = [{"title": "a", "description": f"b {i}", "label": ("Sports", "World")[i % 2]} for i in range(8)]
    rows += [{"title": "c", "description": "d", "label": name} for name in ("Business", "Sci/Tech")]
    parquet.write_table(table.from_pylist(rows), tmp_path / "ag_news_test.parquet")
    found = read_set(tmp_path / "ag_news_test.parquet", normal=("World",))
    assert found.normal == ("World",) and found.texts[1] == "a b 1"
    assert len(read_set(tmp_path / "ag_news_test.parquet").normal) == 4


def test_any_table(path):
    found = read_set(path, ("title", "body"), "kind")
    assert found.name == "mine" and found.normal == ("ok",) and len(found.texts) == 120
    assert (
        found.texts[3] == "pump 3 "
        and found.texts[4] == "pump 4 ready, at 4"
        and found.classes[:3] == ("ok", "ok", "bad")
    )
    assert read_set(path, ("title",), "kind", ("bad", "ok")).normal == ("bad", "ok")
    result = evaluate(found, "ok", None, labels=0)
    assert (result.reference, result.normal, result.anomalies) == (40, 40, 40)
    assert "| mine ok |" in table([result])
    with pytest.raises(InputError, match="'text' in mine.*--text"):
        read_set(path)
    with pytest.raises(InputError, match="'none'; choose of bad, ok"):
        read_set(path, ("title",), "kind", ("none",))


def test_labels_leave_the_calibrated_score_as_it_is(path):
    pytest.importorskip("sklearn", reason="the extra text is not installed")
    found = read_set(path, ("title", "body"), "kind")
    alone, labelled = evaluate(found, "ok", None, labels=0), evaluate(found, "ok", None, labels=8)
    assert labelled.calibrated == alone.calibrated and alone.labelled is None
    assert labelled.labelled is not None and "AUROC, 8 labels" in table([labelled], 8)
    for labels in (-1, 40):
        with pytest.raises(InputError, match=f"found {labels} labels and 40 anomalies; change --labels"):
            evaluate(found, "ok", None, labels=labels)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl", b"{", "expected a table"),
        ("a.jsonl", b"[1]\n", "no object"),
        ("a.jsonl", b"\xff\xfe\n", "expected a table"),
        ("a.csv", b"text,label\na\0b,x\n", "2 classes"),
        ("a.csv", b"", "2 classes"),
        ("a.csv", b"text,label\n" + b"x" * 200_000 + b",a\n", "expected a table"),
        ("a.parquet", b"PAR1", "Parquet"),
        ("a.txt", b"a", "convert it"),
    ],
)
def test_wrong_tables(tmp_path, name, data, said):
    path = tmp_path / name
    path.write_bytes(data)
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises((InputError, ReadError), match=said):
        read_set(path)
    with pytest.raises(ReadError, match="check the path"):
        read_set(tmp_path / f"none{path.suffix}" if path.suffix != ".txt" else tmp_path / "none.csv")


def test_a_log(tmp_path):
    pytest.importorskip("drain3", reason="the extra text is not installed")
    steps = ("connect from {}", "login of user {} accepted", "transfer of {} bytes done", "session {} closed")
    rows = [{"text": steps[i % 4].format(i % 50), "label": "ok"} for i in range(1200)]
    rows[701] = {"text": "kernel: Oops at 7", "label": "alert"}
    path = tmp_path / "plant.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = read_set(path)
    log, text, unseen = evaluate_log(task, "ok", None)
    assert log.lines.auroc == text.lines.auroc == unseen.lines.auroc == 1.0 and log.windows.recall == 1.0
    assert log_table([log, text, unseen]).count("\n") == 4
