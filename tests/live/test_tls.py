"""mqtts:// against a real mosquitto whose certificate is signed by an authority made here."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sanderling.errors import InputError
from sanderling.live.source import make_source
from tests.helpers.live import Broker, Running, events_of, mosquitto, rows_text, same, scores_in

NOT_TRUSTED = "expected a certificate of a trusted authority, found: {}; name the authority by --ca FILE"


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing; as root run: apt-get install {package}")
    return found


def openssl(folder: Path, *words: str) -> None:
    done = subprocess.run([tool("openssl", "openssl"), *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, other.pem (an authority that has signed nothing); NAME.pem and NAME.key for 127.0.0.1 and elsewhere."""
    folder = tmp_path_factory.mktemp("certificates")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for name in ("ca", "other"):
        # The same name: only the keys tell them apart.
        openssl(folder, *new, "-x509", "-subj", "/CN=Plant CA", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    for name, address in (("broker", "IP:127.0.0.1"), ("elsewhere", "DNS:broker.example")):
        openssl(folder, *new, "-subj", "/CN=broker", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "names").write_text(f"subjectAltName={address}\n")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    return folder


def configured(certificates: Path, name: str = "broker") -> str:
    return f"certfile {certificates / name}.pem\nkeyfile {certificates / name}.key\n"


@pytest.fixture
def secure(tmp_path: Path, certificates: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path / "broker", configured(certificates)) as made:
        yield made


def clients(broker: Broker, certificates: Path, program: str) -> list[str]:
    """mosquitto's own client, as docs/live.md calls it."""
    trusted = ["--cafile", str(certificates / "ca.pem"), "-q", "1"]
    return [tool(program, "mosquitto-clients"), "-h", "127.0.0.1", "-p", str(broker.port), *trusted]


def publish(broker: Broker, certificates: Path, topic: str, text: str) -> None:
    """One message a line."""
    command = [*clients(broker, certificates, "mosquitto_pub"), "-t", topic, "-l"]
    subprocess.run(command, input=text, text=True, check=True, timeout=60)


def test_samples_in_and_alarms_out(watch, pump, secure, certificates, recording, scores, tmp_path) -> None:
    options = ("--input", secure.url("plant/#"), "--spool", tmp_path / "s", "--publish", secure.url("out/pump"))
    options += ("--ca", certificates / "ca.pem", "--samples", len(recording), "--stall", 0)
    running = watch.start(pump, *options, every_score=True)
    secure.wait_for("Received SUBSCRIBE")
    secure.wait_for("out/pump/status")
    publish(secure, certificates, "plant/pump/samples", rows_text(recording))
    lines = running.finish()
    assert same(scores_in(lines), scores)
    assert events_of(lines, "alarm_on") and lines[-1]["pending"] == 0 and not events_of(lines, "undelivered")


@pytest.mark.parametrize("trusted", ["other.pem", "the system's"])
def test_an_authority_that_is_not_trusted(watch, pump, secure, certificates, tmp_path, trusted) -> None:
    ca = ("--ca", certificates / trusted) if trusted.endswith(".pem") else ()
    urls = ("--input", secure.url("plant/x"), "--spool", tmp_path / "s", "--publish", secure.url("out/pump"))
    running = watch.start(pump, *urls, *ca, "--retry", 0.02)
    wanted = f"127.0.0.1:{secure.port}: " + NOT_TRUSTED.format("unable to get local issuer certificate")
    for event in ("lost", "undelivered"):
        if not events_of(running.lines, event):
            running.wait_for(event)
        assert [line["why"] for line in events_of(running.lines, event)] == [wanted]
    running.finish(number=signal.SIGTERM)
    log = (tmp_path / "broker" / "log").read_text()
    assert "CONNECT" not in log, "something was said to a broker that isn't trusted"


def lost_to(watch, pump: Path, url: str, ca: Path) -> str:
    running: Running = watch.start(pump, "--input", url, "--ca", ca, "--retry", 0.02)
    why = running.wait_for("lost")["why"]
    running.finish(number=signal.SIGTERM)
    return why


def test_a_certificate_for_another_address(watch, pump, certificates, tmp_path) -> None:
    with mosquitto(tmp_path / "broker", configured(certificates, "elsewhere")) as made:
        why = lost_to(watch, pump, made.url("x"), certificates / "ca.pem")
    mismatch = "IP address mismatch, certificate is not valid for '127.0.0.1'"
    assert why == f"127.0.0.1:{made.port}: " + NOT_TRUSTED.format(mismatch)


def test_a_broker_without_tls(watch, pump, broker, certificates) -> None:
    why = lost_to(watch, pump, broker.url("x").replace("mqtt:", "mqtts:"), certificates / "ca.pem")
    assert why == f"127.0.0.1:{broker.port}: expected a broker with TLS, found none; check the port, or use mqtt://"


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "No such file or directory"), (b"", "no certificate"), (b"\x00\xff", "no certificate")],
)
def test_no_file_of_certificates(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"--ca: expected a PEM file of certificates, found {found} in {path}"):
        make_source("mqtts://broker/x", path)


def test_an_authority_for_nothing(watch, pump, tmp_path) -> None:
    running = watch.start(pump, "--input", "mqtt://broker/x", "--ca", tmp_path / "ca.pem")
    assert running.process.wait(60) == 2
    assert running.stderr() == "sanderling: --ca: expected mqtts:// in --input or --publish, found none; use mqtts://\n"


def test_the_runner_by_mosquitto_s_clients(runner, pump, secure, certificates, recording, tmp_path) -> None:
    subscribe = clients(secure, certificates, "mosquitto_sub")
    out = subprocess.Popen([*subscribe, "-t", "out/alarm"], stdout=subprocess.PIPE, text=True)
    samples = subprocess.Popen([*subscribe, "-t", "samples"], stdout=subprocess.PIPE)
    secure.wait_for("Received SUBSCRIBE", 2)
    assert samples.stdout is not None and out.stdout is not None
    deliver = [*clients(secure, certificates, "mosquitto_pub"), "-t", "out/alarm", "-s"]
    options = ("--live", "--spool", tmp_path / "s", "--on-alarm", " ".join(deliver), "--stall", 0)
    running = runner.start(pump, *options, "--samples", len(recording))
    publish(secure, certificates, "samples", rows_text(recording))
    for _ in range(len(recording)):
        running.send(samples.stdout.readline())
    lines = running.finish()
    on = events_of(lines, "alarm_on")
    assert on and lines[-1]["pending"] == 0 and lines[-1]["samples"] == len(recording)
    assert json.loads(out.stdout.readline())["start"] == on[0]["start"]
    for process in (out, samples):
        process.terminate()
        process.communicate(timeout=60)
