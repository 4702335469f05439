"""Adapting a native file: at most 3 % of the parameters, a better kept-back part, the same grid, no harm."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra (torch)")
pytest.importorskip("gguf", reason="needs the train extra (gguf)")

from sanderling import Detector  # noqa: E402
from sanderling.errors import (  # noqa: E402
    CalibrationError,
    DtypeError,
    FormatError,
    InputError,
    ModelNotFoundError,
    ShapeError,
    StorageError,
)
from sanderling.model import SIZES  # noqa: E402
from sanderling.train.adapt import adapt_file  # noqa: E402
from sanderling.train.adapt_data import KEPT_SEQUENCES, LONGEST, MAX_NODES, Segments  # noqa: E402
from sanderling.train.adapt_loop import AdaptOptions, Clock, hide  # noqa: E402
from sanderling.train.adapt_native import linear_layers, read_native, to_torch, write_native  # noqa: E402
from sanderling.train.adapters import MAX_RANK, attach, merge, on_steps, ranks_within, row_steps  # noqa: E402

STEPS = 30
QUICK = AdaptOptions(lr=2e-2)  # a random network has far to go


def wave(samples: int = 3000, channels: int = 1, seed: int = 0) -> np.ndarray:
    t = np.arange(samples)[:, None] / np.linspace(5, 9, channels)
    noise = np.random.default_rng(seed).standard_normal((samples, channels))
    return (np.sin(t) + 0.05 * noise).astype(np.float32)


def adapt(model_path, reference, out, **changes):
    return adapt_file(model_path, reference, out, **{"steps": STEPS, "threads": 1, "options": QUICK, **changes})


@pytest.fixture(scope="module")
def adapted(model_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("adapted") / "a.gguf"
    return out, adapt(model_path, wave(), out)


def test_the_kept_back_loss_falls_with_at_most_three_percent(adapted, model_path):
    out, report = adapted
    native = read_native(model_path)
    assert report.adapted and report.reason == "" and report.steps == STEPS
    assert report.loss_after < report.loss_before
    assert 0 < report.trained <= 0.03 * native.parameters and report.share <= 0.03
    assert report.lineage == native.sha256


def test_the_engine_predicts_better_where_adapting_did_not_look(adapted, model_path):
    """The INT8 engine's own reconstruction of the kept-back fifth."""
    x = wave()
    errors = []
    for file in (model_path, adapted[0]):
        x_hat = Detector.load(file).fit(x).reconstruct(x)
        errors.append(float(np.abs(x_hat - x)[2400:].mean()))
    assert errors[1] < 0.8 * errors[0]


def test_only_adapted_matrices_differ_and_they_stay_on_the_grid(adapted, model_path):
    before, after = read_native(model_path), read_native(adapted[0])
    assert list(before.tensors) == list(after.tensors)
    changed = {n for n, t in before.tensors.items() if not np.array_equal(t, after.tensors[n])}
    layers = linear_layers(to_torch(before)[0])
    allowed = {f"{n}.{part}" for n in layers for part in ("weight", "scale")}
    assert changed and changed <= allowed
    for name, tensor in after.tensors.items():
        assert tensor.dtype == before.tensors[name].dtype and tensor.shape == before.tensors[name].shape
        if tensor.dtype == np.int8:
            assert tensor.min() >= -127
    for name in changed:
        if name.endswith(".scale"):  # a step only grows, where the row outgrew it
            assert (after.tensors[name] >= before.tensors[name]).all()


def test_the_file_names_where_it_comes_from_and_calibration_keeps_that(adapted, model_path, tmp_path):
    out, report = adapted
    Detector.load(out).fit(wave()).save(tmp_path / "c.gguf")
    for file in (out, tmp_path / "c.gguf"):
        keys = {name: value for name, (value, _, _) in read_native(file).keys.items()}
        assert keys["general.adapter.source_sha256"] == report.lineage
        assert keys["general.adapter.steps"] == STEPS and keys["general.adapter.trained"] == report.trained
        assert len(keys["general.adapter.reference_sha256"]) == 64
    before = read_native(model_path).keys
    assert {k: v for k, v in read_native(out).keys.items() if not k.startswith("general.")} == before


