"""The detector's native file: the engine's scores are numpy's, on any text; spoilt files are refused."""

import os
import re
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from sanderling import _core, isa_names
from sanderling.errors import FormatError, InputError
from sanderling.text.clean import SENSITIVE, Rules, clean
from sanderling.text.detector import VIEWS, TextDetector
from sanderling.text.sets import SETS, read_set
from tests.helpers import text_oracle

NORMAL = [f"pump {i % 17} reported {('ready', 'stopped', 'warm')[i % 3]} at {10 + i % 9}:0{i % 6}" for i in range(90)]
HOSTILE = [
    b"",
    b"\x00\x00",
    b"a\x00b",
    b"\xff\xfe broken \xc3 \xed\xa0\x80 \xf4\x90\x80\x80",
    "\U0001f525\U0001f468\u200d\U0001f469 \u05e9\u05dc\u05d5\u05dd \u202eabc \u200b\ufeff".encode(),
    "\u03a3\u0391\u03a3 \u03c3\u03b1\u03c3 \u0130stanbul stra\xdfe \ufb01 \u01c5 \u0660\u0661 \xa310".encode(),
    "\u96fb\u6e90\u7570\u5e38\u3000\u30c6\u30b9\u30c8".encode(),
    b"x" * (1 << 20),
    b"word " * (1 << 18),
    b" \t\r\n" * 4000 + b"far behind",
    b"a" * 4095 + b" b",
    b"a" * 4094 + b" b",
    "\u00e9 ".encode() * 9000,
    ("a" + "\U0001f525" * 5000).encode(),
    bytes(range(256)) * 80,
    b"URGENT!!! Call 0800-555-1234 NOW and win $$$ 100%",
]


def exported(detector: TextDetector, folder: Path) -> tuple[TextDetector, bytes]:
    """What the saved file holds, and the bytes of the one without texts."""
    detector.save(folder / "d.gguf")
    loaded = TextDetector.load(folder / "d.gguf")
    loaded.export(folder / "e.gguf")
    return loaded, (folder / "e.gguf").read_bytes()


def assert_equal(detector: TextDetector, data: bytes, texts: list[bytes]) -> None:
    engine = _core.TextScorer.parse(data)
    found = engine.score(texts)
    wanted, nats = text_oracle.scores(detector, texts), text_oracle.nats(detector, texts)
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-5, atol=1e-6)
    for column, name in enumerate(VIEWS, 1):
        np.testing.assert_allclose(found[:, column], nats.get(name, 0), rtol=1e-5, atol=1e-9)
    threshold = engine.info()["threshold"]
    assert threshold == detector.threshold_
    np.testing.assert_array_equal(found[:, 0] > threshold, wanted > detector.threshold_)
    np.testing.assert_array_equal(detector.decision_function(texts), found[:, 0])


