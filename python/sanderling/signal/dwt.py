"""The decimated discrete wavelet transform over one axis, in the C++ core, with PyWavelets' names and conventions.

Also as `sanderling.dwt`, `idwt`, `wavedec`, `waverec`. docs/wavelet.md has the rules and the differences.
Source: Mallat, A Theory for Multiresolution Signal Decomposition, 1989. Needs numpy alone.

`data` is anything that numpy turns into numbers. float32 and complex64 stay (float16 becomes float32), everything else
becomes float64 or complex128; results are new C-contiguous arrays of that type. NaN and infinities go where the filters
take them. Every function raises, of sanderling.errors: InputError for a wavelet, a mode or a level that doesn't exist,
ShapeError for an axis, a length or shapes that don't fit, DtypeError for values that are not numbers, OutOfMemoryError,
and IsaError for $SANDERLING_ISA.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sanderling import _core
from sanderling.errors import DtypeError, InputError, OutOfMemoryError, ShapeError

MAX_LEVEL = 1024
modes: tuple[str, ...] = tuple(_core.wavelet_modes())
_MODES = {name: number for number, name in enumerate(modes)}
_FAMILIES = {
    "haar": "Haar",
    "db": "Daubechies",
    "sym": "Symlets",
    "coif": "Coiflets",
    "bior": "Biorthogonal",
    "rbio": "Reverse biorthogonal",
    "dmey": "Discrete Meyer (FIR Approximation)",
}
_NAMES: dict[str, str] = {name: name.rstrip("0123456789.") for name in _core.wavelet_names()}


class Wavelet:
    """A discrete wavelet: four filters.

    Args:
        name: a name of `wavelist()`, or any name where filter_bank is given.
        filter_bank: (dec_lo, dec_hi, rec_lo, rec_hi), of the same even length.

    Attributes:
        dec_lo, dec_hi, rec_lo, rec_hi: tuples of float; dec_len, rec_len: their length; filter_bank: the four.
    """

    def __init__(self, name: str, filter_bank: Sequence[Sequence[float]] | None = None) -> None:
        self.name = name
        if filter_bank is None:
            found = _core.wavelet_low_pass(name.lower()) if isinstance(name, str) else None
            if found is None:
                raise InputError(_unknown("wavelet", name, list(_NAMES), "wavelist()"))
            dec, rec = found
            dec_hi = [v if k % 2 else -v for k, v in enumerate(rec)]
            filter_bank = (dec, dec_hi, rec, [-v if k % 2 else v for k, v in enumerate(dec)])
        try:
            filters = [tuple(float(v) for v in one) for one in filter_bank]
        except (TypeError, ValueError):
            filters = []
        if len(filters) != 4 or not all(np.isfinite(one).all() for one in filters):
            raise InputError(f"expected four filters of finite numbers for wavelet {name!r}, found others")
        self.dec_lo, self.dec_hi, self.rec_lo, self.rec_hi = filters
        self.bank = _core.FilterBank(*filters)

    @property
    def filter_bank(self) -> tuple[tuple[float, ...], ...]:
        return self.dec_lo, self.dec_hi, self.rec_lo, self.rec_hi

    @property
    def dec_len(self) -> int:
        return len(self.dec_lo)

    @property
    def rec_len(self) -> int:
        return len(self.rec_lo)

    def __repr__(self) -> str:
        return f"Wavelet({self.name!r}, {self.dec_len} coefficients)"


class _Banks(dict):
    """Name -> the core's filters, made when first asked for."""

    def __missing__(self, name: object) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        made = self[name] = Wavelet(str(name)).bank
        return made


_BANKS = _Banks()


def _unknown(what: str, found: object, names: Sequence[str], where: str) -> str:
    near = get_close_matches(str(found).lower(), names, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"{where} has the names"
    return f"expected a {what}, found {str(found)[:60]!r}; {hint}"


def _wavelet(wavelet: object) -> Wavelet:
    if isinstance(wavelet, Wavelet):
        return wavelet
    bank = getattr(wavelet, "filter_bank", None)  # PyWavelets' own object
    if bank is not None:
        return Wavelet(str(getattr(wavelet, "name", "filters")), bank)
    return Wavelet(wavelet)  # type: ignore[arg-type]


def _mode(mode: object) -> int:
    if not isinstance(mode, str) or mode not in _MODES:
        raise InputError(_unknown("mode", mode, modes, "sanderling.signal.dwt.modes"))
    return _MODES[mode]


def _numbers(data: object, what: str = "data") -> np.ndarray:
    """A C-contiguous, aligned, native array of one of the four types."""
    try:
        x = np.asarray(data)
        if x.dtype.kind == "O":
            x = x.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DtypeError(f"expected {what} as an array of numbers, found {str(error)[:80]}; convert it first") from None
    if x.dtype.kind not in "biufc":
        raise DtypeError(f"expected {what} as an array of numbers, found dtype {x.dtype}; convert it first")
    small = x.dtype.itemsize <= (8 if x.dtype.kind == "c" else 4) and x.dtype.kind in "fc"
    names = ("complex64", "complex128") if x.dtype.kind == "c" else ("float32", "float64")
    try:
        return np.require(x, names[not small], ["C", "A"])
    except MemoryError:
        raise OutOfMemoryError(f"expected memory for {what} of shape {x.shape}, found too little; use parts") from None


def _axis(axis: object, x: np.ndarray, what: str) -> int:
    try:
        number = index(axis)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"expected axis as an integer, found {axis!r}") from None
    if not -x.ndim <= number < x.ndim:
        raise ShapeError(f"expected an axis of {what} with {x.ndim} dimensions, found {number}")
    return number % x.ndim