def test_steps_give_the_same_bytes_and_a_calibrated_source_the_same_model(adapted, model_path, tmp_path):
    adapt(model_path, wave(), tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == adapted[0].read_bytes()
    Detector.load(model_path).fit(wave(600)).save(tmp_path / "calibrated.gguf")
    adapt(tmp_path / "calibrated.gguf", wave(), tmp_path / "b.gguf")
    assert not Detector.load(tmp_path / "b.gguf").calibrated
    tensors = read_native(tmp_path / "b.gguf").tensors
    for name, tensor in read_native(adapted[0]).tensors.items():
        assert np.array_equal(tensor, tensors[name]), name


def test_what_does_not_help_is_not_written(model_path, tmp_path):
    """A step so long that the loss explodes: the file holds the weights that it began with."""
    report = adapt(model_path, wave(), tmp_path / "a.gguf", steps=5, options=replace(QUICK, lr=1e3))
    assert not report.adapted and "did not fall" in report.reason
    assert report.loss_after == report.loss_before
    before, after = read_native(model_path), read_native(tmp_path / "a.gguf")
    assert all(np.array_equal(t, after.tensors[n]) for n, t in before.tensors.items())


def test_a_short_reference_is_calibration_s_alone(model_path, tmp_path):
    report = adapt(model_path, wave(256), tmp_path / "a.gguf")
    assert not report.adapted and report.steps == report.trained == 0 and "too few" in report.reason
    assert np.isnan(report.loss_before)
    Detector.load(tmp_path / "a.gguf").fit(wave(256))


def test_the_budget_of_time_ends_the_training(model_path, tmp_path):
    report = adapt(model_path, wave(600), tmp_path / "a.gguf", steps=None, seconds=1e-3)
    assert report.steps == 0 and "too short" in report.reason and not report.adapted


def test_missing_and_constant_channels(model_path, tmp_path):
    x = wave(3000, 4)
    x[:, 1] = 5.0
    x[:, 2] = np.nan
    x[500:600, 0] = np.nan
    x[700, 3] = np.inf
    report = adapt(model_path, x, tmp_path / "a.gguf", steps=10)
    assert report.adapted and np.isfinite(report.loss_after)
    scores = Detector.load(tmp_path / "a.gguf").fit(x).decision_function(x)
    assert np.isfinite(scores).any()
    nothing = np.full((600, 2), np.nan, np.float32)
    assert "no channel" in adapt(model_path, nothing, tmp_path / "b.gguf").reason


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        (wave(255), CalibrationError),
        (np.zeros((300, 2, 2), np.float32), ShapeError),
        (np.zeros((0, 1), np.float32), ShapeError),
        (np.array(["a"] * 300), DtypeError),
    ],
)
def test_references_that_cannot_be_used(model_path, tmp_path, reference, error):
    with pytest.raises(error, match="expected"):
        adapt(model_path, reference, tmp_path / "a.gguf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "option", [{"steps": 0}, {"seconds": 0.0}, {"seconds": float("nan")}, {"threads": 0}, {"scaling": "minmax"}]
)
def test_senseless_options(model_path, tmp_path, option):
    with pytest.raises(InputError, match="expected"):
        adapt(model_path, wave(600), tmp_path / "a.gguf", **option)


def test_files_that_cannot_be_read_or_written(model_path, tmp_path):
    with pytest.raises(ModelNotFoundError):
        adapt("absent.gguf", wave(600), tmp_path / "a.gguf")
    (tmp_path / "broken.gguf").write_bytes(model_path.read_bytes()[:1000])
    with pytest.raises(FormatError):
        adapt(tmp_path / "broken.gguf", wave(600), tmp_path / "a.gguf")
    with pytest.raises(StorageError, match="absent"):
        adapt(model_path, wave(600), tmp_path / "absent" / "a.gguf", steps=1)