@pytest.fixture(scope="module")
def whole(tiny_path, tmp_path_factory) -> tuple[TextDetector, bytes]:
    return exported(TextDetector.calibrate(NORMAL, tiny_path), tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[TextDetector, bytes]:
    """Without an encoder."""
    return exported(TextDetector.calibrate(NORMAL, None), tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize("kind", ["whole", "small"])
def test_scores_are_pythons(kind, request):
    detector, data = request.getfixturevalue(kind)
    assert_equal(detector, data, [*HOSTILE, *(text.encode() for text in NORMAL)])
    engine = _core.TextScorer.parse(data)
    for text in HOSTILE:
        assert engine.cleaned(text).decode() == clean(text)
    assert engine.info()["meaning"] == (kind == "whole") and engine.info()["reference"] == len(NORMAL)


def test_every_character_is_read_alike(small):
    if unicodedata.unidata_version != "14.0.0":
        pytest.skip(f"the engine's tables are Unicode 14.0, this Python's {unicodedata.unidata_version}")
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = [" ".join(f"{c}b" for c in points[i : i + 1300]).encode() for i in range(0, len(points), 1300)]
    detector, data = small
    engine = _core.TextScorer.parse(data)
    assert all(engine.cleaned(text).decode() == clean(text) for text in texts)
    assert_equal(detector, data, [text for text in texts if not clean(text).startswith("b b b b")])


PIECES = (
    *"0123456789 -.:@+_/()aFgx", "\u0663", "\xb2", "\u0130", "\u017f", "\xe9", "http", "s://", "WWW.", "a@b.c",
    "10.2.3.4", "00:1B:44:11:3a:b7", "4111 1111 1111 1111", "+49 (0)30/123-4567", "12345678", ".example", "1234", "ab:",
)  # fmt: skip


@pytest.mark.parametrize("rules", [*((name,) for name in SENSITIVE), tuple(SENSITIVE), ("phone", "email")])
def test_sensitive_parts_are_masked_alike(rules, tmp_path):
    detector, data = exported(TextDetector.calibrate(NORMAL, None, Rules(mask=rules)), tmp_path)
    engine, rng = _core.TextScorer.parse(data), np.random.default_rng(len(rules))
    texts = ["".join(rng.choice(PIECES, rng.integers(1, 24))) for _ in range(1500)]
    # Few kinds of characters hit the patterns' edges more often.
    texts += ["".join(rng.choice(list("1a2 -.:@+"), rng.integers(8, 48))) for _ in range(1500)]
    texts += ["".join(rng.choice(list("1111111 -"), rng.integers(8, 32))) for _ in range(1000)]
    masked = 0
    for text in texts:
        found = engine.cleaned(text).decode()
        assert found == clean(text, Rules(rules)), text
        masked += found != clean(text)
    assert masked > 20
    assert_equal(detector, data, [text.encode() for text in texts[:50]])


def test_every_tier_gives_the_same_bits(whole):
    wanted = _core.TextScorer.parse(whole[1], "reference").score(HOSTILE)
    for isa in isa_names():
        assert _core.TextScorer.parse(whole[1], isa).score(HOSTILE).tobytes() == wanted.tobytes()


def test_the_encoder_stays_what_it_was(whole, tiny_path):
    texts = [text.decode("utf-8", "replace") for text in HOSTILE]
    alone = _core.TextEncoder.open(str(tiny_path)).encode(texts)
    assert _core.TextEncoder.parse(whole[1]).encode(texts).tobytes() == alone.tobytes()


def test_no_reference_text_is_in_an_exported_file(whole, small, tmp_path):
    assert b"pump 3 reported" not in whole[1] + small[1]
    path = tmp_path / "e.gguf"
    path.write_bytes(whole[1])
    assert TextDetector.load(path).texts == ()


def test_the_file_is_the_encoders_again(whole, tiny_path, tmp_path):
    """Saved, loaded and saved: the same bytes; the encoder inside is the one that was given."""
    whole[0].save(tmp_path / "a.gguf")
    TextDetector.load(tmp_path / "a.gguf").save(tmp_path / "b.gguf")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    assert whole[0].encoder_bytes.rstrip(b"\0") == tiny_path.read_bytes().rstrip(b"\0")


@pytest.mark.parametrize("name", sorted(SETS))
def test_real_texts(name, request, tmp_path):
    root = os.environ.get("SANDERLING_DATA")
    if not root:
        pytest.skip("SANDERLING_DATA is unset")
    pytest.importorskip("pyarrow.parquet")
    task = read_set(Path(root, "text", f"{name}.parquet"))
    normal = [t for t, c in zip(task.texts, task.classes, strict=True) if c == task.normal[0]]
    odd = [t for t, c in zip(task.texts, task.classes, strict=True) if c not in task.normal[:1]]
    detector = TextDetector.calibrate(normal[:200], request.getfixturevalue("minilm_path"))
    assert_equal(*exported(detector, tmp_path), [t.encode() for t in normal[200:300] + odd[:100]])


def test_few_labels_go_along(whole, small, tmp_path):
    pytest.importorskip("sklearn", reason="the extra text is not installed")
    from sanderling.text.head import fine_tune

    odd = [f"boiler {i} reported {('smoke', 'fire')[i % 2]} at 1{i % 9}:00" for i in range(9)]
    for detector, parts in ((whole[0], ("weight", "normal", "anomalous")), (small[0], ("weight", "hash", "idf"))):
        tuned, data = exported(fine_tune(detector, odd), tmp_path)
        assert_equal(tuned, data, [*HOSTILE, *(text.encode() for text in NORMAL + odd)])
        assert not np.allclose(tuned.decision_function(NORMAL), detector.decision_function(NORMAL))
        for name in (f"views.head.{part}" for part in parts):
            with pytest.raises(FormatError, match=name):
                _core.TextScorer.parse(data.replace(name.encode(), name[:-1].encode() + b"_"))
        with pytest.raises(InputError, match="found an exported one"):
            fine_tune(TextDetector.load(tmp_path / "e.gguf"), odd)


def test_a_head_may_see_no_inner_layers(whole, tmp_path):
    pytest.importorskip("sklearn", reason="the extra text is not installed")
    from sanderling.text.head import fine_tune

    odd = [f"boiler {i} reported {('smoke', 'fire')[i % 2]} at 1{i % 9}:00" for i in range(9)]
    tuned, data = exported(fine_tune(whole[0], odd), tmp_path)
    with pytest.raises(FormatError, match=r"views\.head\.weight"):  # of more features than the file then has
        _core.TextScorer.parse(data.replace(b"views.head.inner", b"views.head.other"))
    head = {name: value for name, value in tuned.head.items() if name != "inner"}
    head["weight"] = head["weight"][: -tuned.head["inner"].size]
    before, data = exported(tuned.with_head(head, tuned.threshold_), tmp_path)
    assert_equal(before, data, [text.encode() for text in NORMAL + odd])
    assert not np.allclose(before.decision_function(NORMAL), tuned.decision_function(NORMAL))


def tensor_at(data: bytes, name: str) -> tuple[int, int]:
    """Where a tensor's values begin, and its type."""
    at = data.index(struct.pack("<Q", len(name)) + name.encode()) + 8 + len(name)
    (rank,) = struct.unpack_from("<I", data, at)
    kind, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * rank)
    infos = [m for m in re.finditer(rb"views\.[a-z0-9.]+", data)]
    last = max(m.end() for m in infos)
    (rank,) = struct.unpack_from("<I", data, last)
    end = last + 4 + 8 * rank + 12
    return end + -end % 32 + offset, kind


SPOILT = {
    "threshold": ("sanderling.text.views.threshold", "<d", float("nan")),
    "excess": ("sanderling.text.views.look.excess", "<d", 0.0),
    "start": ("sanderling.text.views.characters.start", "<d", float("inf")),
    "spread": ("views.look.spread", "<d", 0.0),
    "centre": ("views.look.centre", "<d", float("nan")),
    "memory": ("views.look.memory", "<d", 1e300),
    "reference": ("views.look.reference", "<i", 2**31 - 1),
    "words' order": ("views.words.hash", "<Q", 2**64 - 1),
    "idf": ("views.words.idf", "<d", 0.0),
    "first": ("views.words.start", "<i", 1),
    "text": ("views.words.text", "<i", 2**31 - 1),
    "weight": ("views.words.weight", "<f", float("nan")),
    "grams": ("views.characters.1.grams", "<Q", 2**64 - 1),
    "count": ("views.characters.2.count", "<i", -1),
    "total": ("views.characters.3.total", "<i", 0),
    "distinct": ("views.characters.4.distinct", "<i", 2**31 - 1),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_values_out_of_range_are_refused(small, kind):
    name, form, value = SPOILT[kind]
    data = bytearray(small[1])
    key = name.startswith("sanderling")
    at = data.index(name.encode()) + len(name) + 4 if key else tensor_at(small[1], name)[0]
    struct.pack_into(form, data, at, value)
    with pytest.raises(FormatError, match=re.escape(name)):
        _core.TextScorer.parse(bytes(data))


PARTS = ("views.threshold", "views.look.memory", "views.words.weight", "views.characters.0.grams", "characters.excess")


@pytest.mark.parametrize("name", PARTS)
def test_missing_and_unknown_parts_are_refused(whole, small, name):
    for data in (whole[1], small[1]):
        with pytest.raises(FormatError):
            _core.TextScorer.parse(data.replace(name.encode(), name[:-1].encode() + b"_", 1))


def test_cut_files_are_refused(small):
    data = small[1]
    for n in (*range(0, 2000, 7), *range(2000, len(data), len(data) // 50)):
        with pytest.raises(FormatError):
            _core.TextScorer.parse(data[:n])


def test_altered_bytes_do_no_harm(small):
    """Refused, or a detector whose scores are numbers."""
    rng = np.random.default_rng(0)
    accepted = 0
    for _ in range(400):
        data = bytearray(small[1])
        for at in rng.integers(0, len(data) if rng.random() < 0.5 else 3000, 3):
            data[at] = rng.integers(256)
        try:
            engine = _core.TextScorer.parse(bytes(data))
        except Exception as error:
            assert type(error).__module__ == "sanderling.errors", error
            continue
        accepted += 1
        assert np.isfinite(engine.score([*HOSTILE[:7], b"pump 3"])).all()
    assert 0 < accepted < 400


def test_other_models_are_refused(tiny_path, model_path, small):
    for path in (tiny_path, model_path):
        with pytest.raises(FormatError, match="calibrated text detector"):
            _core.TextScorer.parse(Path(path).read_bytes())
    with pytest.raises(InputError, match="put it into a list"):
        _core.TextScorer.parse(small[1]).score("one")
