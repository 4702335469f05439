"""Writes filters_*.inl, the coefficients of the discrete wavelets, from PyWavelets (extra `test`).

    python csrc/wavelet/make_filters.py

The low-pass filters are enough: the others follow from them exactly (filters.h), which is checked here.
"""

from __future__ import annotations

from pathlib import Path

import pywt

FOLDER = Path(__file__).parent
# File -> families. `rbio` is `bior` with the two filters reversed and exchanged, `haar` is db1.
FILES = {"db": ("db",), "sym_coif": ("sym", "coif"), "bior_dmey": ("bior", "dmey")}
COLUMNS = 6
HEAD = """\
// Written by make_filters.py from PyWavelets; do not edit. The numbers are PyWavelets', under the MIT licence (NOTICE):
// Copyright (c) 2006-2012 Filip Wasilewski; Copyright (c) 2012- The PyWavelets Developers.
"""


def low_pass(name: str) -> tuple[list[float], list[float]]:
    """dec_lo and rec_lo, after a look at what filters.cpp makes of them."""
    wavelet = pywt.Wavelet(name)
    dec, rec = wavelet.dec_lo, wavelet.rec_lo
    same = wavelet.dec_hi == [(-1) ** (k + 1) * v for k, v in enumerate(rec)]
    same = same and wavelet.rec_hi == [(-1) ** k * v for k, v in enumerate(dec)]
    if not same or len(dec) != len(rec) or len(dec) % 2:
        raise SystemExit(f"{name}: expected high-pass filters that mirror the low-pass ones; extend filters.h")
    return dec, rec


def array(name: str, values: list[float]) -> str:
    lines = [", ".join(map(repr, values[i : i + COLUMNS])) for i in range(0, len(values), COLUMNS)]
    return f"constexpr double {name}[] = {{\n" + "".join(f"  {line},\n" for line in lines) + "};\n"


def file_text(families: tuple[str, ...]) -> str:
    text, rows = HEAD, []
    for family in families:
        values: list[float] = []
        for name in pywt.wavelist(family):
            dec, rec = low_pass(name)
            at = f"{family}_lo + {len(values)}"
            values += dec
            if rec == dec[::-1]:
                other = "nullptr"
            else:
                other = f"{family}_lo + {len(values)}"
                values += rec
            rows.append(f'  {{"{name}", {len(dec)}, {at}, {other}}},\n')
        text += array(f"{family}_lo", values)
    return text + f"constexpr Stored {'_'.join(families)}_wavelets[] = {{\n" + "".join(rows) + "};\n"


def check_derived() -> None:
    for name in pywt.wavelist("rbio"):
        dec, rec = low_pass(name)
        other_dec, other_rec = low_pass("bior" + name.removeprefix("rbio"))
        if dec != other_rec[::-1] or rec != other_dec[::-1]:
            raise SystemExit(f"{name}: expected the reversed filters of its bior; extend filters.h")
    if low_pass("haar") != low_pass("db1"):
        raise SystemExit("haar: expected db1; extend filters.h")


def texts() -> dict[str, str]:
    """File name -> content."""
    check_derived()
    return {f"filters_{file}.inl": file_text(families) for file, families in FILES.items()}


if __name__ == "__main__":
    for file, text in texts().items():
        (FOLDER / file).write_text(text)
