"""ONNX files that are damaged, changed or hostile: a typed error of one line, no crash, nothing written."""

import os

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from sanderling.export.onnx import write_onnx  # noqa: E402
from sanderling.export.reading import read_native  # noqa: E402

import sanderling  # noqa: E402
from sanderling.errors import FormatError, InputError, ModelError, SanderlingError, VersionError  # noqa: E402
from sanderling.runtime.onnx_file import DIGEST_KEY, KEY, describe, parse_onnx  # noqa: E402
from sanderling.runtime.wire import put_varint, varint  # noqa: E402


@pytest.fixture(scope="module")
def good(tmp_path_factory, model_path):
    path = tmp_path_factory.mktemp("onnx") / "good.onnx"
    write_onnx(path, read_native(model_path))
    return path


@pytest.fixture
def edited(good, tmp_path):
    """A function that changes the good model, without the digest that would tell, and returns the new file."""

    def edit(change):
        model = onnx.load(good)
        kept = [p for p in model.metadata_props if p.key != DIGEST_KEY]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        change(model)
        path = tmp_path / "edited.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return edit


def load(path, **options):
    return sanderling.Detector.load(path, **options)


def refused(path, kind=ModelError):
    before = sorted(os.listdir(path.parent))
    with pytest.raises(kind) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(path.parent)) == before
    return str(caught.value)


def test_varints():
    for value in (0, 1, 127, 128, 2**32, 2**64 - 1):
        data = put_varint(value)
        assert varint(data, 0, len(data)) == (value, len(data))
    for data in (b"", b"\x80", b"\xff" * 11):
        with pytest.raises(FormatError):
            varint(data, 0, len(data))


def test_description_is_onnx_s_own(good):
    model = onnx.load(good)
    found = describe(good)["graphs"][0]
    assert [t["name"] for t in found["inputs"]] == [v.name for v in model.graph.input]
    assert sum(found["operators"].values()) == len(model.graph.node)
    for tensor, own in zip(found["tensors"], model.graph.initializer, strict=True):
        array = onnx.numpy_helper.to_array(own)
        assert (tensor["name"], tensor["dtype"], tuple(tensor["shape"])) == (own.name, array.dtype.name, array.shape)
        assert tensor["bytes"] == array.nbytes


def test_truncated_anywhere(good, tmp_path):
    data = good.read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "cut.onnx"
    for n in [0, 1, 2, 3, 15, *rng.integers(16, len(data), 60), len(data) - 1]:
        path.write_bytes(data[:n])
        refused(path)


def test_a_flipped_bit_anywhere(good, tmp_path):
    data = good.read_bytes()
    start, end = parse_onnx(data).graph
    rng = np.random.default_rng(0)
    path = tmp_path / "flipped.onnx"
    for at in [*rng.integers(start, end, 80), *range(start - 4, start)]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        refused(path)


def test_a_flipped_bit_in_the_metadata_is_refused_or_harmless(good, tmp_path):
    data = good.read_bytes()
    rng = np.random.default_rng(1)
    path = tmp_path / "flipped.onnx"
    x = np.zeros((600, 1), np.float32)
    for at in rng.integers(parse_onnx(data).graph[1], len(data), 40):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            load(path, threads=1).decision_function(x)
        except SanderlingError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "data", [b"", b"\x08", b"\x08\x09", b"\x08\x09" + b"\xff" * 64, b"not a model at all", bytes(4096)]
)
def test_other_bytes(tmp_path, data):
    path = tmp_path / "other.onnx"
    path.write_bytes(data)
    refused(path)


def test_unknown_opset(edited):
    def raise_it(model):
        model.opset_import[0].version = 99

    assert "onnxruntime loads" in refused(edited(raise_it), FormatError)


def test_unknown_operator(edited):
    def rename(model):
        model.graph.node[0].op_type = "Frobnicate"

    refused(edited(rename), FormatError)


@pytest.mark.parametrize("location", ["absolute", "above", "link", "missing", "none"])
@pytest.mark.parametrize("nested", [False, True])
def test_external_data_outside_the_folder(edited, tmp_path, location, nested):
    outside = tmp_path.parent / f"{tmp_path.name}-outside.bin"
    outside.write_bytes(bytes(1 << 16))
    os.symlink(outside, tmp_path / "link.bin")
    names = {"absolute": str(outside), "above": f"../{outside.name}", "link": "link.bin", "missing": "gone.bin"}

    def point(model):
        tensor = model.graph.initializer[0]
        if nested:  # where a reader that looks at the graph's initialisers alone would miss it
            node = model.graph.node.add(op_type="Constant", output=["unused"])
            tensor = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t
            tensor.CopyFrom(model.graph.initializer[0])
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        if location in names:
            tensor.external_data.add(key="location", value=names[location])

    assert "external data" in refused(edited(point), FormatError)


def test_external_data_beside_the_model_runs(good, tmp_path):
    model = onnx.load(good)
    kept = [p for p in model.metadata_props if p.key != DIGEST_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    path = tmp_path / "m.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="m.bin", size_threshold=1024)
    assert describe(path)["metadata"]["external_data"]
    x = np.random.default_rng(0).standard_normal((600, 1)).astype(np.float32)
    expected = load(good, threads=1).decision_function(x)
    assert np.array_equal(load(path, threads=1).decision_function(x), expected)


def test_external_data_is_the_checked_one(good, tmp_path):
    """A link to the model: its own folder counts, not the link's, where another file has the data's name."""
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    model = onnx.load(good)
    del model.metadata_props[1:]
    onnx.save_model(model, own / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=1024)
    os.symlink(own / "m.onnx", other / "m.onnx")
    (other / "m.bin").write_bytes(bytes((own / "m.bin").stat().st_size))
    x = np.random.default_rng(0).standard_normal((600, 1)).astype(np.float32)
    expected = load(good, threads=1).decision_function(x)
    assert np.array_equal(load(other / "m.onnx", threads=1).decision_function(x), expected)


def rename_input(model):
    model.graph.input[0].name = "y"


def another_rank(model):
    model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1


def another_type(model):
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def another_size(model):
    model.graph.input[4].type.tensor_type.shape.dim[1].dim_value = 48


def one_output_less(model):
    del model.graph.output[0]


@pytest.mark.parametrize("change", [rename_input, another_rank, another_type, another_size, one_output_less])
def test_another_signature(edited, change):
    assert "put" in refused(edited(change), FormatError)


def set_metadata(text):
    def change(model):
        next(p for p in model.metadata_props if p.key == KEY).value = text

    return change


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version":1}', '{"version":1,"config":{"d_model":1e999}}', "[" * 100000]
)
def test_damaged_metadata(edited, text):
    refused(edited(set_metadata(text)), FormatError)


def test_another_version(edited):
    refused(edited(set_metadata('{"version":7}')), VersionError)


def test_no_metadata_of_ours(edited):
    def clear(model):
        del model.metadata_props[:]

    assert "sanderling exported" in refused(edited(clear), FormatError)


def test_options(good):
    with pytest.raises(InputError, match="options of onnxruntime"):
        load(good, frobnicate=1)
    with pytest.raises(InputError, match="providers of this onnxruntime"):
        load(good, providers=["NoSuchProvider"])
    with pytest.raises(InputError, match="threads"):
        load(good, threads=0)
    with pytest.raises(InputError, match="isa"):
        load(good, isa="reference")
