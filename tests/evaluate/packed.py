"""Writes the packed layout that `read_npz` documents, for tests."""

import numpy as np


def pack(path, series):
    """series: (name, x (time, channels), kinds: per channel "i16" or "f32", scale, labels, train_end, period_s)."""
    i16, f32 = [], []
    z = {key: [] for key in "ch_kind ch_off ch_scale ch_bias".split()}
    for _, x, kinds, scale, *_ in series:
        for column, kind in zip(np.asarray(x).T, kinds, strict=True):
            pool = f32 if kind == "f32" else i16
            z["ch_kind"].append(int(kind == "f32"))
            z["ch_off"].append(sum(map(len, pool)))
            z["ch_scale"].append(scale)
            z["ch_bias"].append(1.0)
            if kind == "f32":
                pool.append(column.astype("<f4"))
                continue
            q = np.where(np.isnan(column), -32768, np.round((column - 1.0) / scale)).astype(np.int16)
            pool.append(np.diff(q, prepend=np.int16(0)).astype("<i2"))
    planes = {}
    for key, pool, dtype, size in (("i16", i16, "<i2", 2), ("f32", f32, "<f4", 4)):
        joined = np.concatenate([np.empty(0, dtype), *pool]).astype(dtype)
        planes[key] = np.ascontiguousarray(joined.view(np.uint8).reshape(-1, size).T)
    labels = [s[4] for s in series]
    if all(y is not None for y in labels):
        planes["labels"] = np.concatenate(labels).astype(np.uint8)
    np.savez(
        path,
        names=np.array([s[0] for s in series]),
        length=np.array([len(s[1]) for s in series]),
        n_channels=np.array([len(s[2]) for s in series]),
        train_end=np.array([s[5] for s in series]),
        period_s=np.array([s[6] for s in series]),
        delta=np.int64(1),
        **z,
        **planes,
    )
