"""Batches: repeatable by (seed, step), labelled after the prefix, licences respected."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from sanderling.errors import InputError, StateError
from sanderling.train.data import (
    LICENCE_CLASSES,
    Batcher,
    LinearProgress,
    Recording,
    is_held_out,
    read_recordings,
)

LENGTH = 2048


def _packed(series):
    """The arrays of one file in the data folder's layout; int16 pool, plain (no differences)."""
    pool = np.concatenate([x.T.ravel() for x in series]).astype(np.int16)
    widths = [x.shape[1] for x in series]
    lengths = np.repeat([len(x) for x in series], widths)
    channels = sum(widths)
    return dict(
        names=np.array([f"s{i}" for i in range(len(series))]),
        length=np.array([len(x) for x in series]),
        n_channels=np.array(widths),
        ch_kind=np.zeros(channels, np.int64),
        ch_off=np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        ch_scale=np.full(channels, 0.5),
        ch_bias=np.full(channels, 1.0),
        i16=pool.view(np.uint8).reshape(-1, 2).T,
        f32=np.zeros((4, 0), np.uint8),
        delta=np.array(0),
    )


@pytest.fixture
def root(tmp_path):
    classes = (*LICENCE_CLASSES, "research", "non-commercial", "no-derivatives", "copyleft")
    entries = [(f"set_{c}", "pretrain", c, "1 s") for c in classes]
    entries += [("set_eval", "eval", "permissive", "1 s")]
    entries += [("set_apart", "pretrain", "permissive", "channels are INDEPENDENT samples")]
    x = np.arange(24, dtype=np.int16).reshape(8, 3)
    x[2, 1] = -32768
    datasets = []
    for name, role, licence, sampling in entries:
        np.savez(tmp_path / f"{name}.npz", **_packed([x, x[:, :1]]))
        datasets.append(
            dict(name=name, role=role, licence_class=licence, sampling=sampling, file=f"{name}.npz")
        )
    (tmp_path / "index.json").write_text(json.dumps({"datasets": datasets}))
    return tmp_path


def test_only_pretraining_sets_with_allowed_licences_are_read(root):
    found = read_recordings(root)
    sets = {r.name.split("/")[0] for r in found}
    assert sets == {"set_permissive", "set_public-domain", "set_attribution", "set_apart"}
    assert {r.name.split("/")[0] for r in read_recordings(root, ("attribution",))} == {
        "set_attribution"
    }


def test_values_nan_and_independent_channels(root):
    found = {r.name: r for r in read_recordings(root)}
    joint = found["set_permissive/s0"]
    assert joint.kind == "joint" and joint.x.shape == (8, 3) and joint.x.dtype == np.float32
    want = np.arange(24).reshape(8, 3) * 0.5 + 1.0
    want[2, 1] = np.nan
    assert np.array_equal(joint.x, want.astype(np.float32), equal_nan=True)
    assert [found[f"set_apart/s0/{c}"].x.shape for c in range(3)] == [(8, 1)] * 3
    assert found["set_apart/s0/1"].kind == "single"


@pytest.mark.parametrize("bad", ["research", "non-commercial", "no-derivatives", "copyleft"])
def test_other_licences_cannot_be_asked_for(root, bad):
    with pytest.raises(InputError, match=bad):
        read_recordings(root, (bad,))


def test_no_root_means_generated_only():
    assert read_recordings(None) == []


def test_real_data_folder():
    folder = os.environ.get("SANDERLING_DATA")
    if not folder:
        pytest.skip("SANDERLING_DATA is not set")
    found = read_recordings(folder)
    assert len({r.name for r in found}) == len(found) > 20
    held = [r for r in found if is_held_out(r.name)]
    assert 0 < len(held) < len(found) // 2
    batch = Batcher(0, batch=8, real_fraction=1.0, recordings=found, channels=2).batch_at(0)
    assert np.isfinite(batch["x"]).all()
    assert all("/" in name for name in batch["source"])


def _recordings():
    rng = np.random.default_rng(5)
    out = []
    for i in range(24):
        x = np.cumsum(rng.standard_normal((1500 + 200 * i, 1 + i % 3)), axis=0).astype(np.float32)
        x[100:110] = np.nan
        out.append(Recording(f"set/{i}", x, "joint"))
    return out


