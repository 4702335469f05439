"""The decimated transform against PyWavelets: every wavelet, mode and instruction set; bad input."""

import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sanderling
from sanderling import errors
from sanderling.signal import dwt as ours

pywt = pytest.importorskip("pywt")

ROOT = Path(__file__).resolve().parents[2]
NAMES = pywt.wavelist(kind="discrete")
ROUNDINGS = 8  # of the largest sum that the filters can make; float32 and float64 alike
PERFECT = 1e-10  # how well the stored coefficients rebuild a signal; dmey, which is cut off, only to 1 %


@pytest.fixture(params=sanderling.isa_names())
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SANDERLING_ISA", request.param)
    return request.param


def lengths(taps: int) -> Iterator[int]:
    yield from (1, 2, 3)  # the shortest: turns over turns of the extension
    yield from (taps - 1, taps, taps + 1)  # around the filter: no output inside the signal, the first ones
    yield 2 * taps + 3  # odd: periodization repeats the last sample
    yield 96  # outputs in whole registers
    yield 101  # a tail


def growth(mode: str, n: int, taps: int) -> float:
    """How far the extension can rise above the largest sample."""
    return {"smooth": 1 + 2 * taps, "antireflect": 3 + 2 * taps / max(n - 1, 1)}.get(mode, 1)


def close(found: np.ndarray, wanted: np.ndarray, filters: object, largest: float) -> None:
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.flags.c_contiguous
    bound = ROUNDINGS * np.finfo(wanted.dtype).eps * sum(np.abs(one).sum() for one in filters) * largest
    assert np.abs(found - wanted).max(initial=0) <= bound


def test_the_names_are_pywavelets() -> None:
    assert ours.wavelist() == sorted(NAMES)
    assert sorted(ours.modes) == sorted(pywt.Modes.modes)
    assert set(ours.families()) == {pywt.Wavelet(name).short_family_name for name in NAMES}
    for short, name in zip(ours.families(), ours.families(short=False), strict=True):
        assert ours.wavelist(short) == sorted(pywt.wavelist(short))
        assert pywt.Wavelet(pywt.wavelist(short)[0]).family_name == name


@pytest.mark.parametrize("name", NAMES)
def test_the_filters_are_pywavelets(name: str) -> None:
    theirs = pywt.Wavelet(name)
    wavelet = ours.Wavelet(name)
    assert [list(one) for one in wavelet.filter_bank] == [list(one) for one in theirs.filter_bank]
    assert (wavelet.dec_len, wavelet.rec_len) == (theirs.dec_len, theirs.rec_len)


def test_the_tables_are_what_the_script_writes() -> None:
    folder = ROOT / "csrc" / "wavelet"
    spec = importlib.util.spec_from_file_location("make_filters", folder / "make_filters.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = script.texts()
    assert set(written) == {path.name for path in folder.glob("filters_*.inl")}
    for file, text in written.items():
        assert (folder / file).read_text() == text, file


@pytest.mark.parametrize("mode", pywt.Modes.modes)
def test_one_level_of_every_wavelet(isa: str, mode: str) -> None:
    rng = np.random.default_rng(0)
    for name in NAMES:
        wavelet = pywt.Wavelet(name)
        for n in lengths(wavelet.dec_len):
            if n == 1 and "reflect" in mode:
                continue
            for dtype in (np.float32, np.float64):
                x = rng.standard_normal(n).astype(dtype)
                wanted = pywt.dwt(x, wavelet, mode)
                found = sanderling.dwt(x, name, mode)
                most = np.abs(x).max() * growth(mode, n, wavelet.dec_len)
                for one, other in zip(found, wanted, strict=True):
                    close(one, other, wavelet.filter_bank[:2], most)
                if mode != "periodization" and 2 * len(wanted[0]) < wavelet.rec_len:
                    continue
                most = max(np.abs(one).max() for one in wanted)
                back = sanderling.idwt(*wanted, name, mode)
                close(back, pywt.idwt(*wanted, wavelet, mode), wavelet.filter_bank[2:], most)
                if name != "dmey":
                    assert np.abs(back[:n] - x).max() <= max(100 * np.finfo(dtype).eps, PERFECT) * most


def quiet(transform, *arguments, **named):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return transform(*arguments, **named)


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    mode=st.sampled_from(pywt.Modes.modes),
    level=st.one_of(st.none(), st.integers(1, 5)),
    shape=st.lists(st.integers(2, 40), min_size=1, max_size=3),
    axis=st.integers(-3, 2),
    dtype=st.sampled_from(["float32", "float64", "complex64", "complex128"]),
    order=st.sampled_from("CF"),
    seed=st.integers(0, 2**32 - 1),
)
def test_levels_axes_and_types(name, mode, level, shape, axis, dtype, order, seed) -> None:
    axis = max(-len(shape), min(axis, len(shape) - 1))
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        x = x + 1j * rng.standard_normal(shape)
    x = np.asarray(x, dtype, order=order)
    try:
        wanted = quiet(pywt.wavedec, x, name, mode, level, axis)
    except ValueError:  # reflect at a level of one sample
        with pytest.raises(errors.ShapeError):
            quiet(sanderling.wavedec, x, name, mode, level, axis)
        return
    found = quiet(sanderling.wavedec, x, name, mode, level, axis)
    assert len(found) == len(wanted)
    filters = pywt.Wavelet(name)
    most = max(np.abs(one).max() for one in (x, *wanted)) * growth(mode, 2, filters.dec_len)
    for one, other in zip(found, wanted, strict=True):
        close(one, np.ascontiguousarray(other), filters.filter_bank[:2], most * len(found))
    back = sanderling.waverec(wanted, name, mode, axis)
    assert isinstance(back, np.ndarray)
    most *= len(found)
    close(back, np.ascontiguousarray(pywt.waverec(wanted, name, mode, axis)), filters.filter_bank[2:], most)
    if name != "dmey":
        again = sanderling.waverec(found, name, mode, axis)[tuple(slice(n) for n in x.shape)]
        assert np.abs(again - x).max() <= max(400 * np.finfo(dtype).eps, PERFECT * len(found)) * most


