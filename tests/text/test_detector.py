"""The text detector: views, fusion, files, labels, explanations."""

import os
from pathlib import Path

import numpy as np
import pytest

from sanderling import _core
from sanderling.errors import CalibrationError, FormatError, InputError, ModelNotFoundError
from sanderling.text.characters import ORDER, UNSEEN, CharacterModel
from sanderling.text.clean import clean
from sanderling.text.detector import LEAST, TextDetector, fuse
from sanderling.text.evaluate import auroc, evaluate, table
from sanderling.text.sets import read_set
from sanderling.text.surface import NAMES, surface
from sanderling.text.views import LEAST_EXCESS, LOOKS, NEIGHBOURS, Look, Meaning, Scale, unit

PARTS = ("pump", "valve", "fan", "sensor")
STATES = ("started", "stopped", "reported ready", "passed the check")


def normal_texts(n: int) -> list[str]:
    rng = np.random.default_rng(5)
    return [
        f"{rng.choice(PARTS)} {rng.integers(1, 99)} {rng.choice(STATES)} at {rng.integers(600, 999)}" for _ in range(n)
    ]


ODD = ["URGENT!!! Call 0800-555-1234 NOW and win $$$", "kernel panic: not syncing", "\u96fb\u6e90\u7570\u5e38"]


@pytest.fixture(scope="module")
def detector(tiny_path) -> TextDetector:
    return TextDetector.calibrate(normal_texts(120), tiny_path)


def test_character_model_is_the_formula():
    """A slow count of strings, against the hashed tables."""
    texts = ["abab 12", "abc 9", "ba"]
    model = CharacterModel.fit(texts)

    def grams(text):
        padded = "\x02" * ORDER + "".join("0" if c.isdigit() else c for c in text) + "\x03"
        return [(padded[i - ORDER : i], padded[i]) for i in range(ORDER, len(padded))]

    def slow(text, others):
        out = []
        every = [pair for other in others for pair in grams(other)]
        for context, character in grams(text):
            p = UNSEEN
            for j in range(ORDER + 1):
                seen = [c for h, c in every if h[ORDER - j :] == context[ORDER - j :]]
                if seen:
                    p = (seen.count(character) + len(set(seen)) * p) / (len(seen) + len(set(seen)))
            out.append(-np.log(p))
        return out

    np.testing.assert_allclose(model.surprise("abd"), slow("abd", texts), rtol=1e-12)
    for text in texts:
        rest = [other for other in texts if other != text]
        np.testing.assert_allclose(model.surprise(text, own=True), slow(text, rest), rtol=1e-12)


def test_surface_counts():
    named = dict(zip(NAMES, surface("Call 0800 NOW!"), strict=True))
    wanted = {"characters": 14, "words": 3, "digits": 4, "capitals": 4, "longest digits": 4, "longest capitals": 3}
    for name, count in wanted.items():
        assert named[name] == pytest.approx(np.log1p(count))
    assert all(np.isfinite(surface("")))


def test_meaning_is_a_shrunk_mahalanobis_cosine():
    rng = np.random.default_rng(0)
    rows, other = rng.normal(size=(40, 16)), rng.normal(size=(7, 16))
    view = Meaning.fit(rows)
    metric = view.whiten @ view.whiten.T
    a, b = unit(other), unit(rows)
    inner = a @ metric @ b.T
    lengths = np.sqrt(np.einsum("ij,jk,ik->i", a, metric, a))[:, None] * np.sqrt(np.einsum("ij,jk,ik->i", b, metric, b))
    near = -np.sort(-inner / lengths, axis=1)[:, :NEIGHBOURS]
    weight = 1 / np.sqrt(np.arange(1, NEIGHBOURS + 1))
    np.testing.assert_allclose(view.distance(other), 1 - near @ weight / weight.sum(), rtol=1e-9)


