"""NNCF must not phone home. In a process of its own: under pytest NNCF switches its telemetry off by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, socket, sys
attempts = []
def refuse(*args, **kwargs):
    attempts.append(repr(args[:2]))
    raise OSError("no network in this test")
socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
socket.create_connection = refuse
if sys.argv[1] == "quantise":
    import torch
    torch.set_num_threads(1)
    sys.path.insert(0, sys.argv[2])
    from tests.compress.models import batches, random_model
    from sanderling.compress.quantise import quantise
    scales = quantise(random_model(), batches(1)).scales
else:
    import nncf
    scales = {}
    import time
    time.sleep(2)  # the sender has a thread of its own
assert "pytest" not in sys.modules
print(json.dumps({"attempts": attempts, "matrices": len(scales)}))
"""


def run(mode: str, home: Path) -> tuple[dict, list[str]]:
    home.mkdir()
    off = ("NNCF_CI", "NNCF_DEV", "CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST")
    env = {k: v for k, v in os.environ.items() if k not in off}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode, str(Path(__file__).parents[2])],
        env={**env, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    written = [str(p.relative_to(home)) for p in home.rglob("*") if p.is_file()]
    return json.loads(done.stdout.splitlines()[-1]), written


def test_quantising_opens_no_connection_and_leaves_no_id(tmp_path):
    report, written = run("quantise", tmp_path / "quiet")
    assert report["matrices"] == 8 + 5
    assert report["attempts"] == []
    assert written == []


def test_plain_import_would_leave_an_id(tmp_path):
    """The trap is there: without our import NNCF's sender writes into HOME."""
    _, written = run("plain", tmp_path / "loud")
    assert any("intel" in name.lower() for name in written), written
