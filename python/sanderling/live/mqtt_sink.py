"""Alarms and state to MQTT, in a thread of its own, so that a broker that hangs holds up no sample."""

import json
import os
import re
import select
import threading
import time
from pathlib import Path
from typing import Any

import sanderling
from sanderling.extras import require
from sanderling.live.backoff import Backoff
from sanderling.live.mqtt import KEEPALIVE_S, Broker, Connection
from sanderling.live.source import Lost
from sanderling.live.spool import Spool

_STATE_EVERY_S = 5.0
_PATIENCE_S = 30.0  # for the broker's acknowledgement
_DRAIN_S = 5.0  # for alarms that are still to be delivered at the end


class MqttSink:
    """Topics under the URL's: `alarm` (each record of the spool, QoS 1, in order, one by one), `anomaly` (ON or OFF),
    `state` (JSON) and `status` (online or offline, the last will); the last three are retained.

    Raises InputError, DependencyError.
    """

    def __init__(
        self, url: str, spool: Spool, *, name: str, discovery: str, retry_s: float, ca: Path | None = None
    ) -> None:
        require("paho.mqtt.client", "live")
        self._broker = Broker.of("--publish", url, wildcards=False, ca=ca)
        self._base, self._spool, self._name, self._discovery = self._broker.topic, spool, name, discovery
        self._backoff = Backoff(retry_s)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.news_fd, self._news_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)  # readable when there are news
        self._mutex = threading.Lock()
        self._state: dict[str, Any] = {}
        self._sent: dict[str, Any] = {}
        self._sent_at = self._woken_at = 0.0
        self._in_flight: tuple[int, int] | None = None  # message id, record number
        self._deadline = 0.0
        self._stopping = False
        self._news: list[str] = []
        self._acknowledgement = 0  # the last message id that the broker has
        self.connected = False
        self.delivered = self.failures = 0
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def update(self, state: dict[str, Any]) -> None:
        """The newest state; goes out at once when alarm or health has changed, else every 5 s."""
        with self._mutex:
            urgent = any(state.get(key) != self._state.get(key) for key in ("alarm", "health"))
            changed = state != self._state
            self._state = dict(state)
        now = time.monotonic()
        if urgent or (changed and now >= self._woken_at + _STATE_EVERY_S):
            self._woken_at = now
            self.wake()

    def wake(self) -> None:
        """There is a new record in the spool."""
        _signal(self._wake_write)

    def news(self) -> list[str]:
        """Why connections ended since the last call, one line for each time of being away."""
        with self._mutex:
            news, self._news = self._news, []
            _drain(self.news_fd)
        return news

    def close(self) -> None:
        """Delivers what the broker takes within 5 s, says goodbye."""
        self._stopping = True
        self.wake()
        self._thread.join(_DRAIN_S + _PATIENCE_S)

    def _run(self) -> None:
        told = False
        while True:
            why = ""
            try:
                self._serve()
                return
            except Lost as lost:
                why = str(lost)
            except sanderling.SanderlingError as error:  # the spool's disk
                why = str(error)
            if self.connected:
                self._backoff.reset()
                told = False
            self.connected = False
            self._in_flight = None
            self.failures += 1
            if not told:
                with self._mutex:
                    self._news.append(why)
                    _signal(self._news_write)
            told = True
            if self._stopping:
                return
            self._sleep(self._backoff.next_s())
            # The end during a pause is worth one more try when alarms are waiting.
            if self._stopping and self._spool.pending == 0:
                return

    def _sleep(self, seconds: float) -> None:
        """Until then or the end."""
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            select.select([self._wake_read], [], [], left)
            _drain(self._wake_read)

    def _serve(self) -> None:
        """One connection, until it is lost (Lost) or the end."""
        connection = Connection(
            self._broker,
            on_connect=self._greet,
            on_publish=self._acknowledged,
            will=(f"{self._base}/status", "offline"),
        )
        give_up = None
        try:
            while True:
                self._step(connection)
                if self._stopping:
                    give_up = give_up or time.monotonic() + _DRAIN_S
                    if self._spool.pending == 0 or time.monotonic() > give_up:
                        break
                self._wait(connection, 0.1 if self._stopping else self._timeout())
            if self.connected:
                self._say_goodbye(connection)
        finally:
            connection.close()

    def _say_goodbye(self, connection: Connection) -> None:
        self._publish_state(connection)
        last = connection.publish(f"{self._base}/status", "offline", qos=1, retain=True)
        give_up = time.monotonic() + _DRAIN_S
        # Closed with an acknowledgement unread, the connection would be reset, and the last will sent.
        while self._acknowledgement != last and time.monotonic() < give_up:
            self._wait(connection, 0.1)

    def _timeout(self) -> float:
        now = time.monotonic()
        waits = [KEEPALIVE_S / 2]
        if self._in_flight:
            waits.append(self._deadline - now)
        if self.connected and self._state != self._sent:
            waits.append(self._sent_at + _STATE_EVERY_S - now)
        return max(0.0, min(waits))

    def _wait(self, connection: Connection, timeout: float) -> None:
        fd = connection.fileno()
        writing = [fd] if connection.client.want_write() else []
        ready, writable, _ = select.select([fd, self._wake_read], writing, [], timeout)
        _drain(self._wake_read)
        if fd in ready or writable or not ready:
            connection.work()

    def _step(self, connection: Connection) -> None:
        connection.write()
        if not self.connected:
            return
        with self._mutex:
            state = dict(self._state)
        urgent = any(state.get(key) != self._sent.get(key) for key in ("alarm", "health"))
        if urgent or (state != self._sent and time.monotonic() >= self._sent_at + _STATE_EVERY_S):
            self._publish_state(connection)
        if self._in_flight is None and (record := self._spool.oldest()) is not None:
            number, text = record
            # The acknowledgement is read in this thread, so it can't come before the id is known.
            self._in_flight = (connection.publish(f"{self._base}/alarm", text, qos=1, retain=False), number)
            self._deadline = time.monotonic() + _PATIENCE_S
        if self._in_flight is not None and time.monotonic() > self._deadline:
            raise Lost("the broker acknowledges nothing")
        connection.write()

    def _publish_state(self, connection: Connection) -> None:
        with self._mutex:
            state = dict(self._state)
        if state:
            connection.publish(f"{self._base}/anomaly", "ON" if state.get("alarm") else "OFF", qos=1, retain=True)
            connection.publish(f"{self._base}/state", json.dumps(state), qos=0, retain=True)
        self._sent, self._sent_at = state, time.monotonic()

    def _acknowledged(self, message: int) -> None:
        self._acknowledgement = message
        if self._in_flight is not None and message == self._in_flight[0]:
            self._spool.acknowledge(self._in_flight[1])
            self._in_flight = None
            self.delivered += 1

    def _greet(self, connection: Connection) -> None:
        self.connected = True
        self._sent = {}
        for topic, payload in self._announcements():
            connection.publish(topic, payload, qos=1, retain=True)

    def _announcements(self) -> list[tuple[str, str]]:
        """The greeting, and Home Assistant's MQTT discovery of three entities of one device."""
        greeting = [(f"{self._base}/status", "online")]
        if not self._discovery:
            return greeting
        device = re.sub(r"[^A-Za-z0-9_-]", "_", self._base)
        version = {"sw_version": sanderling.__version__}
        common = {
            "availability_topic": f"{self._base}/status",
            "device": {"identifiers": [device], "name": self._name, "manufacturer": "Sanderling", **version},
            "origin": {"name": "Sanderling", **version},
        }
        state = f"{self._base}/state"
        entities: dict[tuple[str, str], dict[str, Any]] = {
            ("binary_sensor", "anomaly"): {
                "name": "Anomaly",
                "device_class": "problem",
                "state_topic": f"{self._base}/anomaly",
                "json_attributes_topic": f"{self._base}/alarm",
            },
            ("binary_sensor", "signal"): {
                "name": "Signal",
                "device_class": "connectivity",
                "state_topic": state,
                "value_template": "{{ 'ON' if value_json.health == 'ok' else 'OFF' }}",
            },
            ("sensor", "score"): {
                "name": "Anomaly score",
                "state_class": "measurement",
                "state_topic": state,
                "value_template": "{{ value_json.score }}",
            },
        }
        configs = [
            (
                f"{self._discovery}/{kind}/{device}/{entity}/config",
                json.dumps({**fields, "unique_id": f"{device}_{entity}", **common}),
            )
            for (kind, entity), fields in entities.items()
        ]
        return configs + greeting


def _signal(pipe: int) -> None:
    try:
        os.write(pipe, b"x")
    except BlockingIOError:
        pass  # its reader is awake


def _drain(pipe: int) -> None:
    try:
        while os.read(pipe, 4096):
            pass
    except BlockingIOError:
        pass
