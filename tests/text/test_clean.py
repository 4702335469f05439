"""Cleaning, near-duplicates, empty fields."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanderling.errors import InputError
from sanderling.text.clean import MOST_CHARACTERS, SPECIAL, Rules, clean, fill, near_duplicates


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""),
        ("a\x00b\x1b[0m\tc\r\n", "a b [0m c"),
        (b"caf\xc3\xa9 \xff\xfe ok", "caf\u00e9 ok"),
        ("\u202eright-to-left\u200f \u05e9\u05dc\u05d5\u05dd", "right-to-left \u05e9\u05dc\u05d5\u05dd"),
        ("fire \U0001f525\u2028next", "fire \U0001f525 next"),
        ("lone \ud800 surrogate", "lone surrogate"),
    ],
)
def test_clean(text, wanted):
    assert clean(text) == wanted


def test_a_megabyte_is_cut():
    assert len(clean("x" * (1 << 20))) == MOST_CHARACTERS
    assert len(clean(b"x" * (1 << 20))) == MOST_CHARACTERS


@given(st.text(alphabet=st.characters(), max_size=60))
def test_cleaning_twice_is_cleaning_once(text):
    import unicodedata

    once = clean(text)
    assert clean(once) == once
    assert not {unicodedata.category(character) for character in once} & SPECIAL


@pytest.mark.parametrize(
    ("rule", "text", "wanted"),
    [
        ("email", "mail a.b1@ex.org now", "mail x.x0@xx.xxx now"),
        ("ip", "from 10.0.12.7 port", "from 00.0.00.0 port"),
        ("phone", "call 0800 123 4567!", "call 0000 000 0000!"),
        ("card", "4111 1111 1111 1111", "0000 0000 0000 0000"),
        ("url", "see https://a.b/c?d=1 ok", "see xxxxx://x.x/x?x=0 ok"),
        ("mac", "if aa:bb:cc:00:11:22 up", "if xx:xx:xx:00:00:00 up"),
    ],
)
def test_masks_keep_the_layout_and_drops_drop(rule, text, wanted):
    assert clean(text, Rules(mask=(rule,))) == wanted
    assert clean(text, Rules(drop=(rule,))) is None
    assert clean("nothing here", Rules((rule,), (rule,))) == "nothing here"


def test_an_unknown_rule_is_named():
    with pytest.raises(InputError, match="expected a rule of email.*found 'name'"):
        Rules(mask=("name",))


def test_near_duplicates_keep_the_first():
    long = "the conveyor belt of line four stopped after the emergency switch was pressed by the operator on shift "
    texts = [long + "a", "another text altogether, about pumps", long + "b", "x", "x", ""]
    assert near_duplicates(texts) == [0, 1, 3, 5]
    assert near_duplicates(texts, 1.0) == [0, 1, 2, 3, 5]


def test_empty_fields_are_filled():
    rows = np.array([[1.0, 10.0], [1.1, np.nan], [9.0, 90.0], [np.nan, 88.0]])
    np.testing.assert_allclose(fill(rows)[1, 1], (10 + 90 + 88) / 3)
    near = fill(rows, "nearest")
    assert near[1, 1] == 10.0 and near[3, 0] == 9.0
    assert np.isnan(rows[1, 1])


def test_a_field_without_values_is_an_error():
    with pytest.raises(InputError, match="found none in field 1"):
        fill(np.array([[1.0, np.nan]]))
    with pytest.raises(InputError, match="1 dimension"):
        fill(np.array([1.0]))
