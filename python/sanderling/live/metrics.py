"""A Prometheus endpoint, bound to this machine unless told otherwise; csrc/tool/metrics.cpp has the same names."""

from collections.abc import Callable, Iterator
from typing import Any

from sanderling.errors import InputError, StorageError
from sanderling.extras import require

METRICS = (
    ("sanderling_samples_total", "counter", "Samples scored"),
    ("sanderling_alarms_total", "counter", "Alarms begun"),
    ("sanderling_alarm", "gauge", "1 while the score is above the threshold"),
    ("sanderling_score", "gauge", "The last score"),
    ("sanderling_threshold", "gauge", "A score above it is an alarm"),
    ("sanderling_bad_lines_total", "counter", "Lines that could not be read as samples"),
    ("sanderling_missing_samples_total", "counter", "Samples with a value missing"),
    ("sanderling_connected", "gauge", "1 while the input is open"),
    ("sanderling_stalled", "gauge", "1 while no sample comes"),
    ("sanderling_connections_total", "counter", "Times that the input was opened"),
    ("sanderling_stalls_total", "counter", "Times that samples stopped coming"),
    ("sanderling_spool_pending", "gauge", "Alarms that wait to be delivered"),
    ("sanderling_spool_lost_total", "counter", "Alarms that a full spool or disk has cost"),
    ("sanderling_delivered_total", "counter", "Alarms delivered"),
    ("sanderling_delivery_failures_total", "counter", "Deliveries that failed and are tried again"),
)


class _Collector:
    def __init__(self, figures: Callable[[], dict[str, float]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Any]:
        core = require("prometheus_client.core", "live")
        figures = self._figures()
        for name, kind, text in METRICS:
            family = core.CounterMetricFamily if kind == "counter" else core.GaugeMetricFamily
            yield family(name.removesuffix("_total"), text, value=figures[name.removeprefix("sanderling_")])


class MetricsServer:
    """Serves `figures()` (without the prefix of the names) at http://HOST:PORT/metrics.

    where: [HOST:]PORT, port 0 takes a free one. Raises InputError, StorageError (the port is taken), DependencyError.
    """

    def __init__(self, where: str, figures: Callable[[], dict[str, float]]) -> None:
        prometheus = require("prometheus_client", "live")
        host, _, port = where.rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            raise InputError(f"--metrics: expected [HOST:]PORT, found '{where[:80]}'; see docs/live.md")
        host = host.strip("[]") or "127.0.0.1"
        registry = prometheus.CollectorRegistry(auto_describe=False)
        registry.register(_Collector(figures))
        try:
            self._server, self._thread = prometheus.start_http_server(int(port), addr=host, registry=registry)
        except OSError as error:
            raise StorageError(
                f"--metrics: expected to listen at {host}:{port}, found: {error.strerror}; choose another port"
            ) from error
        self.url = f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
