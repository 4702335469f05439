"""Switches have no voice in the mean over channels: docs/model.md, sections 7 and 8, in each implementation."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
gguf = pytest.importorskip("gguf", reason="the export extra is not installed")

from sanderling import Detector  # noqa: E402
from sanderling.errors import ModelError  # noqa: E402
from sanderling.model.network import aggregate, voices  # noqa: E402
from sanderling.runtime.graph import aggregate as graph_aggregate  # noqa: E402
from tests.compress.calibrations import of_engine, of_graph, of_reference  # noqa: E402


def signals(samples=640):
    """A sensor, a valve (0 or 1, one sample missing), a constant, a counter of three values, zeros of both signs."""
    rng = np.random.default_rng(3)
    t = np.arange(samples)
    valve = (t // 50 % 2).astype(np.float32)
    valve[7] = np.nan
    zeros = np.where(t % 2, -0.0, 0.0)
    return np.stack([rng.normal(size=samples), valve, 0 * t + 4, t // 60 % 3, zeros], axis=1).astype(np.float32)


def of_network(path, x, folder, name):
    return voices(torch.from_numpy(np.nan_to_num(x).T.copy())).numpy()


@pytest.mark.parametrize("way", [of_engine, of_reference, of_graph, of_network])
def test_switches_have_no_voice_unless_there_are_only_switches(way, native, tmp_path):
    x = signals()
    assert way(native, x, tmp_path, "voice").tolist() == [1, 0, 0, 1, 0]
    assert way(native, x[:, 1:3], tmp_path, "voice").tolist() == [1, 1]


NAN = np.nan
SCORES = np.array([[4, 0.25, 1], [0.5, 9, 0.25], [NAN, 2, 1], [NAN, NAN, 3], [NAN, NAN, NAN]], np.float32)
VOICE = np.array([1, 1, 0], np.float32)


def test_score_is_between_the_loudest_channel_and_the_mean_of_those_with_a_voice():
    found = graph_aggregate(SCORES, VOICE, 1)
    mean, loudest = np.array([2.125, 4.75]), np.array([4.0, 9.0])
    np.testing.assert_allclose(found[:2], mean**0.75 * loudest**0.25, rtol=1e-6)
    assert found[2] == 2  # the channel left with a voice is the loudest
    assert found[3] == 3  # nobody with a voice is left
    assert np.isnan(found[4])
    assert graph_aggregate(SCORES[:2, :1], np.ones(1, np.float32), 1).tolist() == [4.0, 0.5]


def test_the_torch_network_agrees():
    there = torch.from_numpy(SCORES[:2].T.copy())
    for top_k in (1, 2):
        expected = graph_aggregate(SCORES[:2], VOICE, top_k)
        np.testing.assert_allclose(aggregate(there, torch.from_numpy(VOICE), top_k).numpy(), expected, rtol=1e-6)


def test_a_switch_alone_moves_the_score_less_than_a_sensor(native, tmp_path):
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(size=(2000, 3)), np.arange(2000)[:, None] // 40 % 2], axis=1).astype(np.float32)
    stuck, shifted = x[1600:].copy(), x[1600:].copy()
    stuck[200:300, 3] = 5
    shifted[200:300, :3] += 5
    detector = Detector.load(native).fit(x[:1600])
    quiet = detector.decision_function(x[1600:]).max()
    assert quiet < detector.decision_function(stuck).max() < detector.decision_function(shifted).max()


def test_a_file_in_which_nobody_has_a_voice_is_refused(native, tmp_path):
    file = tmp_path / "calibrated.gguf"
    Detector.load(native).fit(signals()).save(file)
    tensor = next(t for t in gguf.GGUFReader(file).tensors if t.name == "cal.voice")
    content = bytearray(file.read_bytes())
    content[tensor.data_offset : tensor.data_offset + tensor.n_bytes] = bytes(tensor.n_bytes)
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"cal\.voice above 0 for some channel, found none; calibrate again"):
        Detector.load(file)
