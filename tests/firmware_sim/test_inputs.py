"""Images whose samples come from standard input and from an IIO device, started on an emulated board.

QEMU has no sensor that Linux shows as an IIO device: a second archive brings a folder like sysfs, whose values change.
"""

import numpy as np
import pytest
from sanderling.export import bundle, minisign
from sanderling.firmware_sim import image, initramfs, qemu, sim, watch

from sanderling.boards import load_board

pytestmark = pytest.mark.slow
BOARD = load_board("rpi4b")
SAMPLES = 160
SCALE = 0.01
TREE = "sim/tree/sys/bus/iio/devices/iio:device0"
# A new value every 20 ms; and when enough were scored, what the detector has recorded.
IIO = f"""\
{sim.SCORES}
(while true; do
  while read -r value; do
    echo "$value" >/run/value
    mv /run/value /{TREE}/in_voltage0_raw
    usleep 20000
  done </sim/values
done) &
(while [ "$(cat /run/record.csv 2>/dev/null | wc -l)" -le {SAMPLES} ]; do sleep 1; done
while read -r row; do say row "$row"; done </run/record.csv) &
"""


def board_of(made, packages, folder, settings, script=b"", **parts):
    """A running machine with an image of `made`'s bundle and more parts; `script` is an archive."""
    carried = bundle.verify(made.bundle, minisign.read_public(made.key))
    key = minisign.generate()
    minisign.write_public(folder / "k.pub", key.public)
    given = carried.parts | {name.replace("__", "."): data for name, data in parts.items()}
    bundle.create(folder / "b.bundle", given, name="pump", version=2, boards=[BOARD], key=key)
    card = image.build(folder / "card.img", packages, folder / "b.bundle", folder / "k.pub", settings)
    (folder / "model.gguf").write_bytes(given[bundle.MODEL])
    options = qemu.Options(initramfs=script)
    return qemu.Machine(qemu.command(BOARD, card.path, folder, options))


def test_standard_input(made, debian, tmp_path) -> None:
    rows = made.recording.read_bytes()
    script = b'cat "${0%/*}/rows.csv"\nsleep 1000\n'
    wanted = watch.desktop(made.bundle.parent / "pump.gguf", made.recording)
    settings = image.Settings("stdin", options="--scores")
    watched = watch.Watched()
    with board_of(made, debian, tmp_path, settings, samples__sh=script, rows__csv=rows) as machine:
        watched.wait_for(machine, "running")
        while len(watched.scores) < len(wanted.scores):
            watched.take(machine.event(watch.LINE_TIMEOUT_S))
    equal, alarms = watched.compare(wanted)
    assert equal and alarms == wanted.alarms != []


def test_an_iio_device(made, debian, tmp_path) -> None:
    values = np.loadtxt(made.recording, skiprows=1)
    tree = {"name": "adc0\n", "in_voltage0_raw": "0\n", "in_voltage0_scale": f"{SCALE}\n"}
    files = {f"{TREE}/{name}": (text.encode(), initramfs.FILE) for name, text in tree.items()}
    files["sim/values"] = ("".join(f"{round(value / SCALE)}\n" for value in values).encode(), initramfs.FILE)
    files["sim/start.sh"] = (IIO.encode(), initramfs.FILE)
    parts = TREE.split("/")
    folders = tuple("/".join(parts[:i]) for i in range(1, len(parts) + 1))
    settings = image.Settings("iio", "adc0,root=/sim/tree,rate=50", options="--record /run/record.csv")
    watched, rows = watch.Watched(), []
    with board_of(made, debian, tmp_path, settings, initramfs.archive(files, folders)) as machine:
        watched.wait_for(machine, "running")
        while len(rows) <= SAMPLES or len(watched.scores) < SAMPLES:
            line = machine.event(watch.LINE_TIMEOUT_S)
            watched.take(line)
            rows += [line["note"]] if line.get("event") == "row" else []
    (tmp_path / "rows.csv").write_text("".join(f"{row}\n" for row in rows[: SAMPLES + 1]))
    wanted = watch.desktop(tmp_path / "model.gguf", tmp_path / "rows.csv")
    found = np.array([watched.scores[i] for i in range(SAMPLES)]).astype(np.float32)
    assert np.array_equal(found, wanted.scores[:SAMPLES]) and len(np.unique(found)) > SAMPLES // 16
