"""A spool or a disk that is full: the oldest alarms go, counted and said; the detector goes on."""

import errno
import json
import os
import resource
import signal
import subprocess

from sanderling.live.spool import Spool
from tests.helpers.live import events_of, rows_text
from tests.helpers.live_fixtures import separate_alarms

MANY = separate_alarms(24)


def test_the_oldest_go(native, pump, tmp_path) -> None:
    running = native.start(pump, "--live", "--spool", tmp_path / "s", "--spool-bytes", 4096)
    running.send(rows_text(MANY))
    lines = running.finish()
    records = [line for line in lines if "seq" in line]
    told = events_of(lines, "spool_full")
    assert len(records) > 30 and told and told[-1]["dropped"] == lines[-1]["dropped"]
    assert sum(path.stat().st_size for path in (tmp_path / "s").glob("*.jsonl")) <= 4096
    # Exactly the newest are left, and none that was counted as dropped.
    spool = Spool(tmp_path / "s", 4096)
    left = []
    while (record := spool.oldest()) is not None:
        left.append(json.loads(record[1]))
        spool.acknowledge(record[0])
    assert left == records[lines[-1]["dropped"] :] and len(left) == lines[-1]["pending"]


def test_a_disk_that_takes_no_more(native, pump, tmp_path, monkeypatch) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))

    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **o: popen(*a, **o, preexec_fn=limit, restore_signals=False)
    )
    running = native.start(pump, "--live", "--spool", tmp_path / "s", "--record", tmp_path / "kept.csv")
    running.send(rows_text(MANY))
    lines = running.finish()
    failed = events_of(lines, "spool_error")
    kept = [line["seq"] for line in lines if "seq" in line]
    # Every alarm is told on standard output, those that the disk has lost without a number of their own.
    assert lines[-1]["samples"] == len(MANY) and lines[-1]["alarms"] == len(events_of(lines, "alarm_on"))
    assert failed and failed[-1]["lost"] == lines[-1]["dropped"] and "File too large" in failed[0]["why"]
    assert len(events_of(lines, "record_error")) == 1 and kept
    assert lines[-1]["pending"] == 2 * lines[-1]["alarms"] - lines[-1]["dropped"]


def test_no_space_costs_the_oldest(tmp_path, monkeypatch) -> None:
    spool = Spool(tmp_path / "s", 4096)
    for i in range(30):
        spool.append({"n": i})
    before, pending = len(list((tmp_path / "s").glob("*.jsonl"))), spool.pending
    write, times = os.write, []

    def full_once(file: int, data: bytes) -> int:
        times.append(1)
        if len(times) == 1:
            return write(file, data[:7])  # what a full disk does to a record
        if len(times) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    monkeypatch.setattr(os, "write", full_once)
    spool.append({"n": "last"})
    assert spool.dropped > 0 and spool.pending == pending + 1 - spool.dropped
    assert len(list((tmp_path / "s").glob("*.jsonl"))) == before - 1
    spool.close()
    assert Spool(tmp_path / "s", 4096).damaged == 0
