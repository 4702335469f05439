"""The C++ WordPiece tokenizer against the package `tokenizers`, token by token."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from sanderling.export.bert import Vocabulary, write_bert

from sanderling import _core
from tests.helpers.random_bert import random_bert, vocabulary
from tests.text.conftest import real_columns

LONGEST = 512
ALPHABETS = [
    range(0x20, 0x7F),
    range(0x00, 0x20),
    range(0x7F, 0x250),  # accents
    range(0x300, 0x370),  # combining marks
    range(0x370, 0x780),  # Greek, Cyrillic, Hebrew, Arabic
    range(0x8D0, 0x900),
    range(0x900, 0xE00),  # Indic
    range(0x1100, 0x1200),  # jamo
    range(0x1B00, 0x1C00),
    range(0x1E00, 0x2100),  # more accents, punctuation, format
    range(0x3000, 0x3200),  # CJK punctuation, kana
    range(0x4E00, 0x4F00),
    range(0xAC00, 0xAD00),  # hangul
    range(0xF900, 0xFA00),  # compatibility ideographs
    range(0xE000, 0xE010),  # private use
    range(0x10A00, 0x10B00),
    range(0x1D160, 0x1D190),
    range(0x1F300, 0x1F700),  # emoji
]
SCRAPS = [
    "[CLS]",
    "[SEP]",
    "[UNK]",
    "[MASK]",
    "[PAD]",
    "[sep]",
    "[SEP",
    "##",
    " ",
    "\t",
    "\0",
    "\ufffd",
    "\u200d",
    "\u202e",
]


def library(words: Vocabulary):
    """The package's tokenizer with the same vocabulary and switches."""
    tokenizers = pytest.importorskip("tokenizers", reason="the extra text is not installed")
    from tokenizers import AddedToken, models, normalizers, pre_tokenizers, processors

    ids = {token: i for i, token in enumerate(words.tokens)}
    name = {key: words.tokens[i] for key, i in words.special.items()}
    made = tokenizers.Tokenizer(models.WordPiece(ids, unk_token=name["unknown"], max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=words.split_ideographs,
        strip_accents=words.strip_accents,
        lowercase=words.lowercase,
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(
        (name["seperator"], ids[name["seperator"]]), (name["cls"], ids[name["cls"]])
    )
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in name.values()])
    made.enable_truncation(LONGEST)
    return made


@pytest.fixture(scope="module")
def pair(minilm, minilm_path):
    """Ours and the library's, with BERT's English vocabulary."""
    return _core.TextEncoder.open(str(minilm_path), max_tokens=LONGEST), library(minilm.vocabulary)


def assert_equal(pair, texts: list[str]) -> None:
    ours, theirs = pair
    wrong = [
        (text, found, encoded.ids)
        for text, encoded in zip(texts, theirs.encode_batch(texts), strict=True)
        if (found := ours.tokenize(text).tolist()) != encoded.ids
    ]
    assert not wrong, f"{len(wrong)} of {len(texts)}: {wrong[0]!r}"


def fuzz(seed: int, n: int, words: tuple[str, ...]) -> list[str]:
    rng = random.Random(seed)
    texts = []
    for _ in range(n):
        parts = []
        for _ in range(rng.randint(0, 12)):
            kind = rng.random()
            if kind < 0.2:
                parts.append(rng.choice(words))
            elif kind < 0.3:
                parts.append(rng.choice(SCRAPS))
            else:
                alphabet = rng.choice(ALPHABETS)
                parts.append("".join(chr(rng.choice(alphabet)) for _ in range(rng.randint(1, rng.choice([3, 8, 120])))))
            if rng.random() < 0.3:
                parts.append(" ")
        texts.append("".join(parts))
    return texts


def test_every_real_text(pair):
    for name, texts in real_columns():
        print(name)
        assert_equal(pair, list(dict.fromkeys(texts)))


def test_every_character(pair):
    words = [f"a{chr(c)}b " for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    assert_equal(pair, ["".join(words[i : i + 60]) for i in range(0, len(words), 60)])


def test_fuzz(pair, minilm):
    assert_equal(pair, fuzz(1, 6000, minilm.vocabulary.tokens))


@pytest.mark.parametrize(
    "switches", [(lower, accents, cjk) for lower in (False, True) for accents in (False, True) for cjk in (False, True)]
)
def test_every_kind_of_normaliser(switches, tmp_path: Path):
    words = vocabulary(*switches)
    path = tmp_path / "bert.gguf"
    write_bert(path, random_bert(positions=LONGEST, words=words))
    ours = _core.TextEncoder.open(str(path))
    texts = [*fuzz(2, 500, words.tokens), "İstanbul ÀÉÎ Straße ΣΊΣΥΦΟΣ 日本語テキスト É"]
    assert_equal((ours, library(words)), texts)


def test_truncation_keeps_the_first_tokens(minilm_path, pair):
    _, theirs = pair
    text = "the connection was refused, unbelievably " * 40
    whole = theirs.encode(text).ids
    for most in (2, 3, 7, 64):
        ids = _core.TextEncoder.open(str(minilm_path), max_tokens=most).tokenize(text).tolist()
        assert ids == [*whole[: most - 1], whole[-1]]


@pytest.mark.parametrize(
    "data, same",
    [
        (b"caf\xe9 bar", "caf bar"),
        (b"\xc3", ""),
        (b"a\xc3 b", "a b"),
        (b"\xed\xa0\x80x", "x"),  # a surrogate
        (b"\xf8\x88\x80\x80\x80y", "y"),
        (b"\xe2\x28\xa1", "("),  # what follows a broken character is read
        (b"a\x00b", "ab"),
        (b"\xff\xfe\x00h\x00i", "hi"),
        (b"\xf0\x9f\x98", ""),
        (bytes(range(256)), bytes(range(256)).decode("utf-8", "replace")),
    ],
)
def test_invalid_utf8_is_removed(data, same, pair):
    ours, theirs = pair
    assert (
        ours.tokenize(data).tolist()
        == ours.tokenize(same).tolist()
        == theirs.encode(data.decode("utf-8", "replace")).ids
    )


def test_lone_surrogates_of_a_str_are_removed(pair):
    ours, _ = pair
    assert ours.tokenize("a\ud800b").tolist() == ours.tokenize("ab").tolist()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\0",
        "x" * 1_000_000,
        "word " * 200_000,
        "\u0301" * 300_000,
        "\u302e\u302f" * 1000,
        "日" * 100_000,
        "\u202eabc\u202c",
        "a" * 101,
        "a" * 100,
    ],
    ids=lambda text: f"{len(text)}-{ascii(text[:4])}",
)
def test_awkward_texts(text, pair):
    assert_equal(pair, [text])


def test_ids_and_tokens(pair, minilm):
    ours, _ = pair
    assert [ours.token(int(i)).decode() for i in ours.tokenize("Hello, world")] == [
        "[CLS]",
        "hello",
        ",",
        "world",
        "[SEP]",
    ]
    assert ours.info()["tokenizer"] == minilm.vocabulary.hash()
    assert all(ours.token(i).decode() == token for i, token in enumerate(minilm.vocabulary.tokens))
