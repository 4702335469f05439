"""Samples from MQTT: every message is one or more lines of CSV."""

import time
from pathlib import Path

from sanderling.extras import require
from sanderling.live.mqtt import KEEPALIVE_S, Broker, Connection
from sanderling.live.source import Source


class MqttSource(Source):
    """Subscribes with QoS 1. The broker keeps nothing for us while we are away: samples of then would be late."""

    def __init__(self, url: str, ca: Path | None) -> None:
        super().__init__()
        require("paho.mqtt.client", "live")
        self._broker = Broker.of("--input", url, wildcards=True, ca=ca)
        self._connection: Connection | None = None
        self._held: list[bytes] = []

    def open(self) -> None:
        self.close()
        self._connection = Connection(self._broker, on_connect=self._subscribe, on_message=self._take)
        self.fd = self._connection.fileno()

    def _subscribe(self, connection: Connection) -> None:
        connection.client.subscribe(self._broker.topic, qos=1)

    def _take(self, payload: bytes) -> None:
        self._held.append(payload if payload.endswith(b"\n") else payload + b"\n")

    def due(self) -> float | None:
        return None if self._connection is None else time.monotonic() + KEEPALIVE_S / 2

    def read(self) -> bytes:
        assert self._connection is not None
        try:
            self._connection.work()
            self._connection.fileno()
        finally:
            text = b"".join(self._held)
        self._held.clear()
        return text

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self.fd = None, None  # the descriptor is paho's to close
