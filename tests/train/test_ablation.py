"""The ablation: each switch leaves its part out, rows resume, the table says what does not help."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sanderling.errors import InputError  # noqa: E402
from sanderling.evaluate.datasets import Series  # noqa: E402
from sanderling.model import SIZES, Sanderling  # noqa: E402
from sanderling.train import ablation  # noqa: E402
from sanderling.train.ablation import PARTS, Ablation, Budget, main  # noqa: E402
from sanderling.train.ablation_report import FULL, markdown, summary, verdict  # noqa: E402
from sanderling.train.losses import LossWeights  # noqa: E402
from sanderling.train.quality import (  # noqa: E402
    deployed,
    float_scores,
    mean_over_sets,
    network_free,
    network_only,
    paired_difference,
    quality,
    stretch_of,
)
from sanderling.train.source import BatchSource  # noqa: E402
from sanderling.train.trainer import Trainer  # noqa: E402

torch.set_num_threads(1)
TINY = ("--steps", "2", "--batch", "2", "--length", "1280", "--d-model", "32", "--layers", "1", "--held-out", "1")


def recording(samples: int = 4000, channels: int = 2, train_end: int = 1000, bump: int = 3000) -> Series:
    """Noisy sines with an anomaly of 40 samples at `bump`, and a missing sample."""
    rng = np.random.default_rng(0)
    x = np.sin(np.arange(samples)[:, None] / 9 + np.arange(channels)) + 0.1 * rng.standard_normal((samples, channels))
    x[bump : bump + 40] += 3
    x[5, 0] = np.nan
    labels = np.zeros(samples, np.uint8)
    labels[bump : bump + 40] = 1
    return Series("made", "sines", (10 + 2 * x).astype(np.float32), labels, train_end)


def model(seed: int = 0) -> Sanderling:
    torch.manual_seed(seed)
    network = Sanderling(SIZES["micro"]).eval()
    torch.nn.init.normal_(network.scorer.fc2.weight, std=0.1)  # it starts at 0
    return network


def trained(tmp_path, part: str, steps: int = 3) -> Trainer:
    budget = Budget(steps=steps, batch=2, length=1280, d_model=32, layers=1)
    options = replace(budget.options(0), **PARTS[part].options)
    weights = replace(LossWeights(), **PARTS[part].weights)
    config = budget.config().replace(**PARTS[part].config)
    trainer = Trainer(config, options, weights, BatchSource(options, [], prefetch=0), tmp_path)
    trainer.run()
    return trainer


def test_without_wavelet_only_raw_samples_and_validity_are_seen(tmp_path):
    trainer = trained(tmp_path, "wavelet")
    weight = trainer.model.encoder.embed.weight
    patch = trainer.config.patch
    assert (weight[:, patch:-patch] == 0).all()
    assert (weight[:, :patch] != 0).all() and (weight[:, -patch:] != 0).all()


def test_without_temporal_attention_a_patch_sees_itself_only(tmp_path):
    network = trained(tmp_path, "temporal_attention", steps=1).model
    features = torch.randn(1, 12, network.config.in_features)
    other = features.clone()
    other[:, 5] += 1
    with torch.no_grad():
        changed = (network.encoder(features) - network.encoder(other)).abs().amax(-1)[0] > 0
    assert changed.nonzero().flatten().tolist() == [5]


@pytest.mark.parametrize(
    "part, absent", (("contrastive", "contrastive"), ("masked", "masked"), ("next_patch", "next"), ("scorer", "scorer"))
)
def test_a_part_left_out_is_not_in_the_loss(tmp_path, part, absent):
    assert absent not in trained(tmp_path, part, steps=1).validate(1)
    assert absent in trained(tmp_path / "full", FULL, steps=1).validate(1)


@pytest.mark.parametrize("part", [part for part in PARTS if PARTS[part].options])
def test_an_option_left_out_changes_the_training(tmp_path, part):
    """Five steps: Lookahead's first slow step; the attack, the curriculum and a joint batch come before it."""
    full, without = trained(tmp_path / "a", FULL, 5), trained(tmp_path / "b", part, 5)
    pairs = zip(full.model.parameters(), without.model.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_components_that_the_network_does_not_compute_are_found():
    """Raw-window distance, amplitude and variation of docs/model.md section 6."""
    free = network_free()
    assert len(free) == len(model().scorer.fusion)
    assert not any(free[: SIZES["micro"].metric_heads]) and 0 < sum(free) < len(free)
    chosen = deployed(model())
    only = network_only(chosen)
    kept = torch.tensor([not f for f in free])
    assert only.scorer.fusion[~kept].max() < 1e-5
    torch.testing.assert_close(only.scorer.fusion[kept], chosen.scorer.fusion[kept], atol=2e-6, rtol=1e-4)
    torch.testing.assert_close(only.scorer.fc2.weight, chosen.scorer.fc2.weight)


@pytest.mark.parametrize("train_end, reference", ((1000, 1000), (1003, 1000), (100, 512), (-1, 512), (3900, 3896)))
def test_a_stretch_begins_with_its_reference(train_end, reference):
    item = recording(train_end=train_end, bump=3930)
    stretch = stretch_of(item, SIZES["micro"])
    assert stretch.reference == reference and len(stretch.x) % 8 == 0
    first = (train_end if train_end >= 256 else 512) - reference
    np.testing.assert_array_equal(stretch.raw, item.x[first : first + len(stretch.raw)])
    np.testing.assert_array_equal(stretch.labels, item.labels[first : first + len(stretch.raw)])
    assert np.isfinite(stretch.x).all() and stretch.live_labels.any()


def test_of_a_long_normal_part_only_what_the_memory_holds_is_kept():
    config = SIZES["micro"].replace(memory_tokens=80)
    assert stretch_of(recording(train_end=2000), config).reference == 80 * config.patch
    wide = stretch_of(recording(train_end=2000, channels=3), config.replace(memory_budget=210))
    assert wide.reference == 70 * config.patch


def test_float_scores_are_the_networks_own_and_find_the_anomaly():
    stretch = stretch_of(recording(), SIZES["micro"])
    network = deployed(model())
    found = float_scores({"a": network, "b": network_only(network)}, stretch)
    with torch.no_grad():
        x, valid = torch.from_numpy(stretch.x)[None], torch.from_numpy(stretch.valid)[None]
        _, own = network(x, valid, stretch.reference // 8)
    np.testing.assert_array_equal(found["a"], own[0, stretch.reference :].numpy())
    rows = quality({"a": network}, [stretch])
    assert rows["a"][0]["vus_pr"] > 0.5
    assert not np.array_equal(found["a"], found["b"])


def test_differences_are_paired_by_series_and_averaged_over_sets():
    a = {("s", "1"): 0.5, ("s", "2"): 0.7, ("t", "1"): 0.9, ("t", "2"): 0.9}
    b = {("s", "1"): 0.4, ("s", "2"): 0.4, ("t", "1"): 0.8, ("t", "2"): 0.8}
    difference, error = paired_difference(a, b)
    assert mean_over_sets(a) == pytest.approx((0.6 + 0.9) / 2)
    assert difference == pytest.approx((0.2 + 0.1) / 2)
    assert error == pytest.approx(np.sqrt(0.02 / 2) / 2)  # only set s varies: variance 0.02 over two series
    with pytest.raises(InputError, match="same stretches"):
        paired_difference(a, {("s", "1"): 0.4})


def row(part: str, seed: int, values: dict[str, list[float]]) -> dict:
    """A result whose VUS-PR are `values` and whose AUC-PR are all 0.5."""
    measured = {
        score: [{"set": "injected", "name": str(i), "vus_pr": v, "auc_pr": 0.5} for i, v in enumerate(of)]
        for score, of in values.items()
    }
    return {"part": part, "seed": seed, "quality": {"injected": measured}}


def test_the_table_says_what_helps_hurts_and_does_neither():
    flat, up, down = [0.5, 0.6, 0.7], [0.6, 0.71, 0.8], [0.4, 0.49, 0.6]
    rows = [row(FULL, seed, {"deployed": flat, "network": flat}) for seed in (0, 1)]
    rows.append(row("helps", 0, {"deployed": flat, "network": down}))
    rows.append(row("hurts", 1, {"deployed": flat, "network": up}))
    rows.append(row("nothing", 0, {"deployed": [0.6, 0.6, 0.6], "network": flat}))
    rows.append(row("mixed", 0, {"deployed": up, "network": down}))
    content = summary(rows, {name: name for name in (FULL, "helps", "hurts", "nothing", "mixed")})
    found = {name: verdict(part) for name, part in content["parts"].items()}
    assert found == {FULL: "none", "helps": "helps", "hurts": "hurts", "nothing": "none", "mixed": "mixed"}
    cell = content["parts"]["helps"]["cells"]["injected"]["network"]["vus_pr"]
    assert cell["difference"] == pytest.approx(0.31 / 3) and cell["by_seed"] == [cell["difference"]]
    about = {"budget": Budget().__dict__, "config": Budget().config().to_dict(), "weights": 1, "recordings": 0}
    text = markdown({**content, **about, "series": {"injected": 3}})
    assert "does not help at this budget: nothing." in text and "Hurts at this budget: hurts." in text


def test_a_table_end_to_end_resumes_and_refuses_another_budget(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SANDERLING_DATA", raising=False)
    command = ["-o", str(tmp_path), "--seeds", "1", "--rows", "lookahead", *TINY]
    assert main(command) == 0
    text = (tmp_path / "ablation.md").read_text()
    assert text in capsys.readouterr().out and "without Lookahead" in text
    assert (tmp_path / "ablation.png").stat().st_size > 1000
    content = json.loads((tmp_path / "ablation.json").read_text())
    assert set(content["parts"]) == {FULL, "lookahead"} and content["series"]["injected"] > 0
    assert not list(tmp_path.glob("runs/*")), "a finished row keeps no checkpoint"

    def no_training(*_):
        raise AssertionError("a finished row was trained again")

    monkeypatch.setattr(ablation, "Trainer", no_training)
    assert main(command) == 0
    assert (tmp_path / "ablation.md").read_text() == text
    assert main([*command, "--lr", "0.1"]) == 2
    assert "use another folder" in capsys.readouterr().err


def test_tuning_list_without_its_files_is_named(tmp_path, capsys):
    (tmp_path / "index.json").write_text('{"datasets": []}')
    assert main(["-o", str(tmp_path / "out"), "--data", str(tmp_path), *TINY]) == 2
    assert "ucr_anomaly.npz" in capsys.readouterr().err


def test_an_interrupted_row_goes_on(tmp_path):
    budget = Budget(steps=4, batch=2, length=1280, d_model=32, layers=1, held_out=1)
    table = Ablation(tmp_path, budget, None)
    options = budget.options(0)
    run = tmp_path / "runs" / f"{FULL}-0"
    first = Trainer(budget.config(), options, LossWeights(), BatchSource(options, [], prefetch=0), run)
    first.train_step(next(first.source.train(0)))
    first.save()
    steps = []
    original = Trainer.train_step

    def counted(self, arrays):
        steps.append(self.step)
        return original(self, arrays)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", counted)
        assert table.row(FULL, 0)["seed"] == 0
    assert steps == [1, 2, 3]