def _real(x: np.ndarray) -> np.ndarray:
    """A complex array as a real one with a last axis of two: the filters are real."""
    return x.view(x.real.dtype).reshape(*x.shape, 2) if x.dtype.kind == "c" else x


def _complex(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return x.view(dtype)[..., 0] if dtype.kind == "c" else x


def _level(level: object) -> int:
    try:
        number = index(level)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"expected level as an integer, found {level!r}") from None
    if not 0 <= number <= MAX_LEVEL:
        raise InputError(f"expected a level of 0 to {MAX_LEVEL}, found {number}")
    return number


def _decompose(
    data: object, wavelet: object, mode: object, level: object, axis: object, warn: bool
) -> list[np.ndarray]:
    """What the core left: conversion, messages, level 0."""
    x = _numbers(data)
    bank, number, at = _wavelet(wavelet), _mode(mode), _axis(axis, x, "data")
    n = x.shape[at]
    if n == 0:
        raise ShapeError(f"expected samples along axis {at}, found shape {x.shape}")
    steps = dwt_max_level(n, bank.dec_len) if level is None else _level(level)
    if steps == 0:
        return [x]
    found = _core.wavedec(_real(x), bank.bank, number, steps, at, warn)
    if found is None:
        raise ShapeError(f"expected 2 samples or more at each level in mode {mode!r}, found 1; take another mode")
    return [_complex(one, x.dtype) for one in found]


def dwt(
    data: ArrayLike, wavelet: str | Wavelet, mode: str = "symmetric", axis: int = -1
) -> tuple[np.ndarray, np.ndarray]:
    """One level of the decimated transform.

    Args:
        data: the samples; the transform runs along `axis`, every other axis is a batch.
        wavelet: a name of `wavelist()`, a `Wavelet`, or PyWavelets' object.
        mode: how the signal goes on beyond its ends, one of `modes`.

    Returns:
        (cA, cD), approximation and detail: along axis (n + dec_len - 1) // 2 coefficients, periodization (n + 1) // 2.
    """
    try:
        found = _core.wavedec(data, _BANKS[wavelet], _MODES[mode], 1, axis, False)
    except (KeyError, TypeError):
        found = None
    a, d = _decompose(data, wavelet, mode, 1, axis, False) if found is None else found
    return a, d


def wavedec(
    data: ArrayLike, wavelet: str | Wavelet, mode: str = "symmetric", level: int | None = None, axis: int = -1
) -> list[np.ndarray]:
    """Several levels: `dwt` of the approximation of the level before.

    Args:
        level: 0 to 1,024; None takes `dwt_max_level`, and more than that gives an InputWarning. The rest as for `dwt`.

    Returns:
        [cA_n, cD_n, cD_n-1, .., cD_1].
    """
    try:
        found = _core.wavedec(data, _BANKS[wavelet], _MODES[mode], level, axis, True)
    except (KeyError, TypeError):
        found = None
    return _decompose(data, wavelet, mode, level, axis, True) if found is None else found


def _rebuild(coeffs: Sequence[object], wavelet: object, mode: object, axis: object, equal: bool) -> np.ndarray:
    """What the core left: conversion, missing parts, messages."""
    bank, number = _wavelet(wavelet), _mode(mode)
    parts = [None if part is None else _numbers(part, "coefficients") for part in coeffs]
    given = [part for part in parts if part is not None]
    if not given:
        raise InputError("expected cA or cD, found neither; give one of them")
    if parts[0] is None and (len(parts) < 2 or parts[1] is None):
        raise InputError("expected cA or the coarsest cD, found neither; give one of them")
    dtype = np.result_type(*given)
    at = _axis(axis, given[0], "coefficients")
    whole: list[np.ndarray] = []
    rebuilt = given[0].shape[at]
    for part in parts:
        shape = (*given[0].shape[:at], rebuilt, *given[0].shape[at + 1 :])
        x = np.zeros(shape, dtype) if part is None else part.astype(dtype, copy=False)
        shorter = (*shape[:at], rebuilt - 1, *shape[at + 1 :])
        if x.shape != shape and (equal or not whole or x.shape != shorter):
            raise ShapeError(f"expected a detail of shape {shape}, found {x.shape}; take coefficients of one transform")
        whole.append(x)
        if len(whole) > 1:
            rebuilt = _samples(x.shape[at], bank.dec_len, number)
            if rebuilt < 1:
                least = bank.dec_len // 2
                raise ShapeError(f"expected at least {least} coefficients for {bank.name}, found {x.shape[at]}")
    if len(whole) == 1:
        return whole[0]
    found = _core.waverec([_real(x) for x in whole], bank.bank, number, at, equal)
    if found is None:
        raise InputError(f"expected at most {MAX_LEVEL} levels, found {len(whole) - 1}")
    return _complex(found, dtype)