@pytest.mark.parametrize("shape, axis", [((4096, 32), 0), ((32, 4096), 1), ((513, 3), 0), ((2, 300, 17), 1)])
def test_a_batch_is_its_signals(isa: str, shape: tuple[int, ...], axis: int) -> None:
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    whole = sanderling.wavedec(x, "db4", "symmetric", 3, axis)
    flat = np.moveaxis(x, axis, -1).reshape(-1, shape[axis])
    for k, signal in enumerate(flat):
        for part, alone in zip(whole, sanderling.wavedec(signal, "db4", "symmetric", 3), strict=True):
            rows = np.moveaxis(part, axis, -1).reshape(len(flat), -1)
            assert rows[k].tobytes() == alone.tobytes()
    assert sanderling.waverec(whole, "db4", axis=axis)[..., :1].dtype == np.float32


def test_the_same_bits_on_every_isa(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(4).standard_normal((3, 777))
    seen = set()
    for name in sanderling.isa_names():
        monkeypatch.setenv("SANDERLING_ISA", name)
        for data in (x, x.astype(np.float32)):
            coeffs = sanderling.wavedec(data, "sym7", "antireflect", 4)
            parts = [*coeffs, sanderling.waverec(coeffs, "sym7", "antireflect")]
            seen.add((data.dtype, b"".join(one.tobytes() for one in parts)))
    assert len(seen) == 2


@pytest.mark.parametrize("mode", pywt.Modes.modes)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 20, 39])
def test_missing_values_go_where_pywavelets_lets_them(mode: str, value: float, at: int) -> None:
    x = np.random.default_rng(5).standard_normal(40)
    x[at] = value
    with np.errstate(invalid="ignore"):
        wanted = pywt.wavedec(x, "db3", mode, 2)
        rebuilt = pywt.waverec(wanted, "db3", mode)
    found = sanderling.wavedec(x, "db3", mode, 2)
    for one, other in zip([*found, sanderling.waverec(found, "db3", mode)], [*wanted, rebuilt], strict=True):
        np.testing.assert_array_equal(np.isfinite(one), np.isfinite(other))


WHOLE = np.arange(48.0).reshape(6, 8)


