"""Losses, Lookahead and the training loop: learns, resumes, survives an interrupt."""

import os
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra (torch)")

from sanderling.errors import FormatError, InputError, ReadError, StorageError  # noqa: E402
from sanderling.model import SIZES, Sanderling  # noqa: E402
from sanderling.model.decoder import Decoded  # noqa: E402
from sanderling.train.checkpoint import (  # noqa: E402
    load_checkpoint,
    load_weights,
    save_weights,
)
from sanderling.train.fusion import Fusion, apply_fusion  # noqa: E402
from sanderling.train.grow import widen  # noqa: E402
from sanderling.train.lookahead import Lookahead  # noqa: E402
from sanderling.train.losses import (  # noqa: E402
    LossWeights,
    contrastive_loss,
    next_patch_loss,
    reconstruction_loss,
    scorer_loss,
    span_mask,
)
from sanderling.train.options import TrainOptions  # noqa: E402
from sanderling.train.plot import read_log  # noqa: E402
from sanderling.train.source import BatchSource  # noqa: E402
from sanderling.train.trainer import Trainer  # noqa: E402

OPTIONS = TrainOptions(
    steps=8, batch=2, warmup=2, adversarial_every=2, validate_every=4, checkpoint_every=4
)


def trainer(folder, options=OPTIONS, weights=None):
    torch.set_num_threads(1)
    source = BatchSource(options, [], prefetch=0)
    return Trainer(
        SIZES["micro"], options, weights or LossWeights(), source, folder, torch.device("cpu")
    )


def test_lookahead_pulls_fast_weights_back():
    p = torch.nn.Parameter(torch.tensor([1.0]))
    outer = Lookahead(torch.optim.SGD([p], lr=1.0), k=2, alpha=0.5)
    for _ in range(2):
        outer.zero_grad()
        p.sum().backward()
        outer.step()
    assert p.item() == pytest.approx(0.0)  # fast went 1 -> -1, slow half the way


@pytest.mark.parametrize(("k", "alpha"), [(0, 0.5), (5, 0.0), (5, 1.5)])
def test_lookahead_refuses_senseless_settings(k, alpha):
    p = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match="expected"):
        Lookahead(torch.optim.SGD([p], lr=1.0), k, alpha)


def test_span_mask_hides_about_the_ratio_and_keeps_the_start():
    mask = span_mask((8, 2, 256), 0.3, 4, torch.Generator().manual_seed(0))
    assert not mask[:, :, :4].any()
    assert 0.2 < mask.float().mean() < 0.35


def test_contrastive_loss_prefers_agreeing_views():
    g = torch.Generator().manual_seed(0)
    u = torch.nn.functional.normalize(torch.randn(2, 1, 64, 2, 32, generator=g), dim=-1)
    other = torch.nn.functional.normalize(torch.randn(2, 1, 64, 2, 32, generator=g), dim=-1)
    w = torch.randn(2, 1, 64, 64, generator=g)
    same = contrastive_loss(u, u, w, torch.Generator().manual_seed(1), 32)
    different = contrastive_loss(u, other, w, torch.Generator().manual_seed(1), 32)
    assert same < 0.5 * different


def test_equal_phases_of_a_periodic_signal_are_no_negatives():
    t = torch.arange(64 * 8)
    y = torch.sin(2 * torch.pi * t / 64)[None, None]
    w = y.unfold(-1, 64, 8)
    w = torch.nn.functional.pad(w, (0, 0, 64 - w.shape[2], 0))
    u = torch.nn.functional.normalize(w[..., None, :32], dim=-1).repeat(1, 1, 1, 2, 1)
    loss = contrastive_loss(u, u, w, torch.Generator().manual_seed(1), 64)
    assert loss < 1.0  # 8 equal rows each as negatives would cost log 8


def test_next_patch_loss_reads_normal_tokens_only():
    patches = torch.zeros(1, 1, 4, 8)
    patches[0, 0, 2] = 100
    decoded = Decoded(torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 4))
    normal = torch.tensor([[[True, True, False, True]]])
    assert next_patch_loss(decoded, patches, normal) == 0
    assert next_patch_loss(decoded, patches, torch.ones_like(normal)) > 10


def test_reconstruction_loss_reads_hidden_patches_only():
    patches = torch.zeros(1, 1, 4, 8)
    patches[0, 0, 2] = 1
    decoded = Decoded(torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 4))
    hidden = torch.tensor([[[False, False, True, False]]])
    assert reconstruction_loss(decoded, patches, hidden) == 1
    assert reconstruction_loss(decoded, patches, ~hidden) == 0


def test_scorer_loss_leaves_out_the_reference_and_the_echo():
    labels = torch.zeros(1, 1, 32, dtype=torch.bool)
    labels[..., 20] = True
    s = torch.full((1, 1, 32), -8.0)
    s[..., 20] = 8.0
    good = scorer_loss(s, labels, 8, 4)
    echo = s.clone()
    echo[..., 21:25] = 8.0  # the look-back mean still holds the anomaly
    echo[..., :8] = 8.0
    assert good < 0.01 and scorer_loss(echo, labels, 8, 4) == good
    assert scorer_loss(-s, labels, 8, 4) > 1


def test_training_lowers_the_loss(tmp_path):
    options = replace(OPTIONS, steps=60, adversarial=0.0, lr=2e-3)
    run = trainer(tmp_path, options)
    before = run.validate(2)
    run.run()
    after = run.validate(2)
    for part in ("next", "masked", "contrastive"):
        assert after[part] < before[part], part