@pytest.mark.parametrize("channels", [1, 3, None])
def test_batch_shapes_and_labels(channels):
    batcher = Batcher(3, batch=6, channels=channels, recordings=_recordings())
    labelled = clean = 0
    for step in range(6):
        b = batcher.batch_at(step)
        c = channels or b["x"].shape[2]
        assert b["x"].shape == b["valid"].shape == b["labels"].shape == (6, LENGTH, c)
        assert b["x"].dtype == np.float32
        assert b["valid"].dtype == b["labels"].dtype == np.uint8
        assert np.isfinite(b["x"]).all() and np.abs(b["x"]).max() <= 20.0
        assert b["prefix"] in (512, 768, 1024)
        assert not b["labels"][:, : b["prefix"]].any()
        assert not b["labels"][b["valid"] == 0].any()
        assert len(b["source"]) == 6
        per_window = b["labels"].any(axis=(1, 2))
        labelled, clean = labelled + per_window.sum(), clean + (~per_window).sum()
    assert labelled >= 8 and clean >= 3


def test_same_seed_and_step_same_batch():
    recordings = _recordings()
    first, second = (Batcher(7, batch=4, recordings=recordings) for _ in range(2))
    first.batch_at(0)
    a, b = first.batch_at(5), second.batch_at(5)
    assert a["source"] == b["source"] and a["prefix"] == b["prefix"]
    assert all(np.array_equal(a[k], b[k]) for k in ("x", "valid", "labels"))
    assert not np.array_equal(a["x"], Batcher(8, batch=4, recordings=recordings).batch_at(5)["x"])


def test_splits_share_neither_recordings_nor_seeds():
    recordings = _recordings()
    train, valid = (Batcher(0, recordings=recordings, split=s) for s in ("train", "valid"))
    names = [{r.name for r in b.recordings} for b in (train, valid)]
    assert names[0] and names[1] and not names[0] & names[1]
    rng = np.random.default_rng(0)
    assert all(valid._window_seed(rng) % 8 == 0 for _ in range(50))
    assert all(train._window_seed(rng) % 8 != 0 for _ in range(50))


def test_short_recordings_are_left_out():
    short = [Recording("set/short", np.zeros((300, 1), np.float32), "single")]
    assert Batcher(0, batch=2, recordings=short, real_fraction=1.0).batch_at(0)["x"].shape[0] == 2


def test_real_fraction():
    recordings = _recordings()
    for fraction, want in ((0.0, 0), (1.0, 12)):
        b = Batcher(0, batch=12, recordings=recordings, real_fraction=fraction).batch_at(1)
        assert sum("/" in name for name in b["source"]) == want


def test_prefetched_stream_equals_the_plain_one_and_stops():
    batcher = Batcher(1, batch=2, progress=LinearProgress(10))
    want = list(batcher.stream(4, 7, prefetch=0))
    got = list(batcher.stream(4, 7, prefetch=2))
    assert len(got) == 3
    for a, b in zip(want, got, strict=True):
        assert np.array_equal(a["x"], b["x"]) and np.array_equal(a["labels"], b["labels"])
    endless = batcher.stream(0)
    assert np.array_equal(next(endless)["x"], batcher.batch_at(0)["x"])
    endless.close()


def test_failed_batch_process_is_an_error_not_a_hang():
    broken = Batcher(1, batch=2, progress=len)  # len(step) raises in the process
    with pytest.raises(StateError, match="prefetch=0"):
        next(broken.stream(0))


def test_linear_progress_is_monotone_and_ends_at_one():
    values = [LinearProgress(10)(s) for s in range(20)]
    assert values == sorted(values) and values[0] == 0.0 and values[-1] == 1.0


@pytest.mark.parametrize(
    "options", [dict(split="test"), dict(length=2047), dict(prefix=(500,)), dict(prefix=(4096,))]
)
def test_bad_options_are_named(options):
    with pytest.raises(InputError, match="expected"):
        Batcher(0, **options)


def test_windows_are_scaled_by_their_prefix():
    ramp = np.arange(4000, dtype=np.float32)[:, None] * 0.01
    name = next(f"set/{i}" for i in range(99) if not is_held_out(f"set/{i}"))
    recordings = [Recording(name, ramp, "single")]
    batcher = Batcher(0, batch=16, prefix=(1024,), recordings=recordings, real_fraction=1.0)
    b = batcher.batch_at(0)
    middle = np.median(b["x"][:, :1024], axis=1)
    assert np.abs(middle).max() < 0.05
    deviation = 1.4826 * np.median(np.abs(b["x"][:, :1024]), axis=1)
    assert 0.9 < np.median(deviation) < 1.1


def test_the_batch_process_ends_with_one_that_was_killed(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import os, signal\n"
        "from sanderling.train.data import Batcher\n"
        "if __name__ == '__main__':\n"
        "    batches = Batcher(0, batch=1, length=512, prefix=(256,)).stream(prefetch=1)\n"
        "    next(batches)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The batch process has the output too: it is at its end only when both are gone.
    done = subprocess.run([sys.executable, script], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