def _samples(coefficients: int, filter_len: int, mode: int) -> int:
    return 2 * coefficients if modes[mode] == "periodization" else 2 * coefficients - filter_len + 2


def idwt(
    cA: ArrayLike | None, cD: ArrayLike | None, wavelet: str | Wavelet, mode: str = "symmetric", axis: int = -1
) -> np.ndarray:
    """The inverse of `dwt`; one of the two may be None, which stands for zeros.

    Args:
        cA, cD: of the same shape. The rest as for `dwt`.

    Returns:
        The signal: along axis 2 n - dec_len + 2 samples, periodization 2 n. An odd signal comes back one sample longer.
    """
    try:
        found = _core.waverec((cA, cD), _BANKS[wavelet], _MODES[mode], axis, True)
    except (KeyError, TypeError):
        found = None
    return _rebuild((cA, cD), wavelet, mode, axis, True) if found is None else found


def waverec(
    coeffs: Sequence[ArrayLike | None], wavelet: str | Wavelet, mode: str = "symmetric", axis: int = -1
) -> np.ndarray:
    """The inverse of `wavedec`.

    Args:
        coeffs: [cA_n, cD_n, .., cD_1], a list or a tuple; None stands for zeros. The rest as for `idwt`.

    Returns:
        The signal, as of `idwt`; of [cA_0] alone cA_0.
    """
    if not isinstance(coeffs, list | tuple) or not coeffs:
        raise InputError("expected coefficients as a list of arrays, [cA_n, cD_n, .., cD_1], found none")
    try:
        found = _core.waverec(coeffs, _BANKS[wavelet], _MODES[mode], axis, False)
    except (KeyError, TypeError):
        found = None
    return _rebuild(coeffs, wavelet, mode, axis, False) if found is None else found


def _filter_len(filter_len: object) -> int:
    if isinstance(filter_len, str) or hasattr(filter_len, "filter_bank"):
        return _wavelet(filter_len).dec_len
    try:
        length = index(filter_len)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"expected a filter's length or a wavelet, found {filter_len!r}") from None
    if length < 2:
        raise InputError(f"expected a filter's length of at least 2, found {length}")
    return length


def dwt_max_level(data_len: int, filter_len: int | str | Wavelet) -> int:
    """floor(log2(data_len / (filter_len - 1))): beyond it every coefficient sees the boundary. 0 for shorter data."""
    if data_len < 0:
        raise InputError(f"expected a length of at least 0, found {data_len}")
    return max((index(data_len) // (_filter_len(filter_len) - 1)).bit_length() - 1, 0)


def dwt_coeff_len(data_len: int, filter_len: int | str | Wavelet, mode: str = "symmetric") -> int:
    """The number of coefficients of one level of `dwt`."""
    if data_len < 1:
        raise InputError(f"expected a length of at least 1, found {data_len}")
    periodic = modes[_mode(mode)] == "periodization"
    return (data_len + 1) // 2 if periodic else (data_len + _filter_len(filter_len) - 1) // 2


def families(short: bool = True) -> list[str]:
    """The families of wavelets: their prefixes, or their full names."""
    return list(_FAMILIES if short else _FAMILIES.values())


def wavelist(family: str | None = None, kind: str = "all") -> list[str]:
    """The names of the wavelets, of one family if given. All are discrete: kind may be 'all' or 'discrete'."""
    if kind not in ("all", "discrete"):
        raise InputError(f"expected kind 'all' or 'discrete', found {kind!r}; there are no continuous wavelets here")
    if family is not None and family not in _FAMILIES:
        raise InputError(_unknown("family", family, list(_FAMILIES), "families()"))
    return sorted(name for name, of in _NAMES.items() if family in (None, of))


__all__ = [
    "MAX_LEVEL",
    "Wavelet",
    "dwt",
    "dwt_coeff_len",
    "dwt_max_level",
    "families",
    "idwt",
    "modes",
    "wavedec",
    "wavelist",
    "waverec",
]
