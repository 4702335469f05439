"""An MQTT connection without a thread of its own, by paho-mqtt's functions for foreign loops."""

import os
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sanderling.errors import InputError
from sanderling.extras import require
from sanderling.live.source import Lost

KEEPALIVE_S = 30
_CONNECT_S = 3.0  # a broker that doesn't answer must not hold up the end of the program for long
PASSWORD = "SANDERLING_MQTT_PASSWORD"


@dataclass(frozen=True)
class Broker:
    """mqtt[s]://[user[:password]@]host[:port]/topic; the password may come by the environment instead.

    trusted: the authorities that may have signed its certificate; None: no TLS.
    """

    host: str
    port: int
    trusted: ssl.SSLContext | None
    user: str | None
    password: str | None
    topic: str

    @classmethod
    def of(cls, option: str, url: str, *, wildcards: bool, ca: Path | None) -> "Broker":
        """ca: PEM file of the authorities to trust instead of the system's. Raises InputError, which names `option`."""
        # In a topic ? and # are characters as others.
        address, slash, topic = url.partition("://")[2].partition("/")
        try:
            parts = urlsplit(f"{url.partition('://')[0]}://{address}")
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        topic = unquote(topic)
        good = parts.scheme in ("mqtt", "mqtts") and parts.hostname and topic and "\0" not in topic
        if not good or (not wildcards and re.search("[+#]", topic)):
            found = without_password(url)[:80]
            raise InputError(f"{option}: expected mqtt://[user@]host[:port]/topic, found '{found}'; see docs/live.md")
        tls = parts.scheme == "mqtts"
        password = unquote(parts.password) if parts.password else os.environ.get(PASSWORD)
        user = unquote(parts.username) if parts.username else None
        trusted = _trusted(ca) if tls else None
        return cls(str(parts.hostname), port or (8883 if tls else 1883), trusted, user, password, topic)

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:...@", url)


def _trusted(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # SSLError is one
        found = "no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise InputError(f"--ca: expected a PEM file of certificates, found {found} in {ca}; check the file") from error


class Connection:
    """One connection: made, used, closed; a new one takes a new object, so that nothing is sent twice unasked."""

    def __init__(
        self,
        broker: Broker,
        *,
        on_connect: Callable[["Connection"], None],
        on_message: Callable[[bytes], None] = lambda payload: None,
        on_publish: Callable[[int], None] = lambda mid: None,
        will: tuple[str, str] | None = None,
    ) -> None:
        """Raises Lost when the broker can't be reached, DependencyError."""
        paho = require("paho.mqtt.client", "live")
        self._why = ""
        self._on_connect = on_connect
        self.client: Any = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.connect_timeout = _CONNECT_S
        self.client.on_connect = self._connected
        self.client.on_message = lambda client, data, message: on_message(message.payload)
        self.client.on_publish = lambda client, data, mid, reason, properties: on_publish(mid)
        if broker.user is not None:
            self.client.username_pw_set(broker.user, broker.password)
        if broker.trusted is not None:
            self.client.tls_set_context(broker.trusted)
        if will is not None:
            self.client.will_set(*will, qos=1, retain=True)
        try:
            self.client.connect(broker.host, broker.port, keepalive=KEEPALIVE_S)
        except (OSError, ValueError) as error:
            raise Lost(f"{broker.name}: {_reason(broker, error)}") from error

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._why = f"refused: {reason}"
        else:
            self._on_connect(self)

    def fileno(self) -> int:
        """The descriptor to wait for. Raises Lost."""
        sock = self.client.socket()
        if sock is None:
            raise Lost(self._why or "the broker closed the connection")
        return int(sock.fileno())

    def work(self) -> None:
        """Reads what is there, writes what is waiting, keeps the connection alive. Raises Lost."""
        while True:
            code = self.client.loop_read()
            sock = self.client.socket()
            # What TLS has decrypted already wakes no poll().
            if code or not isinstance(sock, ssl.SSLSocket) or not sock.pending():
                break
        self.write()
        if code or self._why or self.client.loop_misc():
            raise Lost(self._why or "the broker closed the connection")

    def write(self) -> None:
        if self.client.want_write():
            self.client.loop_write()

    def publish(self, topic: str, payload: str, *, qos: int, retain: bool) -> int:
        """The message's id, which on_publish gets when the broker has it."""
        return int(self.client.publish(topic, payload, qos=qos, retain=retain).mid)

    def close(self) -> None:
        """Says goodbye, so that the last will is not sent."""
        sock = self.client.socket()
        self.client.disconnect()
        self.write()
        if sock is not None and self.client.socket() is not None:
            try:
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the broker was quicker
            sock.close()


def _reason(broker: Broker, error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        return f"expected a certificate of a trusted authority, found: {why}; name the authority by --ca FILE"
    if isinstance(error, ssl.SSLError) or (broker.trusted and isinstance(error, ConnectionResetError)):
        return "expected a broker with TLS, found none; check the port, or use mqtt://"
    return str(getattr(error, "strerror", None) or error)