@pytest.mark.parametrize("kind", [Meaning, Look])
def test_leave_one_out_leaves_the_text_out(kind):
    """Its distance is the one to a memory without its row."""
    rows = np.random.default_rng(1).normal(size=(30, 8))
    view = kind.fit(rows)
    own = view.leave_one_out()
    first = kind(**{**vars(view), "memory": view.memory[1:]})
    np.testing.assert_allclose(own[0], first.distance(rows[:1])[0], rtol=1e-9)
    assert LOOKS < 29


def test_scale_is_the_tail_share():
    scale = Scale.fit(np.arange(1000.0))
    np.testing.assert_allclose(scale.nats(np.array([500.0])), -np.log(0.5), atol=2e-3)
    far = scale.nats(np.array([2000.0, 3000.0]))
    np.testing.assert_allclose(far[1] - far[0], 1000 / scale.excess)
    nats = scale.nats(np.linspace(-10, 2000, 999))
    assert (np.diff(nats) >= 0).all()


def test_lines_that_are_all_alike_make_no_surprise_of_rounding():
    reference = [f"connect from 10.0.{i % 7}.{i % 250} port {i % 9000 + 1000} ok" for i in range(300)]
    detector = TextDetector.calibrate(reference, None)
    assert detector.scales["words"].excess == LEAST_EXCESS
    digits, word = detector.nats(["connect from 10.0.3.9 port 999 ok", "kernel panic"])["words"]
    assert digits < 12 < 100 < word < 1000


def test_odd_texts_score_above_normal_ones(detector):
    scores = detector.decision_function(ODD)
    assert scores.min() > np.median(detector.decision_function(normal_texts(160)[120:]))
    assert detector.predict([ODD[0]])[0] == 1
    assert detector.predict(normal_texts(160)[120:]).mean() < 0.2


def test_a_text_scores_the_same_alone(detector):
    texts = [*ODD, "", b"\xff\x00", "x" * (1 << 20), "\U0001f525 \u05e9\u05dc\u05d5\u05dd"]
    together = detector.decision_function(texts)
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(together, [detector.decision_function([text])[0] for text in texts])


def test_the_file_holds_everything(detector, tmp_path):
    path = tmp_path / "plant.gguf"
    detector.save(path)
    again = TextDetector.load(path)
    np.testing.assert_allclose(again.decision_function(ODD), detector.decision_function(ODD), rtol=1e-4)
    assert again.threshold_ == detector.threshold_ and again.texts == detector.texts
    again.save(tmp_path / "again.gguf")
    np.testing.assert_array_equal(
        TextDetector.load(tmp_path / "again.gguf").decision_function(ODD), again.decision_function(ODD)
    )


