"""The loop of `sanderling watch` on a live source: it waits without spinning and tries again what went away."""

import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from sanderling.errors import StorageError
from sanderling.live.backoff import Backoff
from sanderling.live.mqtt_sink import MqttSink
from sanderling.live.notify import notify, watchdog_s
from sanderling.live.source import Ended, Lost, Source
from sanderling.live.watcher import Say, Watcher

_NEVER = float("inf")


class Session:
    """Runs until the source ends, enough samples have come, or SIGTERM or SIGINT; SIGHUP opens the source again.

    sink: set before `run`, when alarms are published.
    """

    def __init__(
        self, source: Source, name: str, watcher: Watcher, say: Say, *, stall_s: float, retry_s: float
    ) -> None:
        self.sink: MqttSink | None = None
        self._source, self._name, self._watcher, self._say = source, name, watcher, say
        self._stall_s = stall_s
        self._backoff = Backoff(retry_s)
        self._connected = self._told_lost = self._stalled = self._ended = False
        self._stop = self._hangup = False
        self._reopen_at = self._heard_at = self._watchdog_at = 0.0
        self._watchdog_s = watchdog_s()
        self._connections = self._stalls = 0
        self._health = ""

    def figures(self) -> dict[str, float]:
        """What metrics.py names."""
        watcher, sink, spool = self._watcher, self.sink, self._watcher.spool
        return {
            "samples_total": watcher.samples,
            "alarms_total": watcher.runs.count,
            "alarm": watcher.runs.on,
            "score": watcher.runs.score,
            "threshold": watcher.threshold,
            "bad_lines_total": watcher.reader.rejected,
            "missing_samples_total": watcher.missing,
            "connected": self._connected,
            "stalled": self._stalled,
            "connections_total": self._connections,
            "stalls_total": self._stalls,
            "spool_pending": spool.pending if spool else 0,
            "spool_lost_total": (spool.dropped if spool else 0) + watcher.unspooled,
            "delivered_total": sink.delivered if sink else 0,
            "delivery_failures_total": sink.failures if sink else 0,
        }

    def run(self) -> None:
        """Raises what the watcher raises; StorageError when standard input can't be read."""
        restore = self._catch_signals()
        try:
            self._heard_at = time.monotonic()
            notify("READY=1")
            while not (self._ended or self._stop):
                self._once()
            self._watcher.end(complete=self._ended)
            self._tell()
        finally:
            notify("STOPPING=1")
            self._source.close()
            restore()

    def _catch_signals(self) -> Callable[[], None]:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._signals = read
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        handlers = {number: signal.signal(number, self._on_signal) for number in numbers}
        before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)

        def restore() -> None:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.close(read)
            os.close(write)

        return restore

    def _on_signal(self, number: int, frame: Any) -> None:
        if number == signal.SIGHUP:
            self._hangup = True
        else:
            self._stop = True

    def _once(self) -> None:
        now = time.monotonic()
        if self._hangup:
            self._hangup = False
            if self._connected and self._source.returns:
                self._source.close()
                self._watcher.reader.cut()
                self._connected = False
            self._reopen_at = now
        if not self._connected and now >= self._reopen_at:
            self._connect()
        self._check_stall(now)
        if self._watchdog_s and now >= self._watchdog_at:
            notify("WATCHDOG=1")
            self._watchdog_at = now + self._watchdog_s
        self._tell()
        if self._wait():
            self._read()

    def _wait(self) -> bool:
        """Whether the source wants to be read."""
        due = self._source.due() if self._connected else None
        fds = [self._source.fd] if self._connected and self._source.fd is not None else []
        until = min(
            _NEVER if self._connected else self._reopen_at,
            self._heard_at + self._stall_s if self._stall_s and not self._stalled else _NEVER,
            self._watchdog_at if self._watchdog_s else _NEVER,
            _NEVER if due is None else due,
        )
        poller = select.poll()
        wakers = [self._signals] + ([self.sink.news_fd] if self.sink else [])
        for fd in (*wakers, *fds):
            poller.register(fd, select.POLLIN)
        left = until - time.monotonic()
        ready = dict(poller.poll(None if until == _NEVER else max(0.0, left) * 1000))
        if self._signals in ready:
            os.read(self._signals, 4096)
        return any(fd in ready for fd in fds) or (due is not None and time.monotonic() >= due)

    def _connect(self) -> None:
        try:
            self._source.open()
        except Lost as lost:
            self._lose(str(lost))
            return
        self._connected = True
        self._connections += 1
        if self._told_lost:
            self._say({"event": "connected", "source": self._name, "attempts": self._backoff.failures})
        self._told_lost = False

    def _lose(self, why: str) -> None:
        self._source.close()
        if self._connected:
            self._watcher.reader.cut()
        self._connected = False
        if not self._told_lost:
            self._say({"event": "lost", "source": self._name, "why": why or "ended"})
        self._told_lost = True
        if not self._source.returns:
            raise StorageError("input: expected to read samples, found an error; check the redirection")
        self._reopen_at = time.monotonic() + self._backoff.next_s()

    def _read(self) -> None:
        watcher = self._watcher
        try:
            rows, times = watcher.reader.feed(self._source.read())
        except Lost as lost:
            self._lose(str(lost))
            return
        except Ended:
            self._ended = True
            rows, times = watcher.reader.finish()
        if rows:
            now = time.monotonic()
            if self._stalled:
                self._say({"event": "resumed", "sample": watcher.samples, "seconds": round(now - self._heard_at, 3)})
            self._stalled, self._heard_at = False, now
            self._backoff.reset()
        watcher.take(rows, times)
        self._ended = self._ended or watcher.full

    def _check_stall(self, now: float) -> None:
        if self._stalled or not self._stall_s or now - self._heard_at < self._stall_s:
            return
        self._stalled = True
        self._stalls += 1
        self._say({"event": "stall", "samples": self._watcher.samples, "seconds": self._stall_s})

    def _tell(self) -> None:
        """Health to systemd, state and news to and from MQTT."""
        watcher = self._watcher
        whole = "missing values" if watcher.missing_open else "ok"
        health = "lost" if not self._connected else "stalled" if self._stalled else whole
        if health != self._health:
            self._health = health
            notify(f"STATUS={health} ({self._name})")
        if self.sink is None:
            return
        score = watcher.runs.score
        self.sink.update(
            {
                "alarm": watcher.runs.on,
                "health": health,
                "score": score if score == score else None,
                "threshold": watcher.threshold if watcher.threshold == watcher.threshold else None,
                "samples": watcher.samples,
                "alarms": watcher.runs.count,
            }
        )
        if watcher.spool is not None and watcher.spool.pending:
            self.sink.wake()
        for why in self.sink.news():
            self._say({"event": "undelivered", "pending": watcher.spool.pending if watcher.spool else 0, "why": why})
