"""systemctl and journalctl for a folder that stands for a device's /, where no systemd runs.

usage: fake_systemctl.py ROOT systemctl|journalctl WORDS...

It does what `sanderling deploy` needs of systemd: units of /run before those of /usr/local/lib, ExecStartPre and
ExecStart with the unit's own words, READY=1 over $NOTIFY_SOCKET before a service is active, Restart=always, a journal.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PLACES = ("run/systemd/system", "usr/local/lib/systemd/system")
STEP, WAIT = 0.05, 400  # seconds; steps that a start may take
INACTIVE = {"ActiveState": "inactive", "SubState": "dead", "NRestarts": "0", "Result": "success", "StatusText": ""}


class Unit:
    """A service of `root`."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self.state = root / "run" / f"{name}.json"
        self.journal = root / "run" / f"{name}.journal"

    def lines(self) -> list[tuple[str, str]]:
        path = next((p for p in (self.root / place / self.name for place in PLACES) if p.is_file()), None)
        if path is None:
            raise SystemExit(f"Unit {self.name} not found.")
        return [tuple(line.split("=", 1)) for line in path.read_text().splitlines() if "=" in line]  # type: ignore[misc]

    def environment(self, lines: list[tuple[str, str]]) -> dict[str, str]:
        found = dict(os.environ)
        for key, value in lines:
            if key == "Environment":
                found.update([value.split("=", 1)])
            file = self.root / value.lstrip("-/")
            if key == "EnvironmentFile" and file.is_file():
                found.update(line.split("=", 1) for line in file.read_text().splitlines() if line)
        return found

    def words(self, line: str, environment: dict[str, str]) -> list[str]:
        words = []
        for word in line.replace("/var/lib/", f"{self.root}/var/lib/").split():
            if word.startswith("$") and not word.startswith("${"):
                words += shlex.split(environment.get(word[1:], ""))
                continue
            for key in ("SANDERLING_INPUT",):
                word = word.replace(f"${{{key}}}", environment.get(key, ""))
            words.append(word)
        return words

    def tell(self, **changes: object) -> None:
        now = json.loads(self.state.read_text()) if self.state.exists() else dict(INACTIVE)
        fresh = self.state.with_suffix(".new")
        fresh.write_text(json.dumps(now | {key: str(value) for key, value in changes.items()}))
        fresh.replace(self.state)

    def start_once(self, log, listener: socket.socket) -> subprocess.Popen | None:
        lines = self.lines()
        environment = self.environment(lines)
        for key, value in lines:
            done = None
            if key == "ExecStartPre":
                done = subprocess.run(self.words(value.lstrip("+-"), environment), stdout=log, stderr=log, check=False)
            if done is not None and done.returncode and not value.startswith("-"):
                return None
        command = self.words(dict(lines)["ExecStart"], environment)
        environment["NOTIFY_SOCKET"] = str(listener.getsockname())
        environment["WATCHDOG_USEC"] = "1000000"
        try:
            child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except OSError as error:
            log.write(f"{command[0]}: {error}\n".encode())
            return None
        for _ in range(WAIT):
            if child.poll() is not None:
                break
            try:
                if listener.recv(200).startswith(b"READY=1"):
                    self.tell(ActiveState="active", SubState="running")
                    return child
            except TimeoutError:
                continue
        child.kill()
        child.wait()
        return None

    def supervise(self) -> None:
        os.setsid()
        place = self.root / "run" / f"{self.name}.sock"
        place.unlink(missing_ok=True)
        restarts, child = 0, None

        def stop(*_: object) -> None:
            if child is not None and child.poll() is None:
                child.kill()
            raise SystemExit(0)

        signal.signal(signal.SIGTERM, stop)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, self.journal.open("ab") as log:
            listener.bind(str(place))
            listener.settimeout(STEP)
            while True:
                child = self.start_once(log, listener)
                while child is not None and child.poll() is None:
                    try:
                        said = listener.recv(4096).decode()
                    except TimeoutError:
                        continue
                    if said.startswith("STATUS="):
                        self.tell(StatusText=said.removeprefix("STATUS="))
                restarts += 1
                again = {"SubState": "auto-restart", "NRestarts": restarts, "Result": "exit-code", "StatusText": ""}
                self.tell(ActiveState="activating", **again)
                time.sleep(STEP)

    def stop(self) -> None:
        pid = json.loads(self.state.read_text()).get("pid") if self.state.exists() else None
        if pid:
            try:
                os.kill(int(pid), signal.SIGTERM)
                while True:
                    os.kill(int(pid), 0)
                    time.sleep(0.01)
            except ProcessLookupError:
                pass
        self.state.unlink(missing_ok=True)

    def restart(self) -> None:
        self.stop()
        self.lines()
        self.state.write_text(json.dumps(INACTIVE | {"ActiveState": "activating"}))
        first = os.fork()
        if first:
            os.waitpid(first, 0)
            for _ in range(WAIT):
                shown = json.loads(self.state.read_text())
                if shown["NRestarts"] != "0":
                    raise SystemExit("Job failed.")
                if shown["ActiveState"] != "activating":
                    return
                time.sleep(STEP)
            return
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        second = os.fork()  # nobody's child, so that its end is seen
        if second:
            self.tell(pid=second)
            os._exit(0)
        time.sleep(0.02)
        self.supervise()


def main(root: Path, program: str, words: list[str]) -> None:
    """See above."""
    names = [word for word in words if word.endswith(".service")]
    unit = Unit(root, names[0] if names else "sanderling.service")
    if program == "journalctl":
        sys.stdout.write(unit.journal.read_text() if unit.journal.exists() else "")
    elif words[0] == "--version":
        print("systemd 0 (stand-in)")
    elif words[0] == "show":
        shown = json.loads(unit.state.read_text()) if unit.state.exists() else INACTIVE
        print("\n".join(f"{key}={value}" for key, value in shown.items() if key in words[2]))
    elif words[0] in {"restart", "stop"}:
        getattr(unit, words[0])()
    else:
        raise SystemExit(f"Unknown command verb {words[0]}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
