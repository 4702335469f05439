"""`sanderling deploy user@host BUNDLE|status|rollback|history`: signed versions onto a board over SSH, and back."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "install a signed bundle on a board over SSH, watch it, roll it back if it fails (sign extra)"
VERBS = ("status", "rollback", "history")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("host", help="user@host, or a name of ssh's configuration")
    parser.add_argument("what", metavar="BUNDLE", help=f"a bundle's file, or one of: {', '.join(VERBS)}")
    parser.add_argument("--key", type=Path, help="public key; needed for a bundle")
    parser.add_argument("--input", default="", metavar="PATH", help="where samples come from there")
    parser.add_argument("--watch", type=float, default=10.0, metavar="S", help="seconds up that count as healthy (10)")
    parser.add_argument("--force", action="store_true", help="a smaller version, another name, another board")
    parser.add_argument("--no-service", action="store_true", help="install and confirm, start nothing")
    parser.add_argument("--port", type=int, help="ssh's port")
    parser.add_argument("--identity", type=Path, metavar="FILE", help="ssh's private key")
    parser.add_argument("--ssh-option", action="append", default=[], metavar="K=V", help="an option of ssh_config(5)")
    parser.add_argument("--root", default="", metavar="FOLDER", help="folder that stands for / there")
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Deploys, or asks."""
    from sanderling.deploy.deploy import Device
    from sanderling.deploy.remote import Remote
    from sanderling.errors import DeployError, InputError

    if options.what not in VERBS and options.key is None:
        raise InputError("expected --key PUBLIC_KEY with a bundle, found none; give the key that the device trusts")
    if not 0 < options.watch <= 3600:
        raise InputError(f"--watch: expected seconds from 0 to 3600, found {options.watch:g}; give another")
    if options.what not in VERBS and not Path(options.what).is_file():
        raise DeployError(f"{options.what}: expected a bundle, or one of {', '.join(VERBS)}, found no such file")
    port = ["-p", str(options.port)] if options.port else []
    identity = ["-i", str(options.identity)] if options.identity else []
    more = [f"-o{text}" for text in options.ssh_option]
    say = (lambda line: None) if options.json else print
    with Remote(options.host, [*port, *identity, *more]) as remote:
        device = Device(remote, root=options.root, say=say)
        if options.what == "history":
            for event in device.history():
                print(json.dumps(event) if options.json else _event(event))
            return 0
        if options.what == "status":
            found = device.status()
        elif options.what == "rollback":
            found = device.rollback(watch_s=options.watch, force=options.force)
        else:
            found = device.deploy(
                Path(options.what),
                options.key,
                force=options.force,
                with_service=not options.no_service,
                watch_s=options.watch,
                input_path=options.input,
            )
        print(json.dumps(found) if options.json else _status(found))
        if options.no_service and not options.json:
            runner = f"{device.state}/bin/sanderling-run"
            print(f"start it with: cd $({runner} slot next --state {device.state}) && ./sanderling-run model.gguf")
    return 0


def _event(event: dict) -> str:
    words = [f"{event['seq']:>5}", f"{event['event']:<9}", event["slot"] or "-"]
    words += [f"{event['name']} version {event['version']}"] if event["name"] else []
    return "  ".join([*words, *([event["note"]] if event["note"] else [])])


def _status(found: dict) -> str:
    service, unit = found.get("service", "none"), found.get("unit", "none")
    lines = [f"board {found['board'] or 'unknown'}, service {service}, unit {unit}"]
    for slot in "ab":
        complete = found[f"{slot}_complete"]
        marks = [word for word, key in (("active", "active"), ("running", "current")) if found[key] == slot]
        if found["trial"] == slot:
            marks.append("never confirmed" if found["trial_ended"] else f"on trial, {found['starts_left']} starts left")
        what = f"{found[f'{slot}_name']} version {found[f'{slot}_version']}" if complete else "empty or incomplete"
        lines.append(f"slot {slot}: {what}{' (' + ', '.join(marks) + ')' if marks else ''}")
    return "\n".join(lines)
