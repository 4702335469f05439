"""Two gloo processes on this machine train one model: the same weights in both, those of the averaged gradients."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra (torch)")

from sanderling.errors import InputError  # noqa: E402
from sanderling.model import SIZES  # noqa: E402
from sanderling.train.distributed import Place, joined  # noqa: E402
from sanderling.train.losses import LossWeights  # noqa: E402
from sanderling.train.options import TrainOptions  # noqa: E402
from sanderling.train.source import BatchSource  # noqa: E402
from sanderling.train.step import Batch, Objective, backward  # noqa: E402
from sanderling.train.trainer import Trainer  # noqa: E402

WORLD = 2
STOP = 3  # after an odd step: in the middle of Lookahead's two
# Adversarial every second step: two backward passes before one step. 2048 samples would only take longer.
OPTIONS = TrainOptions(
    steps=5, batch=2, length=1536, warmup=2, lookahead_k=2, adversarial_every=2, validate_every=4, checkpoint_every=4
)
CPU = torch.device("cpu")


def trainer(folder: Path, place: Place, options: TrainOptions = OPTIONS) -> Trainer:
    torch.set_num_threads(1)
    source = BatchSource(options, [], prefetch=0, rank=place.rank)
    return Trainer(SIZES["micro"], options, LossWeights(), source, folder, CPU, place)


def one_process(folder: Path) -> None:
    """What torchrun starts: train, be interrupted in the last process alone, go on, tell the weights."""
    with joined() as place:
        first = trainer(folder, place)
        step = first.train_step

        def interrupted_in_one(arrays):
            report = step(arrays)
            first.interrupted = first.step == STOP and place.rank == WORLD - 1
            return report

        first.train_step = interrupted_in_one
        try:
            first.run()
        except KeyboardInterrupt:
            pass
        second = trainer(folder, place)
        assert second.resume() and second.step == STOP
        model = second.run()
        torch.save(model.state_dict(), folder / f"rank{place.rank}.pt")


def torchrun(*arguments: str, cwd: Path) -> str:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={WORLD}", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    torchrun(str(Path(__file__).resolve()), str(folder), cwd=folder)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(WORLD)]


def test_both_processes_end_with_the_same_weights(states):
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_the_weights_are_those_of_the_averaged_gradients(states, tmp_path):
    """One process that adds the gradients of both processes' batches and halves them."""
    joint = trainer(tmp_path, Place())
    streams = [BatchSource(OPTIONS, [], prefetch=0, rank=rank).train(0) for rank in range(WORLD)]
    for step in range(OPTIONS.steps):
        for group in joint.fast.param_groups:
            group["lr"] = OPTIONS.learning_rate(step)
        joint.optimizer.zero_grad()
        attack = OPTIONS.adversarial if step % OPTIONS.adversarial_every == 0 else 0.0
        for rank, stream in enumerate(streams):
            generator = torch.Generator().manual_seed(OPTIONS.seed * 1_000_003 + step + (rank << 40))
            batch = Batch(next(stream), joint.config.patch, CPU)
            objective = Objective(joint.model, joint.weights)
            backward(objective, batch, joint.weights, generator, attack, joint.mixed)
        for p in joint.model.parameters():
            p.grad /= WORLD
        torch.nn.utils.clip_grad_norm_(joint.model.parameters(), OPTIONS.clip_norm)
        joint.optimizer.step()
    joint.optimizer.synchronise()
    initial = trainer(tmp_path, Place()).model.state_dict()
    for name, value in joint.model.state_dict().items():
        torch.testing.assert_close(states[0][name], value, rtol=1e-3, atol=1e-5, msg=name)
    moved = max(float((states[0][n] - v).abs().max()) for n, v in initial.items())
    assert moved > 1e-3  # far beyond the tolerance


def test_processes_draw_other_batches_of_the_same_shapes():
    drawn = [BatchSource(OPTIONS, [], prefetch=0, rank=rank) for rank in range(WORLD)]
    streams = [source.train(0) for source in drawn]
    for _ in range(4):  # the last but one has several channels
        a, b = (next(stream) for stream in streams)
        assert a["x"].shape == b["x"].shape
        assert not any((x == y).all() for x in a["x"] for y in b["x"])
    kept = [next(iter(source.valid(1)))["x"] for source in drawn]
    assert (kept[0] == kept[1]).all()


def test_another_number_of_processes_is_refused(tmp_path):
    run = trainer(tmp_path, Place(), replace(OPTIONS, steps=1))
    run.run()
    other = trainer(tmp_path, Place(), replace(OPTIONS, steps=1))
    assert other.resume()

    class FirstOfTwo(Place):
        def from_first(self, value):
            return value

    other.place = FirstOfTwo(world=2)
    with pytest.raises(ValueError, match="processes"):
        other.resume()


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as place:
        assert place.first and place.world == 1
        assert place.any(True) and not place.any(False) and place.from_first("x") == "x"


def test_half_an_environment_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="torchrun"), joined():
        pass


def test_the_verb_under_torchrun(tmp_path):
    pytest.importorskip("safetensors")
    options = "-o out --size micro --steps 2 --batch 1 --threads 1 --data=".split()
    printed = torchrun("-m", "sanderling", "pretrain", *options, cwd=tmp_path)
    assert printed.splitlines() == [os.path.join("out", "model.safetensors")]  # once, not by each process
    state = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    assert state["step"] == 2 and state["processes"] == WORLD


if __name__ == "__main__":
    one_process(Path(sys.argv[1]))
