"""A bundle onto a device, and back: every decision that matters is taken there, by the runner (docs/slots.md)."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sanderling.deploy import facts as asking
from sanderling.deploy.remote import Remote
from sanderling.deploy.service import Service, check_systemd
from sanderling.errors import DeployError
from sanderling.export import bundle, minisign
from sanderling.export.unit import STATE

Say = Callable[[str], None]


class Device:
    """A device with a state folder.

    Args:
        remote: the way to it; its commands get the rights that they need.
        root: folder that stands for / there.
        say: hears one line a step.

    Raises DeployError when it cannot be reached or has no rights.
    """

    def __init__(self, remote: Remote, *, root: str = "", say: Say = lambda line: None) -> None:
        self.remote, self.root, self._say = remote, root, say
        self.state = f"{root}{STATE}"
        self.facts = asking.ask(remote, root)
        if not self.facts.root and self.facts.sudo:
            remote.prefix = ["sudo", "-n"]
        self.service = Service(remote, self.state, root)

    def deploy(
        self,
        path: Path,
        key: Path,
        *,
        force: bool = False,
        with_service: bool = True,
        watch_s: float = 10.0,
        input_path: str = "",
    ) -> dict[str, Any]:
        """Installs a bundle, starts it, watches it, and confirms it or rolls it back.

        Args:
            path, key: the bundle and its public key.
            force: a version that is no higher, another name, another board of the same machine.
            with_service: False installs and confirms, and starts nothing.
            watch_s: seconds without a fault that count as healthy.
            input_path: where samples come from there; "" leaves it as it is.

        Returns the slots' status. Raises BundleError, SignatureError, DeployError; then what ran before runs again.
        """
        found = bundle.verify(path, minisign.read_public(key))
        host, manifest = self.remote.host, found.manifest
        asking.check(self.facts, manifest, path.stat().st_size, host, force=force)
        if with_service:
            check_systemd(host, self.facts.systemd)
        has_unit = with_service and bundle.UNIT in found.parts
        if with_service and not has_unit:
            raise DeployError(f"{host}: expected '{bundle.UNIT}' in the bundle, found none; add it, or --no-service")
        self._say(f"{host}: {self.facts.board or 'unknown board'}, {self.facts.system or self.facts.machine}")
        try:
            installed = self._install(path, key, found, force=force, confirmed=not with_service)
        finally:
            self._forget_copies()
        if installed["already_active"]:
            self._say(f"{manifest.name} version {manifest.version} is active already")
            if with_service:
                self._put_right(watch_s)
            return self.status()
        self._say(f"slot {installed['slot']}: {manifest.name} version {manifest.version}, verified and tested there")
        undo = self._set_input(manifest.name, input_path) if input_path else lambda: None
        if with_service:
            self._try(installed["slot"], watch_s, undo)
        return self.status()

    def status(self) -> dict[str, Any]:
        """`slot status` as a dict, with "service" (systemd's state) and "unit" (as shipped, changed, missing)."""
        found = json.loads(self._slot("status"))
        if self.facts.systemd:
            found["service"] = self.service.shown().get("ActiveState", "unknown")
            found["unit"] = self.service.unit_state(found["active"] or "a")
        return found

    def rollback(self, *, watch_s: float = 10.0, force: bool = False) -> dict[str, Any]:
        """Ends the trial, or goes back to the other slot; restarts, watches. Returns the status. Raises DeployError."""
        found = json.loads(self._slot("rollback", *(["--force"] if force else [])))
        self._say(f"{self.remote.host}: slot {found['active'] or 'none'} is active")
        if self.facts.systemd and self.service.has_confirmed() and found["active"]:
            self._start(found["active"], watch_s)
        return self.status()

    def history(self) -> list[dict[str, Any]]:
        """The events, oldest first."""
        return [json.loads(line) for line in self._slot("history").splitlines()]

    def _install(self, path: Path, key: Path, found: bundle.Bundle, *, force: bool, confirmed: bool) -> dict[str, Any]:
        remote, place = self.remote, f"{self.state}/incoming"
        remote.run("to make the state folder", "sh", "-c", 'umask 022; mkdir -p "$1"', "sh", place)
        with tempfile.TemporaryDirectory() as folder:
            runner = Path(folder, bundle.RUNNER)
            runner.write_bytes(found.parts[bundle.RUNNER])
            copies = (("bundle", path, "644"), ("key.pub", key, "644"), (bundle.RUNNER, runner, "755"))
            for target, file, mode in copies:
                remote.write(f"{place}/{target}", file=file, mode=mode)
        options = [*(["--force"] if force else []), *(["--confirmed"] if confirmed else []), *self._tree()]
        words = ["slot", "install", f"{place}/bundle", "--state", self.state, "--key", f"{place}/key.pub", *options]
        return json.loads(remote.run("the bundle to be installed", f"{place}/{bundle.RUNNER}", *words))

    def _put_right(self, watch_s: float) -> None:
        """A deployment that was cut off after the confirmation left the unit out, or not started."""
        found = self.status()
        settled = not found["trial"] or found["trial_ended"]
        if settled and (found["unit"], found["service"]) != ("as shipped", "active"):
            self._say(f"its unit was {found['unit']}, its service {found['service']}: installed and started")
            self._start(found["active"], watch_s)

    def _start(self, slot: str, watch_s: float) -> None:
        """A confirmed slot under its own unit. Raises DeployError when it is not healthy."""
        self.service.install(slot, trial=False)
        self.service.restart()
        health = self.service.watch(watch_s)
        if not health.good:
            raise DeployError(f"{self.remote.host}: expected the service to be healthy, found: {health.why}")

    def _try(self, slot: str, watch_s: float, undo: Callable[[], None]) -> None:
        """Starts the slot under trial; confirms it when it is healthy, else goes back (undo: what came with it) and
        raises DeployError."""
        host = self.remote.host
        # From here on the device would go back by itself: starts are counted, and the trial's unit ends with a reboot.
        self.service.install(slot, trial=True)
        self.service.restart()
        health = self.service.watch(watch_s)
        if health.good:
            current = json.loads(self._slot("status"))["current"]
            if current == slot:
                self._slot("confirm")
                self.service.install(slot, trial=False)
                self._say(f"healthy for {watch_s:g} s: confirmed")
                return
            health = type(health)(False, f"slot {current or 'none'} was started")
        # A service that was restarted often enough has used up its starts: then the device went back by itself.
        if not json.loads(self._slot("status"))["trial_ended"]:
            self._slot("rollback")
        self.service.drop_trial()
        undo()
        active = json.loads(self._slot("status"))["active"]
        if active and self.service.has_confirmed():
            self.service.restart()
            after = self.service.watch(min(watch_s, 5.0))
            back = f"rolled back to slot {active}, which is {'healthy' if after.good else 'not: ' + after.why}"
        else:
            self.service.stop()
            back = "there is no version before it: the service is stopped"
        raise DeployError(f"{host}: expected the new version to be healthy, found: {health.why}; {back}")

    def _set_input(self, name: str, input_path: str) -> Callable[[], None]:
        """Says there where samples come from; returns what takes it back."""
        if any(c in input_path for c in "\r\n"):
            raise DeployError("expected an input of one line, found several; give a path")
        place = f"{self.root}/etc/sanderling"
        self.remote.run("to make the folder", "mkdir", "-p", place)
        path = f"{place}/{name}.env"
        old = self.remote.try_run("cat", path)
        # The other options of the file stay.
        kept = [line for line in old.stdout.splitlines() if not line.startswith("SANDERLING_INPUT=")]
        lines = [*kept, f"SANDERLING_INPUT={shlex.quote(input_path)}"]
        self.remote.write(path, data="".join(f"{line}\n" for line in lines).encode())

        def undo() -> None:
            if old.returncode:
                self.remote.run("to remove the input's file", "rm", "-f", path)
            else:
                self.remote.write(path, data=old.stdout.encode())

        return undo

    def _slot(self, verb: str, *options: str) -> str:
        words = [f"{self.state}/bin/{bundle.RUNNER}", "slot", verb, "--state", self.state, *options, *self._tree()]
        # sudo's own message for a program that isn't there would name no cause.
        script = 'if [ -x "$1" ]; then exec "$@"; fi; echo "no version in $5; deploy a bundle" >&2; exit 2'
        return self.remote.run(f"slot {verb} to go well", "sh", "-c", script, "sh", *words)

    def _tree(self) -> list[str]:
        return ["--device-tree", f"{self.root}/proc/device-tree"] if self.root else []

    def _forget_copies(self) -> None:
        try:
            self.remote.try_run("rm", "-rf", f"{self.state}/incoming")
        except DeployError:
            self._say("the connection is lost; the next deployment removes the copies")
