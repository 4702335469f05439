"""Live programs under test: the runner, the runner on an emulated board, and `sanderling watch`, by their lines."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.programs import environment

PATIENCE = 60  # seconds until a test gives up; nothing is asserted about how long something takes
Event = dict[str, Any]


class Running:
    """A started program: its events are read as they come."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
        self.lines: list[Event] = []
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._errors: list[bytes] = []
        threading.Thread(target=self._read, daemon=True).start()
        self._stderr = threading.Thread(target=self._read_errors, daemon=True)
        self._stderr.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(json.loads(line, parse_constant=lambda word: 1 / 0))
        self._queue.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    def send(self, text: str | bytes) -> None:
        """To standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() if isinstance(text, str) else text)
        self.process.stdin.flush()

    def wait_for(self, wanted: str | Callable[[Event], bool]) -> Event:
        """The next line that is the event `wanted`, or of which it is true."""
        while True:
            line = self._queue.get(timeout=PATIENCE)
            assert line is not None, f"the program ended: {self.stderr()}"
            self.lines.append(line)
            if line.get("event") == wanted if isinstance(wanted, str) else wanted(line):
                return line

    def finish(self, *, number: int | None = None) -> list[Event]:
        """All lines until the end, which a signal or the end of standard input brings; exit status 0."""
        if number is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        assert self.process.wait(PATIENCE) == 0, self.stderr()
        return self.lines

    def kill(self) -> list[Event]:
        """kill -9; what it had said until then."""
        self.process.kill()
        self.process.wait(PATIENCE)
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        return self.lines

    def stderr(self) -> str:
        self._stderr.join(PATIENCE)
        return b"".join(self._errors).decode()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)


class Program:
    """How to start one of them on a model; every_score adds what makes it tell each score."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.is_watch = kind == "watch"
        self._running: list[Running] = []
        if self.is_watch:
            self._command = [sys.executable, "-m", "sanderling", "watch"]
        elif kind == "runner":
            self._command = [environment("SANDERLING_RUNNER")]
        else:
            self._command = [environment("SANDERLING_QEMU"), "-cpu", "cortex-a53", environment("SANDERLING_RUNNER_ARM")]

    def start(self, model: Path, *arguments: object, every_score: bool = False, **more: str) -> Running:
        scores = (["--all"] if self.is_watch else ["--scores"]) if every_score else []
        given = ["-m", str(model)] if self.is_watch else [str(model)]
        running = Running([*self._command, *scores, *map(str, arguments), *given], {**os.environ, **more})
        self._running.append(running)
        return running

    def stop_all(self) -> None:
        for running in self._running:
            running.stop()


def events_of(lines: list[Event], name: str) -> list[Event]:
    return [line for line in lines if line.get("event") == name]


def scores_in(lines: list[Event]) -> np.ndarray:
    """float32 (time,) of lines asked for with every_score."""
    scores: list[float] = []
    for line in lines:
        if "event" in line or "score" not in line:
            continue
        count = line["end"] - line["start"] + 1 if "start" in line else 1
        assert line.get("i", line.get("start")) == len(scores)
        scores += [np.nan if line["score"] is None else line["score"]] * count
    return np.asarray(scores, np.float32)


def rows_text(x: np.ndarray, *, names: str = "") -> str:
    """CSV without a time column; NaN as `nan`."""
    lines = [",".join(f"{v:.9g}" for v in row) for row in x]
    return "".join(line + "\n" for line in ([names] if names else []) + lines)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Byte for byte."""
    return a.dtype == b.dtype == np.float32 and a.tobytes() == b.tobytes()


class Broker:
    """A real mosquitto on a port of its own; keeps its sessions over a restart. tls: lines of its configuration."""

    def __init__(self, folder: Path, tls: str = "") -> None:
        found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if found is None:
            pytest.skip("mosquitto is missing; as root run: apt-get install mosquitto")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._folder, self._program, self._scheme = folder, found, "mqtts" if tls else "mqtt"
        folder.mkdir(exist_ok=True)
        self._log = folder / "log"
        config = f"listener {self.port} 127.0.0.1\n{tls}allow_anonymous true\npersistence true\n"
        config += f"persistence_location {folder}/\nlog_dest file {self._log}\nlog_type all\n"
        if os.geteuid() == 0:
            config += "user root\n"
        (folder / "mosquitto.conf").write_text(config)
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, topic: str) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/{topic}"

    def start(self) -> None:
        self._log.write_bytes(b"")
        self.process = subprocess.Popen(
            [self._program, "-c", str(self._folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait_for("running")

    def wait_for(self, text: str, count: int = 1) -> None:
        """Until the log has it so often."""
        assert self.process is not None
        pause = threading.Event()
        for _ in range(PATIENCE * 50):
            if self._log.read_text(errors="replace").count(text) >= count:
                return
            assert self.process.poll() is None, self._log.read_text(errors="replace")
            pause.wait(0.02)
        raise AssertionError(f"no '{text}' in {self._log.read_text(errors='replace')}")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(PATIENCE)


class Listener:
    """A subscriber with a session that survives the broker's restart."""

    def __init__(self, broker: Broker, topic: str) -> None:
        paho = pytest.importorskip("paho.mqtt.client")
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._ready = threading.Event()
        self._seen: dict[int, Event] = {}
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        self.client.reconnect_delay_set(0.05, 0.2)
        self.client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = lambda client, data, m: self.messages.put((m.topic, m.payload))
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self._ready.wait(PATIENCE)

    def next(self, wanted: Callable[[str, bytes], bool]) -> bytes:
        """The payload of the next message that is wanted."""
        while True:
            topic, payload = self.messages.get(timeout=PATIENCE)
            if wanted(topic, payload):
                return payload

    def alarms(self, last: int) -> list[Event]:
        """All alarms so far, up to number `last`, in the order of their first coming; a broker may bring one again."""
        seen = self._seen
        while last not in seen:
            record = json.loads(self.next(lambda topic, payload: topic.endswith("/alarm")))
            known = record["seq"] in seen
            assert known or record["seq"] > max(seen, default=0), ("out of order", record["seq"], list(seen))
            seen.setdefault(record["seq"], record)
        return list(seen.values())

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def mosquitto(folder: Path, tls: str = "") -> Iterator[Broker]:
    """A running broker."""
    broker = Broker(folder, tls)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
