"""TFLite files that are damaged, changed or hostile: a typed error of one line, no crash, nothing written."""

import io
import os
import random
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

flatbuffers = pytest.importorskip("flatbuffers")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

import sanderling  # noqa: E402
from sanderling.cli.main import main  # noqa: E402
from sanderling.errors import FormatError, ModelError, StorageError, VersionError  # noqa: E402
from sanderling.runtime import flatbuffer, tflite_container  # noqa: E402
from sanderling.runtime.graph_metadata import parse_document, write_document  # noqa: E402
from sanderling.runtime.tflite_container import DIGEST, DOCUMENT, document_text, sealed  # noqa: E402
from sanderling.runtime.tflite_engine import open_engine  # noqa: E402
from sanderling.runtime.tflite_file import describe, parse  # noqa: E402
from tests.helpers import tflite  # noqa: E402

FLIPS = 150


@pytest.fixture(scope="module")
def good():
    return (tflite.files() / "two" / "litert.tflite").read_bytes()


def document(content):
    found = parse_document(document_text(parse(content)))
    return {**found, "config": found["config"].to_keys()}


@pytest.fixture
def edited(good, tmp_path):
    """A function that changes the good file's tables, seals it again with a right digest, and returns the new file."""

    def edit(change, keys=None, calibration=None):
        model = schema.ModelT.InitFromPackedBuf(good, 0)
        change(model)
        builder = flatbuffers.Builder(len(good))
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        content = sealed(bytes(builder.Output()), {**document(good), **(keys or {})}, calibration or {})
        path = tmp_path / "edited.tflite"
        path.write_bytes(content)
        return path

    return edit


def refused(path, kind=FormatError):
    before = {name: (path.parent / name).read_bytes() for name in os.listdir(path.parent)}
    with pytest.raises(kind) as caught:
        sanderling.Detector.load(path, backend="tflite")
    assert "\n" not in str(caught.value)
    assert {name: (path.parent / name).read_bytes() for name in os.listdir(path.parent)} == before
    return str(caught.value)


def test_the_unedited_file_loads(edited):
    assert sanderling.Detector.load(edited(lambda model: None)).backend == "tflite"


def test_describe_reads_shapes_operators_types_sizes(good, tmp_path, capsys):
    path = tmp_path / "m.tflite"
    path.write_bytes(good)
    found = describe(path)
    assert found["format"] == "tflite" and found["bytes"] == len(good)
    assert {graph["name"] for graph in found["graphs"]} == {"step", "sequence"}
    step = next(graph for graph in found["graphs"] if graph["name"] == "step")
    assert {"name": "x", "dtype": "float32", "shape": [8, 2]} in step["inputs"]
    assert {"name": "score", "dtype": "float32", "shape": [1]} in step["outputs"]
    assert step["operators"]["FULLY_CONNECTED"] > 5
    # qkv, out, up, down, metric, graph's two, the scorer's two; its last has one row, so one scale.
    assert step["constants"]["int8"]["tensors"] == 9 and step["constants"]["int8"]["per_channel"] == 8
    assert '"profile":"litert"' in found["metadata"][DOCUMENT]
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert found["sha256"] in shown and "FULLY_CONNECTED" in shown and "graph sequence" in shown


def test_both_graphs_share_their_weights(good):
    model = schema.ModelT.InitFromPackedBuf(good, 0)
    used = [{t.buffer for t in graph.tensors if t.type == schema.TensorType.INT8} for graph in model.subgraphs]
    assert len(used[0]) == 9 and used[0] == used[1]


def test_truncated_anywhere(good, tmp_path):
    path = tmp_path / "cut.tflite"
    for size in {*range(9, len(good), len(good) // 60), len(good) - 1}:
        path.write_bytes(good[:size])
        refused(path)


def test_one_flipped_bit_anywhere(good, tmp_path):
    """The digest covers every byte; without it an interpreter would compute with what it finds."""
    path, rng = tmp_path / "flipped.tflite", random.Random(0)
    for _ in range(FLIPS):
        damaged = bytearray(good)
        at = rng.randrange(8, len(good))
        damaged[at] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        refused(path, ModelError)


def test_the_reader_alone_survives_damage(good):
    """Dense damage where the tables are: FormatError or a description, nothing else."""
    rng, refusals = random.Random(1), 0
    for _ in range(FLIPS):
        damaged = bytearray(good)
        for _ in range(rng.choice((1, 4, 40))):
            at = rng.choice((rng.randrange(8, 4096), rng.randrange(8, len(good))))
            damaged[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        try:
            parse(bytes(damaged))
        except FormatError:
            refusals += 1
    assert refusals > FLIPS // 20


def test_a_custom_operator_is_named(edited):
    def change(model):
        code = model.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "FlexErf"

    path = edited(change)
    assert "FlexErf" in refused(path)
    assert any("CUSTOM FlexErf" in graph["operators"] for graph in describe(path)["graphs"])


def set_name(model, name):
    model.signatureDefs[0].inputs[0].name = name


def set_shape(model):
    tensor = next(t for t in model.subgraphs[0].tensors if list(t.shape) == [8, 2])
    tensor.shape = np.array([2, 8], np.int32)


def set_type(model):
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = schema.TensorType.INT32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: set_name(m, "y"), "found None"),
        (set_shape, "float32"),
        (set_type, "int32"),
        (lambda m: setattr(m.signatureDefs[0], "signatureKey", "other"), "signature 'step'"),
        (lambda m: setattr(m, "version", 2), "schema version 3, found 2"),
        (lambda m: setattr(m.subgraphs[0].operators[0], "opcodeIndex", 10_000), "operator code"),
        (lambda m: setattr(m.subgraphs[0].tensors[0], "buffer", 10_000_000), "tensor buffer"),
        (lambda m: setattr(m.subgraphs[0].operators[0], "inputs", np.array([-7], np.int32)), "a tensor below"),
        (lambda m: setattr(m.operatorCodes[0], "builtinCode", 4_000), "operator code"),
        (lambda m: setattr(m.subgraphs[0].tensors[0], "type", 99), "type 99"),
    ],
)
def test_changed_tables(good, tmp_path, change, message):
    """With no digest that would tell: the reader and the signature's check find each of them."""
    model = schema.ModelT.InitFromPackedBuf(good, 0)
    change(model)
    builder = flatbuffers.Builder(len(good))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path = tmp_path / "changed.tflite"
    content = bytearray(builder.Output())
    try:
        content = sealed(bytes(content), document(good), {})
    except FormatError:
        pass  # what the reader refuses cannot be sealed
    path.write_bytes(content)
    assert message in refused(path)