def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path):
    whole = trainer(tmp_path / "whole").run()
    first = trainer(tmp_path / "parts")
    real_step = first.train_step

    def stop_after_the_checkpoint(arrays):
        report = real_step(arrays)
        first.interrupted = first.step == 4
        return report

    first.train_step = stop_after_the_checkpoint
    with pytest.raises(KeyboardInterrupt, match="step 4"):
        first.run()
    second = trainer(tmp_path / "parts")
    assert second.resume() and second.step == 4
    resumed = second.run()
    for (name, a), b in zip(
        whole.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)
    assert [r["step"] for r in read_log(tmp_path / "parts" / "log.jsonl")["valid"]] == [4, 8]


def test_resume_refuses_other_options(tmp_path):
    trainer(tmp_path).run()
    with pytest.raises(InputError, match="lr"):
        trainer(tmp_path, replace(OPTIONS, lr=5e-4)).resume()


def test_a_truncated_checkpoint_is_named(tmp_path):
    run = trainer(tmp_path)
    run.save()
    whole = run.checkpoint.read_bytes()
    run.checkpoint.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="checkpoint"):
        run.resume()
    with pytest.raises(FormatError):
        load_checkpoint(run.checkpoint)


def test_weights_survive_a_round_trip_in_bfloat16(tmp_path):
    model = trainer(tmp_path).model
    save_weights(tmp_path / "w.safetensors", model, {"data": "generated"})
    saved, metadata = load_weights(tmp_path / "w.safetensors")
    assert saved.config == model.config and metadata == {"data": "generated"}
    for (name, a), b in zip(model.state_dict().items(), saved.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=2**-8, atol=0, msg=name)
    (tmp_path / "w.safetensors").write_bytes(b"not weights")
    with pytest.raises(FormatError, match="expected weights"):
        load_weights(tmp_path / "w.safetensors")
    for other in (tmp_path, Path("/dev/null")):
        with pytest.raises(ReadError, match="expected a .safetensors file, found another thing"):
            load_weights(other)


def test_the_chosen_fusion_is_what_the_scorer_uses(tmp_path):
    model = trainer(tmp_path).model
    with torch.no_grad():
        model.scorer.fc2.bias.fill_(2.0)
    apply_fusion(model, Fusion(weights=(0, 0, 2, 0, 0, 0, 0, 0), mlp=0.5, smooth=3))
    l = torch.tensor([1.0, 1, 3, 1, 1, 1, 1, 1])  # noqa: E741
    s = model.scorer(torch.zeros(model.config.d_model), l)
    assert s.item() == pytest.approx(0.5 * 2.0 + 2 * 3, abs=1e-3)
    assert model.config.smooth == 3
    with pytest.raises(ValueError, match="expected 8 weights"):
        apply_fusion(model, Fusion(weights=(1.0,)))


def test_each_part_of_the_loss_can_be_switched_off(tmp_path):
    weights = LossWeights(contrastive=0.0, scorer=0.0)
    report = trainer(tmp_path, weights=weights).validate(1)
    assert set(report) == {"next", "masked", "loss"}


def test_the_curriculum_reaches_its_end(tmp_path):
    source = BatchSource(replace(OPTIONS, steps=100), [], prefetch=0)
    progress = source._train[0].progress
    assert progress(0) == 0 and progress(35) == pytest.approx(0.5) and progress(70) == 1


def test_multichannel_batches_come_every_fourth_step():
    source = BatchSource(OPTIONS, [], prefetch=0)
    stream = source.train(0)
    channels = [next(stream)["x"].shape[2] for _ in range(8)]
    assert channels[0] == 1 and channels[2] > 1 and channels[6] > 1
    assert np.array_equal(np.flatnonzero(np.array(channels) > 1), [2, 6])


def test_a_widened_network_computes_the_same_and_trains_on(tmp_path):
    torch.manual_seed(3)
    narrow = Sanderling(SIZES["micro"]).eval()
    for p in narrow.parameters():  # the zero-initialised parts must count too
        torch.nn.init.normal_(p, std=0.05) if p.ndim > 1 else None
    wide = widen(narrow).eval()
    x = torch.randn(2, 640, 3).cumsum(1) * 0.1
    with torch.no_grad():
        for a, b in zip(narrow(x, reference=64), wide(x, reference=64), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    weight = wide.encoder.layers[0].ffn_up.weight
    half = weight.shape[0] // 2
    assert not torch.equal(weight[:half], weight[half:])  # copies differ, or they stay twins for ever
    run = Trainer(
        wide.config, OPTIONS, LossWeights(), BatchSource(OPTIONS, [], prefetch=0), tmp_path
    )
    run.start_from(wide)
    torch.testing.assert_close(run.optimizer.slow[0], next(iter(run.optimizer._parameters())))
    assert run.run().config.d_model == 2 * SIZES["micro"].d_model


def test_a_full_disk_leaves_the_checkpoint_and_the_weights(tmp_path):
    run = trainer(tmp_path)
    run.save()
    save_weights(tmp_path / "w.safetensors", run.model, {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most[1]))
    try:
        for write in (run.save, lambda: save_weights(tmp_path / "w.safetensors", run.model, {})):
            with pytest.raises(StorageError, match="expected to write .*: File too large"):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "w.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask
