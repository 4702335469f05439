"""Structured pruning: the couplings, the target, resuming."""

from __future__ import annotations

import pytest
import torch

from sanderling.compress.dependency import Pruner, rebuilt
from sanderling.compress.macs import macs
from sanderling.compress.prune import PruneOptions, Run, floors, prune_gradually
from sanderling.errors import InputError
from sanderling.model import SIZES, ModelConfig, Sanderling
from tests.compress.models import SIGNALS, batches, random_model

LOWEST = {"d_model": 16, "heads": 1, "ffn": 16, "scorer_hidden": 16}


def with_gradients(model: Sanderling) -> Sanderling:
    batch = batches(1)[0]
    encoded = model.encode(batch.x, batch.valid)
    s = model.scorer(encoded.z, torch.zeros(*encoded.z.shape[:3], 8))
    (s.square().mean() + sum(d.square().mean() for d in encoded.decoded) + encoded.u.sum()).backward()
    return model


def outputs(model: Sanderling) -> torch.Tensor:
    batch = batches(1, start=7)[0]
    with torch.no_grad():
        encoded = model.encode(batch.x, batch.valid)
        s = model.token_scores(encoded.z, model.compressed(encoded, batch.reference))
    return torch.cat([s.flatten(), encoded.decoded.reconstruction.flatten()])


@pytest.mark.parametrize("kind", ("ffn.0", "ffn.1", "heads.0", "scorer_hidden"))
def test_removing_units_that_say_nothing_changes_nothing(kind):
    """A unit whose outgoing weights are 0 is the least important one, and its removal is exact."""
    model = random_model()
    with torch.no_grad():
        layer = model.encoder.layers[int(kind[-1]) if kind[-1].isdigit() else 0]
        silenced = {
            "ffn": (layer.ffn_up, layer.ffn_down, 16),
            "heads": (layer.attn.qkv, layer.attn.out, 32),
            "scorer_hidden": (model.scorer.fc1, model.scorer.fc2, 16),
        }[kind.partition(".")[0]]
        rows, columns, unit = silenced
        columns.weight[:, :unit] = 0
        if kind.startswith("heads"):
            rows.weight.view(3, -1, rows.in_features)[:, :unit] = 0
            rows.bias.view(3, -1)[:, :unit] = 0
        else:
            rows.weight[:unit] = 0
            rows.bias[:unit] = 0
    before = outputs(model)
    pruner = Pruner(with_gradients(model), LOWEST)
    candidate = next(c for c in pruner.candidates() if c.kind == kind)
    assert candidate.channels == list(range(unit))
    pruner.remove(candidate)
    torch.testing.assert_close(outputs(rebuilt(model)), before, atol=1e-4, rtol=1e-4)


def test_heads_go_whole_with_their_bias():
    model = random_model()
    with torch.no_grad():
        model.encoder.layers[0].attn.bias[1] = 7.0
        model.encoder.layers[0].attn.out.weight[:, :32] = 0
    pruner = Pruner(with_gradients(model), LOWEST)
    pruner.remove(next(c for c in pruner.candidates() if c.kind == "heads.0"))
    attention = model.encoder.layers[0].attn
    assert model.config.n_heads == (1, 1)
    assert attention.qkv.out_features == 96 and attention.out.in_features == 32
    assert torch.equal(attention.bias, torch.full((1, 16), 7.0))


def test_width_reaches_every_coupled_layer():
    model = random_model()
    pruner = Pruner(with_gradients(model), LOWEST)
    pruner.remove(next(c for c in pruner.candidates() if c.kind == "d_model"))
    assert model.config.d_model == 48
    assert model.encoder.mask_token.shape == (48,)
    assert model.scorer.fc1.in_features == 48 + 16
    fresh = rebuilt(model)
    assert outputs(fresh).isfinite().all()


def test_floors_end_the_candidates():
    model = random_model()
    low = {"d_model": 64, "heads": 2, "ffn": 96, "scorer_hidden": 64}
    assert list(Pruner(with_gradients(model), low).candidates()) == []


@pytest.fixture(scope="module")
def pruned():
    base = random_model()
    model, plan = prune_gradually(base, 0.7, 8, SIGNALS.training(8), events=4, importance_batches=1, quantised=0.25)
    return base, model, plan


def test_gradual_pruning_reaches_the_target(pruned):
    base, model, plan = pruned
    share = macs(model.config)["total"] / macs(base.config)["total"]
    assert share <= 0.7
    assert base.config == SIZES["micro"], "the base is left as it is"
    assert len({entry["step"] for entry in plan}) > 1, "in several cuts"
    assert model.config.d_model % 16 == 0 and all(f % 16 == 0 for f in model.config.ffn)
    assert model.config.d_model >= floors(base.config)["d_model"]


def test_pruned_state_loads_plainly(pruned):
    _, model, _ = pruned
    fresh = Sanderling(ModelConfig.from_dict(model.config.to_dict()))
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(outputs(fresh.eval()), outputs(model))


def test_pruned_model_is_causal(pruned):
    _, model, _ = pruned
    batch = batches(1)[0]
    x = batch.x.clone()
    x[:, 1024:] += 3
    with torch.no_grad():
        before, after = model.encode(batch.x, batch.valid), model.encode(x, batch.valid)
    torch.testing.assert_close(before.z[:, :, :128], after.z[:, :, :128], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before.z[:, :, 128:], after.z[:, :, 128:])


def test_one_shot_cuts_once(pruned):
    base = pruned[0]
    _, plan = prune_gradually(base, 0.7, 2, SIGNALS.training(8), one_shot=True, importance_batches=1)
    assert {entry["step"] for entry in plan} == {0}


def test_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path, pruned):
    base, whole, plan = pruned
    options = PruneOptions(target=0.7, steps=8, events=4, importance_batches=1, quantised=0.25)
    first = Run(base, options, SIGNALS.training(8), tmp_path)
    stop = lambda step, *_: first._interrupt() if step == 5 else None  # noqa: E731
    with pytest.raises(KeyboardInterrupt, match="step 5"):
        first.run(stop)
    second = Run(base, options, SIGNALS.training(8), tmp_path)
    assert second.resume() and second.step == 5
    model = second.run()
    assert second.plan == plan
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)


def test_checkpoint_of_another_run_is_refused(tmp_path):
    base = random_model()
    Run(base, PruneOptions(target=0.7, steps=8), SIGNALS.training(8), tmp_path).save()
    other = Run(base, PruneOptions(target=0.6, steps=8), SIGNALS.training(8), tmp_path)
    with pytest.raises(InputError, match="expected the base and options"):
        other.resume()


@pytest.mark.parametrize("target", (0.0, 0.1, 1.5))
def test_target_out_of_reach(target):
    with pytest.raises(InputError, match="target: expected a share"):
        Run(random_model(), PruneOptions(target=target), SIGNALS.training(8))