def test_damaged_files_are_refused(detector, tmp_path):
    path = tmp_path / "plant.gguf"
    detector.save(path)
    data = path.read_bytes()
    for bad in (b"", b"text\n" * 9, data[: len(data) // 2], data[:-40]):
        path.write_bytes(bad)
        with pytest.raises(FormatError, match="GGUF"):
            TextDetector.load(path)
    with pytest.raises(ModelNotFoundError, match="check the path"):
        TextDetector.load(tmp_path / "none")


@pytest.mark.parametrize("n", [0, LEAST - 1])
def test_too_few_texts(n):
    with pytest.raises(CalibrationError, match=f"at least {LEAST}.*found {n}"):
        TextDetector.calibrate([*normal_texts(n), "", "\x00"], None)


def test_wrong_requests():
    with pytest.raises(InputError, match="between 0 and 0.5"):
        TextDetector.calibrate(normal_texts(40), None, rate=1.0)
    small = TextDetector.calibrate(normal_texts(LEAST), None)
    assert small.meaning is None and np.isfinite(small.decision_function(ODD)).all()
    assert small.decision_function([]).shape == (0,)
    with pytest.raises(InputError, match="put it in a list"):
        small.decision_function("one text")


def test_long_references_are_thinned(monkeypatch):
    monkeypatch.setattr("sanderling.text.detector.MOST", 40)
    texts = normal_texts(95)
    kept = TextDetector.calibrate(texts, None).texts
    assert len(kept) == 40 and kept[0] == texts[0] and kept[-1] == texts[-1]


def test_explanation_names_the_odd_word(detector):
    normal = detector.texts[0]
    why = detector.explain(f"{normal} zzqxj")
    assert why.words[0][0] == "zzqxj"
    assert set(why.nearest) <= set(detector.texts) and detector.explain(normal).nearest[0] == normal
    assert set(why.nats) == {"meaning", "characters", "words", "look"}


def test_few_labels_beat_none(detector, tmp_path):
    pytest.importorskip("sklearn", reason="the extra text is not installed")
    from sanderling.text.head import fine_tune

    fresh = normal_texts(180)[120:]
    # Anomalies that look like normal texts: one part's name is wrong.
    odd = [text.replace("pump", "boiler") for text in normal_texts(400)[200:] if text.startswith("pump")]
    labels = np.repeat([0, 1], [len(fresh), len(odd) - 10])
    tuned = fine_tune(detector, odd[:10])
    before = auroc(detector.decision_function(fresh + odd[10:]), labels)
    after = auroc(tuned.decision_function(fresh + odd[10:]), labels)
    assert after > 0.99 and after >= before
    tuned.save(tmp_path / "tuned.gguf")
    again = TextDetector.load(tmp_path / "tuned.gguf")
    np.testing.assert_allclose(again.decision_function(odd), tuned.decision_function(odd), rtol=1e-3, atol=1e-3)
    with pytest.raises(InputError, match="at least 4"):
        fine_tune(detector, odd[:3])


def test_auroc_counts_ties_half():
    assert auroc(np.array([1.0, 2, 2, 3]), np.array([0, 0, 1, 1])) == pytest.approx(3.5 / 4)
    assert auroc(np.zeros(4), np.array([0, 1, 0, 1])) == 0.5


@pytest.mark.parametrize(("name", "normal", "bar"), [("loghub_2k", "normal", 0.95), ("sms_spam", "ham", 0.93)])
def test_real_texts(name, normal, bar, request):
    """A slice of the sets; the bars of the whole ones are in docs/text.md."""
    pytest.importorskip("sklearn", reason="the extra text is not installed")
    root = os.environ.get("SANDERLING_DATA")
    if not root:
        pytest.skip("SANDERLING_DATA is unset")
    pytest.importorskip("pyarrow.parquet")
    encoder = request.getfixturevalue("minilm_path").read_bytes()  # seconds, so only where it is used
    result = evaluate(read_set(Path(root, "text", f"{name}.parquet")), normal, encoder, labels=30, limit=500)
    assert result.calibrated.auroc > bar
    assert result.calibrated.auroc > max(value for key, value in result.baselines.items() if key != "digits")
    assert result.labelled.auroc > bar
    assert f"| {name} {normal} |" in table([result])


def test_int8_keeps_the_order_of_scores(minilm, minilm_path, sample):
    """Spearman of the whole score, by the INT8 engine and by float32 embeddings."""
    from sanderling.export.bert_network import embedding

    texts = [text[:80] for text in sample(120)]  # short: float32 takes its time
    detector = TextDetector.calibrate(texts[::2], minilm_path)
    encoder = _core.TextEncoder.open(str(minilm_path))

    def exact(texts):
        rows = [embedding(minilm, encoder.tokenize(clean(text)).tolist()) for text in texts]
        return np.stack(rows).astype(np.float64)

    meaning = Meaning.fit(exact(detector.texts))
    scale = Scale.fit(meaning.leave_one_out())
    nats = {**detector.nats(texts[1::2]), "meaning": scale.nats(meaning.distance(exact(texts[1::2])))}
    ranks = [np.argsort(np.argsort(scores)) for scores in (fuse(nats), detector.decision_function(texts[1::2]))]
    spearman = np.corrcoef(*ranks)[0, 1]
    print(f"Spearman {spearman:.4f}")
    assert spearman >= 0.99