@pytest.mark.parametrize(
    ("keys", "kind", "message"),
    [
        ({"version": 2}, VersionError, "version 1, found 2"),
        ({"profile": "tpu"}, FormatError, "found 'tpu'"),
        ({"channels": 3}, FormatError, "(3, 8)"),
        ({"channels": None}, FormatError, "channels, tokens and rows"),
        ({"tokens": [1, 32]}, FormatError, "sequence"),
        ({"rows": [64, 64]}, FormatError, "memory"),
    ],
)
def test_changed_documents(edited, keys, kind, message):
    assert message in refused(edited(lambda model: None, keys), kind)


def calibrated(path, tmp_path):
    x = np.random.default_rng(0).standard_normal((600, 2)).astype(np.float32)
    out = tmp_path / "c.tflite"
    sanderling.Detector.load(path).fit(x).save(out)
    return out


def test_a_calibration_without_its_archive(good, tmp_path):
    path = tmp_path / "good.tflite"
    path.write_bytes(good)
    whole = calibrated(path, tmp_path).read_bytes()
    assert zipfile.ZipFile(io.BytesIO(whole)).namelist()[0] == "metric_memory.npy"
    path.write_bytes(sealed(whole, document(whole), {}))
    assert "calibrate again" in refused(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {**a, "center": a["center"][:1]}, "expected center.npy"),
        (lambda a: {**a, "raw_memory": a["raw_memory"].transpose(0, 2, 1)}, "expected raw_memory.npy"),
        (lambda a: {**a, "spread": np.full_like(a["spread"], np.nan)}, "finite numbers in spread"),
        (lambda a: {name: value for name, value in a.items() if name != "offset"}, "offset"),
    ],
)
def test_changed_archives(good, tmp_path, change, message):
    path = tmp_path / "good.tflite"
    path.write_bytes(good)
    whole = calibrated(path, tmp_path).read_bytes()
    stored = open_engine(tmp_path / "c.tflite").stored
    path.write_bytes(sealed(whole, document(whole), change(stored)))
    assert message in refused(path)
    with zipfile.ZipFile(path) as archive, archive.open("metric_memory.npy") as member:  # NumPy reads what we write
        assert np.array_equal(np.lib.format.read_array(member, allow_pickle=False), stored["metric_memory"])


def test_a_bomb_in_the_archive_is_not_unpacked(good, tmp_path, monkeypatch):
    path = tmp_path / "good.tflite"
    path.write_bytes(good)
    whole = calibrated(path, tmp_path).read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("metric_memory.npy", bytes(1 << 27))
    monkeypatch.setattr(tflite_container, "_archive", lambda _: archive.getvalue())
    path.write_bytes(sealed(whole, document(whole), {"metric_memory": np.zeros(1)}))
    tracemalloc.start()
    assert "metric_memory" in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 26
    tracemalloc.stop()


def test_one_table_a_hundred_thousand_times_costs_an_error():
    """A vector of offsets to one table: the budget ends it, and a small one is read."""

    def tables(count):
        vtable, root_at, vector_at = struct.pack("<HHHxx", 6, 8, 4), 16, 24
        entries = b"".join(struct.pack("<I", 4 * (count - i)) for i in range(count))
        root = struct.pack("<iI", root_at - 8, vector_at - root_at - 4)
        target = vector_at + 4 + 4 * count
        data = struct.pack("<I", root_at) + b"TFL3" + vtable + root + struct.pack("<I", count) + entries
        data += struct.pack("<iI", target - 8, 0)
        return list(flatbuffer.Buffer(memoryview(data), steps=1000).root().tables(0))

    assert len(tables(900)) == 900
    with pytest.raises(FormatError, match="fewer than"):
        tables(100_000)


def test_files_that_are_no_tflite(tmp_path):
    far = struct.pack("<I", 2**32 - 1) + b"TFL3" + bytes(64)
    for content in (b"", b"TFL3", b"\0\0\0\0TFL3", far, b"GGUF" + bytes(64)):
        with pytest.raises(FormatError):
            parse(content)
    with pytest.raises(StorageError):
        describe(tmp_path / "none.tflite")
    with pytest.raises(StorageError):
        describe(tmp_path)


def test_a_document_that_grew_is_refused_before_anything_is_written(good):
    with pytest.raises(sanderling.SanderlingError, match="at most"):
        sealed(good, {**document(good), "lineage": {"data": "x" * 10_000}}, {})
    assert write_document(document(good)) == document_text(parse(good))
    assert len(parse(good).metadata_bytes(DIGEST)) == 32
