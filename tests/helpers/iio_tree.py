"""A fake sysfs of an IIO accelerometer: what the kernel shows of one, as files; its device is a pipe."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

SCALES = {"accel_x": 0.25, "accel_y": 0.125}


def make_tree(root: Path) -> Path:
    """The device's folder: two channels of 12 bits in 16, shifted by 4, in both byte orders; a scale by channel, one by
    type, an offset; and a timestamp that makes the scan 16 bytes long."""
    folder = root / "sys/bus/iio/devices/iio:device0"
    files = {
        "name": "fake-accel\n",
        "sampling_frequency": "100\n",
        "in_accel_x_raw": "3\n",
        "in_accel_y_raw": "-4\n",
        "in_accel_x_scale": f"{SCALES['accel_x']}\n",
        "in_accel_scale": f"{SCALES['accel_y']}\n",
        "in_accel_x_offset": "2\n",
        "scan_elements/in_accel_x_en": "0\n",
        "scan_elements/in_accel_x_index": "0\n",
        "scan_elements/in_accel_x_type": "le:s12/16>>4\n",
        "scan_elements/in_accel_y_en": "0\n",
        "scan_elements/in_accel_y_index": "1\n",
        "scan_elements/in_accel_y_type": "be:s12/16>>4\n",
        "scan_elements/in_timestamp_en": "1\n",
        "scan_elements/in_timestamp_index": "2\n",
        "scan_elements/in_timestamp_type": "le:s64/64>>0\n",
        "buffer/enable": "0\n",
        "buffer/length": "2\n",
        "trigger/current_trigger": "\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    device = root / "dev/iio:device0"
    device.parent.mkdir()
    os.mkfifo(device)
    return folder


def raw_counts(x: np.ndarray) -> np.ndarray:
    """int (samples, 2): a signal as the sensor's 12 bits."""
    return np.clip(np.rint(x * 40), -2048, 2047).astype(int)


def values(counts: np.ndarray) -> np.ndarray:
    """float32 (samples, 2) of raw counts: (raw + offset) * scale."""
    x = (counts[:, 0] + 2.0) * SCALES["accel_x"]
    return np.stack([x, counts[:, 1] * SCALES["accel_y"]], axis=1).astype(np.float32)


def scans(counts: np.ndarray) -> bytes:
    """What the device's buffer hands out for them; the bits beside the value are noise."""
    packed = b""
    for i, (a, b) in enumerate(counts):
        packed += struct.pack("<H", (int(a) & 0xFFF) << 4 | 5) + struct.pack(">H", (int(b) & 0xFFF) << 4 | 9)
        packed += b"\xff" * 4 + struct.pack("<q", i)
    return packed


def set_value(folder: Path, name: str, text: str) -> None:
    """In one step: a reader sees the old value or the new one."""
    temporary = folder / ".new"
    temporary.write_text(text)
    os.replace(temporary, folder / name)