@pytest.mark.parametrize(
    "data",
    [
        [1, 2, 3, 4],
        range(7),
        np.arange(9, dtype=np.int16),
        np.array([True, False, True]),
        np.arange(9, dtype=np.float16),
        np.arange(9, dtype=">f8"),
        np.arange(9, dtype=np.longdouble),
        np.array([1, 2.5, None], object)[:2],
        WHOLE.T,
        WHOLE[::2, ::-1],
        np.frombuffer(b"\0" + np.arange(9, dtype="f4").tobytes(), "f4", offset=1),
        np.broadcast_to(np.float32(2), (4, 5)),
    ],
    ids=str,
)
def test_other_arrays_are_converted_as_pywavelets_does(data: object) -> None:
    before = np.array(data)  # PyWavelets takes no read-only array
    for found, wanted in zip(sanderling.dwt(data, "db2"), pywt.dwt(before, "db2"), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(np.array(data), before)


def test_absent_coefficients_are_zeros() -> None:
    x = np.random.default_rng(6).standard_normal((5, 64))
    a, d = sanderling.dwt(x, "sym4", axis=1)
    for pair in ((a, None), (None, d)):
        np.testing.assert_allclose(sanderling.idwt(*pair, "sym4"), pywt.idwt(*pair, "sym4"), atol=1e-12)
    coeffs = sanderling.wavedec(x, "db2", level=3)
    for at in range(4):
        missing = [None if k == at else part for k, part in enumerate(coeffs)]
        zeros = [np.zeros_like(part) if k == at else part for k, part in enumerate(coeffs)]
        np.testing.assert_allclose(sanderling.waverec(missing, "db2")[:, :64], pywt.waverec(zeros, "db2"), atol=1e-12)
    mixed = [part.astype(np.float32) if k == 1 else part for k, part in enumerate(coeffs)]
    assert sanderling.waverec(mixed, "db2").dtype == np.float64
    assert sanderling.waverec(coeffs[:1], "db2").tobytes() == coeffs[0].tobytes()


def test_wavelets_by_object() -> None:
    x = np.random.default_rng(7).standard_normal(50)
    bank = pywt.Wavelet("bior2.6")
    custom = ours.Wavelet("mine", bank.filter_bank)
    for wavelet in (bank, custom, ours.Wavelet("bior2.6"), "BIOR2.6"):
        for one, other in zip(sanderling.wavedec(x, wavelet), pywt.wavedec(x, bank), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-12)
    assert repr(custom) == "Wavelet('mine', 14 coefficients)"


@pytest.mark.parametrize("length", [0, 1, 5, 6, 7, 13, 14, 15, 512, 2**40])
def test_level_and_length(length: int) -> None:
    for name in ("haar", "db4", "dmey"):
        wavelet = pywt.Wavelet(name)
        for what in (name, ours.Wavelet(name), wavelet, wavelet.dec_len):
            assert ours.dwt_max_level(length, what) == pywt.dwt_max_level(length, wavelet)
        for mode in pywt.Modes.modes if length else ():
            assert ours.dwt_coeff_len(length, name, mode) == pywt.dwt_coeff_len(length, wavelet, mode)


def test_levels() -> None:
    x = np.ones(20, np.float32)
    [same] = sanderling.wavedec(x, "db4", level=0)
    np.testing.assert_array_equal(same, x)
    assert len(sanderling.wavedec(x, "db4")) == 2
    assert len(sanderling.wavedec(x[:5], "db4")) == 1  # shorter than the filters
    with pytest.warns(errors.InputWarning, match="at most 1, found 3") as caught:
        assert len(sanderling.wavedec(x, "db4", level=3)) == 4
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sanderling.dwt(x[:2], "db4")


BAD_INPUT = {
    "misspelt wavelet": (lambda: sanderling.dwt([1.0, 2], "bd4"), errors.InputError, "did you mean 'db4'"),
    "continuous wavelet": (lambda: sanderling.dwt([1.0, 2], "morl"), errors.InputError, "wavelet, found 'morl'"),
    "family for wavelet": (lambda: sanderling.dwt([1.0, 2], "db"), errors.InputError, "did you mean"),
    "no wavelet": (lambda: sanderling.dwt([1.0, 2], None), errors.InputError, "wavelist"),
    "list for wavelet": (lambda: sanderling.dwt([1.0, 2], ["db4"]), errors.InputError, "wavelet"),
    "misspelt mode": (lambda: sanderling.dwt([1.0, 2], "db2", "symetric"), errors.InputError, "'symmetric'"),
    "number for mode": (lambda: sanderling.dwt([1.0, 2], "db2", 2), errors.InputError, "mode"),
    "empty": (lambda: sanderling.dwt([], "db2"), errors.ShapeError, r"\(0,\)"),
    "axis of length 0": (lambda: sanderling.wavedec(np.ones((3, 0)), "db2"), errors.ShapeError, r"\(3, 0\)"),
    "a number": (lambda: sanderling.dwt(3.0, "db2"), errors.ShapeError, "0 dimensions"),
    "axis too high": (lambda: sanderling.dwt([1.0, 2], "db2", axis=1), errors.ShapeError, "found 1"),
    "axis of text": (lambda: sanderling.dwt([1.0, 2], "db2", axis="time"), errors.InputError, "'time'"),
    "one sample to reflect": (lambda: sanderling.dwt([1.0], "db2", "reflect"), errors.ShapeError, "2 samples"),
    "text": (lambda: sanderling.dwt(["a", "b"], "db2"), errors.DtypeError, "dtype <U1"),
    "times": (lambda: sanderling.dwt(np.zeros(4, "M8[s]"), "db2"), errors.DtypeError, "datetime64"),
    "objects": (lambda: sanderling.dwt([object(), 1], "db2"), errors.DtypeError, "numbers"),
    "ragged": (lambda: sanderling.dwt([[1.0], [1.0, 2]], "db2"), errors.DtypeError, "numbers"),
    "negative level": (lambda: sanderling.wavedec([1.0, 2], "db2", level=-1), errors.InputError, "found -1"),
    "fraction of a level": (lambda: sanderling.wavedec([1.0, 2], "db2", level=1.5), errors.InputError, "1.5"),
    "a million levels": (lambda: sanderling.wavedec([1.0, 2], "db2", level=10**6), errors.InputError, "1024"),
    "level beyond C": (lambda: sanderling.wavedec(np.ones(9), "db2", level=10**30), errors.InputError, "1024"),
    "axis beyond C": (lambda: sanderling.dwt(np.ones(9), "db2", axis=10**30), errors.ShapeError, "1 dimensions"),
    "more than the memory": (
        lambda: sanderling.dwt(np.broadcast_to(1.0, (1 << 50,)), "db2"),
        errors.OutOfMemoryError,
        "memory",
    ),
    "neither part": (lambda: sanderling.idwt(None, None, "db2"), errors.InputError, "neither"),
    "parts of two lengths": (lambda: sanderling.idwt(np.ones(3), np.ones(4), "db2"), errors.ShapeError, r"\(4,\)"),
    "detail one short in idwt": (lambda: sanderling.idwt(np.ones(4), np.ones(3), "db2"), errors.ShapeError, r"\(3,\)"),
    "other channels": (
        lambda: sanderling.waverec([np.ones((2, 4)), np.ones((3, 4))], "haar"),
        errors.ShapeError,
        r"\(3, 4\)",
    ),
    "too few coefficients": (lambda: sanderling.idwt([1.0], [1.0], "db4"), errors.ShapeError, "at least 4"),
    "an array for a list": (lambda: sanderling.waverec(np.ones((2, 3)), "haar"), errors.InputError, "list"),
    "no coefficients": (lambda: sanderling.waverec([], "haar"), errors.InputError, "list"),
    "only None": (lambda: sanderling.waverec([None, None], "haar"), errors.InputError, "neither"),
    "text for coefficients": (lambda: sanderling.waverec(["a", "b"], "haar"), errors.DtypeError, "numbers"),
    "odd filters": (lambda: ours.Wavelet("odd", [[1.0] * 3] * 4), errors.InputError, "even length"),
    "three filters": (lambda: ours.Wavelet("three", [[1.0] * 2] * 3), errors.InputError, "four filters"),
    "filters of NaN": (lambda: ours.Wavelet("nan", [[np.nan] * 2] * 4), errors.InputError, "finite"),
    "unknown family": (lambda: ours.wavelist("sim"), errors.InputError, "'sym'"),
    "continuous list": (lambda: ours.wavelist(kind="continuous"), errors.InputError, "continuous"),
    "filter of one": (lambda: ours.dwt_max_level(8, 1), errors.InputError, "at least 2"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_named(case: str) -> None:
    call, error, text = BAD_INPUT[case]
    with pytest.raises(error, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_unknown_isa_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDERLING_ISA", "mmx")
    with pytest.raises(errors.IsaError, match="mmx"):
        sanderling.dwt(np.ones(8), "haar")


def test_no_channels_give_no_coefficients() -> None:
    a, d = sanderling.dwt(np.ones((0, 8), np.float32), "db2")
    assert a.shape == d.shape == (0, 5) and a.dtype == np.float32
    assert sanderling.idwt(a, d, "db2").shape == (0, 8)
