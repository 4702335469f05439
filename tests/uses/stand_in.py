"""Small stand-ins for the recordings of the uses, in their files' layout."""

from pathlib import Path

import numpy as np

from tests.evaluate.packed import pack

MINUTE = 60.0


def write_servers(folder: Path) -> None:
    """One machine: 3 metrics that follow each other, 700 normal minutes, then 700 with one metric off."""
    t = np.arange(1400)
    noise = 0.1 * np.random.default_rng(0).standard_normal((1400, 3))
    x = np.stack([np.sin(t / 9), np.sin(t / 9), np.cos(t / 14)], axis=1) + noise
    labels = np.zeros(1400, np.uint8)
    x[1000:1040, 1] += 6
    labels[1000:1040] = 1
    _pack(folder / "smd.npz", [("machine-0-0", x, labels, 700, MINUTE)])


def write_city(folder: Path) -> None:
    """The machine's temperature with a long enough calibrating part, and a road sensor whose part is too short."""
    rows = []
    for name, train in (("realKnownCause/machine_temperature_system_failure", 400), ("realTraffic/speed_6005", 100)):
        x = np.sin(np.arange(1100) / 12) + 0.1 * np.random.default_rng(train).standard_normal(1100)
        labels = np.zeros(1100, np.uint8)
        x[800:840] += 5
        labels[790:850] = 1
        rows.append((name, x[:, None], labels, train, 300.0))
    _pack(folder / "nab.npz", rows)


def write_turbofan(folder: Path, engines: int = 24) -> None:
    """Engines of 3 settings and 4 sensors, one of them constant; the others drift in the last third of 120 flights."""
    rows = []
    for number in range(1, engines + 1):
        x = np.random.default_rng(number).standard_normal((120, 7))
        x[80:, 3:6] += np.linspace(0, 9, 40)[:, None]
        x[:, 6] = 1.0
        rows.append((f"train_FD001/unit{number:03}", x, np.zeros(120, np.uint8), 120, np.nan))
    _pack(folder / "cmapss_fd001.npz", rows)


def write_bearings(folder: Path) -> None:
    """A normal record of noise at 48 kHz, and a faulty one that is three times as loud."""
    x = np.random.default_rng(1).standard_normal((128_000, 2))
    quiet, loud = np.zeros(128_000, np.uint8), np.ones(60_000, np.uint8)
    records = [
        ("1797_Normal[DE,FE]", x, quiet, 64_000, 1 / 48_000),
        ("1797_IR_7_DE48[DE,FE]", 3 * x[:60_000], loud, 0, 1 / 48_000),
    ]
    _pack(folder / "cwru_1797.npz", records)


def _pack(path: Path, rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pack(path, [(name, x, ["f32"] * x.shape[1], 1.0, labels, train, period) for name, x, labels, train, period in rows])
