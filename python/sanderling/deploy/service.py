"""The systemd service of a device: its unit under trial, confirmed, and whether it is healthy.

The confirmed unit lies in /usr/local/lib/systemd/system. A unit under trial lies in /run/systemd/system, which goes
before it and is gone after a reboot: a unit that cannot start never survives one.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from sanderling.deploy.remote import Remote
from sanderling.errors import DeployError

UNIT = "sanderling.service"
CONFIRMED, TRIAL = "/usr/local/lib/systemd/system", "/run/systemd/system"
# Of $1, a unit's file, into the folder $2; and without the one in $3. cat: the copy has its own owner and mode.
COPY = (
    f'umask 022; mkdir -p "$2" && cat "$1" > "$2/{UNIT}.new" && sync "$2/{UNIT}.new" && '
    f'mv -f "$2/{UNIT}.new" "$2/{UNIT}" && sync "$2"'
)
# Afterwards a power cut finds it enabled: systemctl itself syncs nothing.
ENABLE = f'systemctl enable {UNIT} && sync -f /etc "$2"'
DROP = f'rm -f "$3/{UNIT}" && systemctl daemon-reload'
SHOWN = ("ActiveState", "SubState", "NRestarts", "Result", "StatusText")
SAYS_WHY = ("sanderling-run:", '{"event": "lost"')
LOST = "lost ("  # how the detector's STATUS= begins while its input is away


@dataclass(frozen=True)
class Health:
    """Whether the service is up, and in words why not."""

    good: bool
    why: str


class Service:
    """root: folder that stands for / on the device."""

    def __init__(self, remote: Remote, state: str, root: str = "") -> None:
        self._remote, self._state, self._root = remote, state, root

    def install(self, slot: str, *, trial: bool) -> None:
        """The slot's unit becomes the one under trial, or the confirmed one."""
        place = f"{self._root}{TRIAL if trial else CONFIRMED}"
        script = COPY if trial else f"{COPY} && {DROP} && {ENABLE}"
        unit = f"{self._state}/slots/{slot}/{UNIT}"
        self._remote.run("to install the unit", "sh", "-c", script, "sh", unit, place, f"{self._root}{TRIAL}")

    def drop_trial(self) -> None:
        """The confirmed unit counts again."""
        self._remote.run("to remove the unit under trial", "sh", "-c", DROP, "sh", "", "", f"{self._root}{TRIAL}")

    def has_confirmed(self) -> bool:
        return self._remote.try_run("test", "-f", f"{self._root}{CONFIRMED}/{UNIT}").returncode == 0

    def unit_state(self, slot: str) -> str:
        """The confirmed unit beside the slot's: "as shipped", "changed" or "missing"."""
        ours, theirs = f"{self._state}/slots/{slot}/{UNIT}", f"{self._root}{CONFIRMED}/{UNIT}"
        status = self._remote.try_run("cmp", "-s", ours, theirs).returncode
        return {0: "as shipped", 1: "changed"}.get(status, "missing")

    def restart(self) -> None:
        """Starts the chosen slot; a start that fails shows in `watch`."""
        script = f"systemctl daemon-reload; systemctl reset-failed {UNIT}; systemctl restart {UNIT}"
        self._remote.try_run("sh", "-c", script)

    def stop(self) -> None:
        self._remote.try_run("systemctl", "stop", UNIT)

    def shown(self) -> dict[str, str]:
        """systemd's properties of the service."""
        text = self._remote.run("systemd's answer", "systemctl", "show", UNIT, f"--property={','.join(SHOWN)}")
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def watch(self, seconds: float, patience: float = 60.0) -> Health:
        """Healthy: active without a break and without a restart for so many seconds, within `patience` and them.

        An input that is silent is healthy; one that is away for so many seconds, or now and then, is not.
        """
        start = time.monotonic()
        since: float | None = None
        lost_since: float | None = None
        restarts = ""
        while True:
            shown, now = self.shown(), time.monotonic()
            state = shown.get("ActiveState", "unknown")
            if restarts and shown.get("NRestarts", "") != restarts:
                return Health(False, f"it was restarted ({shown.get('Result', '')}): {self._last_words()}")
            restarts = shown.get("NRestarts", "0")
            if state == "failed" or (state != "active" and since is not None):
                return Health(False, f"it is {state} ({shown.get('Result', '')}): {self._last_words()}")
            lost = state == "active" and shown.get("StatusText", "").startswith(LOST)
            lost_since = (now if lost_since is None else lost_since) if lost else None
            if lost_since is not None:
                since = now
                if now - lost_since >= seconds or now - start > patience + seconds:
                    return Health(False, f"its input is lost: {self._last_words()}")
            elif state == "active":
                since = now if since is None else since
                if now - since >= seconds:
                    return Health(True, "")
            elif now - start > patience:
                return Health(False, f"it is {state} after {patience:.0f} s: {self._last_words()}")
            time.sleep(min(1.0, max(seconds / 4, 0.05)))

    def _last_words(self) -> str:
        done = self._remote.try_run("journalctl", "-u", UNIT, "-n", "20", "-o", "cat", "--no-pager")
        said = [line for line in done.stdout.splitlines() if line.startswith(SAYS_WHY)]
        return _in_words(said[-1]) if said else "its journal says nothing of it"


def _in_words(line: str) -> str:
    try:
        lost = json.loads(line)
        return f"{lost['source']}: {lost['why']}"
    except (ValueError, KeyError, TypeError):
        return line.removeprefix("sanderling-run: ")


def check_systemd(host: str, version: str) -> None:
    """Raises DeployError where no systemd runs."""
    if not version:
        raise DeployError(
            f"{host}: expected systemd, found none; --no-service installs without a service, and starting is up to you"
        )
