"""What `watch` tells a broker (state, last will, Home Assistant's discovery), and what Prometheus gets."""

import json
import signal
import urllib.request

import pytest

from sanderling.errors import InputError, StorageError
from sanderling.live.metrics import METRICS, MetricsServer
from tests.helpers.live import Listener, events_of, rows_text


def retained(listener: Listener, wanted: dict[str, object]) -> None:
    """Until each topic has had the wanted payload (a function of it, or its text)."""
    waiting = dict(wanted)
    while waiting:
        topic, payload = listener.messages.get(timeout=60)
        test = waiting.get(topic)
        if test is not None and (test(payload) if callable(test) else payload.decode() == test):
            del waiting[topic]


def test_state_and_last_will(watch, pump, broker, recording, tmp_path) -> None:
    listener = Listener(broker, "plant/#")
    options = ("--live", "--spool", tmp_path / "s", "--publish", broker.url("plant/pump"), "--stall", 0)
    running = watch.start(pump, *options, "--retry", 0.02)
    healthy = {"plant/pump/status": "online", "plant/pump/state": lambda p: json.loads(p)["health"] == "ok"}
    retained(listener, {**healthy, "plant/pump/anomaly": "OFF"})
    running.send(rows_text(recording[:136]))
    retained(listener, {"plant/pump/anomaly": "ON", "plant/pump/alarm": lambda p: json.loads(p)["event"] == "alarm_on"})
    running.kill()
    retained(listener, {"plant/pump/status": "offline"})  # the broker's word: nobody else could say it
    again = watch.start(pump, *options)
    retained(listener, {"plant/pump/status": "online", "plant/pump/anomaly": "OFF"})
    again.finish(number=signal.SIGTERM)
    retained(listener, {"plant/pump/status": "offline"})
    listener.close()


def test_home_assistant_finds_it(watch, pump, broker, tmp_path) -> None:
    listener = Listener(broker, "homeassistant/#")
    options = ("--live", "--spool", tmp_path / "s", "--publish", broker.url("plant/pump 1"), "--name", "Pump")
    running = watch.start(pump, *options)
    configs = {}
    for _ in range(3):
        topic, payload = listener.messages.get(timeout=60)
        configs[topic] = json.loads(payload)
    running.finish()
    ids = {"binary_sensor": ("anomaly", "signal"), "sensor": ("score",)}
    assert set(configs) == {f"homeassistant/{kind}/plant_pump_1/{e}/config" for kind, es in ids.items() for e in es}
    for config in configs.values():
        # docs of MQTT discovery: an entity's device needs an identifier, the entity a unique id and a state topic.
        assert config["device"]["identifiers"] == ["plant_pump_1"] and config["device"]["name"] == "Pump"
        assert config["unique_id"].startswith("plant_pump_1_") and config["state_topic"].startswith("plant/pump 1/")
        assert config["availability_topic"] == "plant/pump 1/status" and config["origin"]["name"] == "Sanderling"
    listener.close()


def test_discovery_can_be_left_out(watch, pump, broker, tmp_path) -> None:
    listener = Listener(broker, "#")
    url = broker.url("plant/pump")
    running = watch.start(pump, "--live", "--spool", tmp_path / "s", "--publish", url, "--discovery", "")
    retained(listener, {"plant/pump/status": "online"})  # configurations come before it
    running.finish()
    broker.wait_for("Received DISCONNECT")
    while not listener.messages.empty():
        assert listener.messages.get()[0].startswith("plant/")
    listener.close()


def samples_of(text: str) -> dict[str, float]:
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_prometheus_endpoint(watch, pump, recording) -> None:
    running = watch.start(pump, "--live", "--metrics", "0", "--stall", 0)
    url = running.wait_for("metrics")["url"]
    assert url.startswith("http://127.0.0.1:")
    running.send("x,y,z\n" + rows_text(recording[:160]))
    running.wait_for("alarm_on")
    figures: dict[str, float] = {}
    while figures.get("sanderling_samples_total") != 160:  # the line comes before the whole chunk is counted
        with urllib.request.urlopen(url, timeout=60) as answer:
            text = answer.read().decode()
            assert answer.headers["Content-Type"].startswith("text/plain")
        figures = samples_of(text)
    assert figures["sanderling_alarms_total"] >= 1 and figures["sanderling_bad_lines_total"] == 1
    assert figures["sanderling_connected"] == 1 and figures["sanderling_stalled"] == 0
    for name, kind, help_text in METRICS:
        assert f"# TYPE {name} {kind}" in text and f"# HELP {name} {help_text}" in text and name in figures
    running.finish()


@pytest.mark.parametrize("where", ["x", "1:2:3x", "70000", "nohost.invalid:99999", ""])
def test_wrong_addresses(where) -> None:
    with pytest.raises(InputError, match=r"--metrics: expected \[HOST:\]PORT, found"):
        MetricsServer(where, dict)


def test_a_port_that_is_taken() -> None:
    server = MetricsServer("0", dict)
    with pytest.raises(StorageError, match="expected to listen at"):
        MetricsServer(server.url.split("/")[2], dict)
    server.close()


def test_textfile_of_the_runner(pump, runner, recording, tmp_path) -> None:
    target = tmp_path / "sanderling.prom"
    running = runner.start(pump, "--live", "--metrics-file", target)
    running.send("x,y,z\n" + rows_text(recording))
    lines = running.finish()
    text = target.read_text()
    figures = samples_of(text)
    assert figures["sanderling_samples_total"] == len(recording) and figures["sanderling_bad_lines_total"] == 1
    assert figures["sanderling_alarms_total"] == len(events_of(lines, "alarm_on"))
    assert list(figures) == [name for name, _, _ in METRICS]
    for name, kind, help_text in METRICS:
        assert f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n{name} " in text
    assert not list(tmp_path.glob("*.new"))
    # Nowhere to write is no reason not to detect.
    running = runner.start(pump, "--live", "--metrics-file", tmp_path / "no" / "m")
    running.send(rows_text(recording))
    lines = running.finish()
    assert len(events_of(lines, "metrics_error")) == 1 and lines[-1]["samples"] == len(recording)