def test_an_interrupt_leaves_the_old_file(model_path, tmp_path):
    out = tmp_path / "a.gguf"
    out.write_bytes(b"old")

    def interrupt(done: float, loss: float, best: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt(model_path, wave(600), out, progress=interrupt)
    assert out.read_bytes() == b"old" and list(tmp_path.iterdir()) == [out]


def test_the_written_network_is_the_read_one(model_path, tmp_path):
    native = read_native(model_path)
    write_native(tmp_path / "copy.gguf", native, {}, {})
    x = wave(1500)
    scores = [Detector.load(f).fit(x).decision_function(x) for f in (model_path, tmp_path / "copy.gguf")]
    assert np.array_equal(*scores)


def test_the_torch_network_computes_what_the_engine_does(model_path):
    """Up to the rounding of activations: the weights are in the right places."""
    from sanderling.signal.scale import apply_scale, fit_scale, unsquash

    x = wave(1600, 2)
    location, spread = fit_scale(x)
    network, _ = to_torch(read_native(model_path))
    with torch.no_grad():
        scaled = torch.from_numpy(apply_scale(x, location, spread))[None]
        y = network.encode(scaled).decoded.reconstruction.flatten(2)[0].T.numpy()
    x_hat = unsquash(y) * spread + location
    engine = Detector.load(model_path).fit(x).reconstruct(x)
    assert np.abs(x_hat - engine).mean() < 0.02 * engine.std()


def test_ranks_stay_within_the_budget():
    shapes = {"a": (64, 32), "b": (32, 32), "c": (16, 4)}
    for budget in (0, 19, 20, 100, 180, 10_000):
        ranks = ranks_within(shapes, budget)
        assert sum(r * sum(shapes[n]) for n, r in ranks.items()) <= budget
        assert all(r <= min(MAX_RANK, min(shapes[n]) - 1) for n, r in ranks.items())
    assert ranks_within(shapes, 180) == {"a": 1, "b": 1, "c": 1}
    assert ranks_within(shapes, 10_000) == {"a": MAX_RANK, "b": MAX_RANK, "c": 3}


def test_fresh_adapters_change_nothing_and_merge_leaves_no_trace():
    layer = torch.nn.Linear(32, 24)
    steps = layer.weight.detach().abs().amax(1) / 127
    with torch.no_grad():
        layer.weight.copy_(on_steps(layer.weight, steps))
    before = layer.weight.detach().clone()
    trained = attach({"x": layer}, {"x": steps}, 3 * 56, seed=0)
    assert sum(p.numel() for p in trained) == 3 * 56 and torch.equal(layer.weight, before)
    with torch.no_grad():
        trained[0].normal_()
    moved = layer.weight.detach().clone()
    grid = row_steps(before + (trained[0] @ trained[1]).detach(), steps)
    merge([layer])
    assert torch.equal(layer.weight, moved) and not hasattr(layer, "parametrizations")
    integers = moved / grid[:, None]
    assert (integers - integers.round()).abs().max() < 1e-3 and integers.abs().max() < 127.5


def test_hidden_patches_are_filled_from_the_past():
    x = torch.arange(1.0, 33.0).reshape(1, 32, 1)
    batch = type("B", (), {"x": x, "valid": torch.ones_like(x)})()
    mask = torch.tensor([[[False, True, True, False]]])
    filled, valid = hide(batch, mask, 8)
    assert (filled[0, 8:24, 0] == 8).all() and torch.equal(filled[0, 24:], x[0, 24:])
    assert valid[0, :, 0].tolist() == [1.0] * 8 + [0.0] * 16 + [1.0] * 8


def test_training_and_kept_back_parts_do_not_meet():
    """The training part's targets end where those of the kept-back part begin; every kept token is judged."""
    config = SIZES["micro"]
    x = np.arange(8 * 500, dtype=np.float32)[:, None] + np.zeros(2, np.float32)
    segments = Segments(x, config, "standard", 0)
    start = segments.train_tokens
    assert start == 400
    border = segments.x[8 * start, 0]
    for step in range(20):
        assert segments.training(step)["x"].max() < border
    judged = np.concatenate([b["x"][b["labels"] == 0] for b in segments.kept_back()])
    assert judged.min() == border and len(np.unique(judged)) == 8 * 100


def test_many_channels_are_drawn_in_turn():
    segments = Segments(wave(2000, 38), SIZES["micro"], "robust", 0)
    for step in range(3):
        batch = segments.training(step)
        assert batch["x"].shape == (1, LONGEST * 8, MAX_NODES)
    assert not np.array_equal(segments.training(0)["x"], segments.training(1)["x"])
    judged = [batch["x"].shape[2] for batch in segments.kept_back()]
    assert sum(judged) == KEPT_SEQUENCES and max(judged) <= MAX_NODES


def test_the_clock_counts_steps_or_seconds():
    counted = Clock(0.0, None, 4)
    counted.steps = 3
    assert counted.done(1e9) == 0.75  # the machine's speed plays no part
    assert Clock(0.0, 1.0, 4).done(2.0) == 1.0  # no time to train at all
    plenty = Clock(float("inf"), 1e9, 4)  # begins in the future: only the steps count
    plenty.steps = 2
    assert plenty.done(0.0) == 0.5
