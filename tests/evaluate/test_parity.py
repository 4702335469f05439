"""The parity table: what it compares with, and where it is written. The engines themselves: tests/parity."""

from pathlib import Path

import numpy as np
import pytest

from sanderling.errors import InputError
from sanderling.evaluate.metrics import rank_correlation
from sanderling.evaluate.parity import BEGIN, END, Row, listed_series, table, write_table


def test_rank_correlation():
    a = np.array([1.0, 2, 2, 3, 10])
    assert rank_correlation(a, a**3) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    # Ties take the mean of their ranks: 1, 2.5, 2.5, 4, 5 against 1, 2, 3, 4, 5.
    assert rank_correlation(a, np.arange(5.0)) == pytest.approx(9.5 / np.sqrt(9.5 * 10))
    assert rank_correlation(np.ones(3), np.ones(3)) == 1 and rank_correlation(np.ones(3), np.arange(3.0)) == 0


def test_the_table_goes_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n")
    write_table(page, table([Row("torch", "fp32", "cold", "stream", 0, 0, 1, 1, 0.5, 0)]))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "stale" not in text and "Spearman" in text
    page.write_text("nothing")
    with pytest.raises(InputError, match="expected the lines"):
        write_table(page, "")


def test_the_page_has_the_marks():
    text = (Path(__file__).parents[2] / "docs" / "runtimes.md").read_text()
    assert BEGIN in text and END in text


def test_no_recordings(tmp_path):
    with pytest.raises(InputError, match="found none in no path"):
        listed_series([])
