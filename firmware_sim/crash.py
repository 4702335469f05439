"""Every state that a power cut may leave of a folder, from the system calls of the program that was writing to it.

The calls are recorded by strace and replayed in a model of a file system that promises what POSIX and Linux do and
nothing more: the bytes of a file are on the disk when it was synced; an entry of a folder when the folder was synced; a
rename within a folder happens whole or not at all. What was not synced may be there, or not, or (bytes) in part, each
by itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sanderling.errors import DependencyError, SanderlingError

CALLS = (
    "open,openat,creat,write,writev,pwrite64,fsync,fdatasync,sync,syncfs,sync_file_range,rename,renameat,renameat2,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat,link,linkat,ftruncate,truncate,fallocate,copy_file_range,sendfile"
)
SMALL = 65536  # bytes: files up to here may be appended to
LONGEST = 1 << 20  # bytes of one write that strace shows
LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
UNFINISHED, RESUMED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>$"), re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$")
TEXT, PLACE = r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?', r"<((?:\\x[0-9a-f]{2})+)(?:>\(deleted\))?>"


class UnknownCall(SanderlingError):
    """The program did something to the folder that the model doesn't know."""


@dataclass(frozen=True)
class Call:
    """A system call that went well. paths: absolute, of its arguments or its descriptor; data: what it wrote."""

    name: str
    paths: tuple[str, ...]
    data: bytes = b""
    flags: str = ""


def record(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> list[Call]:
    """Runs a command to its end and returns what it did to files below `folder`, in order.

    Raises DependencyError without strace; CalledProcessError when the command fails.
    """
    if not shutil.which("strace"):
        raise DependencyError("expected the program strace, found none; install the package strace")
    log = folder.with_name(folder.name + ".strace")
    options = ["-f", "-qq", "-y", "-xx", "-s", str(LONGEST)]
    options += ["-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(log)]
    env = None if environment is None else {**os.environ, **environment}
    subprocess.run(["strace", *options, *command], check=True, capture_output=True, env=env, cwd=folder.parent)
    text = log.read_text()
    log.unlink()
    copied: dict[str, int] = {}
    found = [call for line in _whole_lines(text) if (call := _parse(line, folder, copied)) is not None]
    return [call for call in found if any(_below(path, folder) for path in call.paths) or call.name == "sync"]


def _whole_lines(text: str) -> Iterator[str]:
    """Lines of the log; the two halves of a call that another process interrupted are one."""
    halves: dict[str, str] = {}
    for line in text.splitlines():
        if cut := UNFINISHED.match(line):
            halves[cut[1]] = f"{cut[1]} {cut[2]}"
        elif rest := RESUMED.match(line):
            yield halves.pop(rest[1]) + rest[2]
        else:
            yield line


def _plain(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _below(path: str, folder: Path) -> bool:
    return path == str(folder) or path.startswith(f"{folder}/")


def _parse(line: str, folder: Path, copied: dict[str, int]) -> Call | None:
    """A call from its line; None for failed ones and for other lines. copied: bytes that the kernel copied, by file."""
    matched = LINE.match(line)
    if not matched or int(matched[4]) < 0:
        return None
    name, words = matched[2], matched[3]
    places = [_plain(text).decode("utf-8", "surrogateescape") for text in re.findall(PLACE, words)]
    texts = re.findall(TEXT, words)
    if name in {"write", "writev", "pwrite64"}:
        if not places or not _below(places[0], folder):
            return None
        if name != "write" or any(cut for _, cut in texts):
            raise UnknownCall(f"expected plain writes of at most {LONGEST} bytes, found {name} to {places[0]}")
        return Call(name, (places[0],), _plain(texts[0][0])[: int(matched[4])])
    if name == "copy_file_range":
        source, target = places
        start = copied.get(target, 0)
        copied[target] = start + int(matched[4])
        data = Path(source).read_bytes()[start : copied[target]] if _below(target, folder) else b""
        return Call("write", (target,), data) if data else None
    names = [_plain(text).decode("utf-8", "surrogateescape") for text, _ in texts]
    if not names:  # by descriptor
        return Call(name, (places[0],)) if places else Call(name, ())
    if name in {"symlink", "symlinkat"}:
        return Call(name, (_absolute(names[1], places, folder),), names[0].encode())
    # What we run gives *at calls AT_FDCWD or absolute names: one folder descriptor is enough.
    paths = tuple(_absolute(one, places, folder) for one in names)
    return Call(name, paths, flags=words.rsplit('"', 1)[-1])


def _absolute(name: str, places: list[str], folder: Path) -> str:
    base = places[0] if places else str(folder.parent)
    return os.path.normpath(os.path.join(base, name))


@dataclass
class _File:
    """parts: what was written, in order; None empties it. safe: how many of them are on the disk."""

    parts: list[bytes | None] = field(default_factory=list)
    safe: int = 0
    mode: int = 0o644
    digests: dict[tuple[int, bool], str] = field(default_factory=dict)

    def digest(self, count: int, torn: bool) -> str:
        if (count, torn) not in self.digests:
            self.digests[count, torn] = hashlib.sha256(self.content(count, torn)).hexdigest()
        return self.digests[count, torn]

    def content(self, count: int, torn: bool = False) -> bytes:
        kept = self.parts[:count]
        if torn and count < len(self.parts) and (more := self.parts[count]):
            kept = [*kept, more[: len(more) // 2]]
        start = max((i + 1 for i, part in enumerate(kept) if part is None), default=0)
        return b"".join(part for part in kept[start:] if part is not None)


# Names of one folder, set or (None) removed in one step: a file, a folder's path, a link's target.
_Change = dict[str, "_File | str | bytes | None"]


@dataclass
class _Folder:
    """changes: in order; the first `safe` ones are on the disk."""

    changes: list[_Change] = field(default_factory=list)
    safe: int = 0


@dataclass(frozen=True)
class Node:
    """kind: file, link or folder. digest: of a file's bytes; content() gives them, or a link's target."""

    kind: str
    digest: str = ""
    mode: int = 0
    content: Callable[[], bytes] = field(default=bytes, compare=False, repr=False)


Tree = dict[str, Node]  # path below the folder -> what is there


class Model:
    """A folder's files as a program sees them, and which of it is on the disk."""

    def __init__(self, folder: Path) -> None:
        self._top = str(folder)
        self._folders: dict[str, _Folder] = {self._top: _Folder()}
        for path in sorted(folder.rglob("*")):
            self._set(str(path), self._existing(path))
        for one in self._folders.values():
            one.safe = len(one.changes)

    def _existing(self, path: Path) -> _File | str | bytes:
        if path.is_symlink():
            return os.readlink(path).encode()
        if path.is_dir():
            self._folders[str(path)] = _Folder()
            return str(path)
        return _File([path.read_bytes()], 1, path.stat().st_mode & 0o777)

    def _set(self, path: str, entry: _File | str | bytes | None, removed: str = "") -> None:
        where, name = os.path.split(path)
        change: _Change = {name: entry}
        if removed:
            if os.path.dirname(removed) != where:
                raise UnknownCall(f"expected renames within a folder, found one to {path}")
            change = {os.path.basename(removed): None, name: entry}
        self._folders[where].changes.append(change)

    def _get(self, path: str) -> _File | str | bytes | None:
        where, name = os.path.split(path)
        found = [change[name] for change in self._folders[where].changes if name in change]
        return found[-1] if found else None

    def apply(self, call: Call) -> None:
        """One call. Raises UnknownCall for what it doesn't know."""
        name, path = call.name, call.paths[0] if call.paths else ""
        entry = self._get(path) if name not in {"sync"} and path != self._top else None
        if name in {"open", "openat", "creat"}:
            if entry is None and "O_CREAT" in call.flags:
                self._set(path, _File(mode=_mode(call.flags)))
            elif isinstance(entry, _File) and "O_TRUNC" in call.flags:
                entry.parts.append(None)
        elif name == "write" and isinstance(entry, _File):
            entry.parts.append(call.data)
        elif name in {"fsync", "fdatasync"}:
            self._sync(path, entry)
        elif name == "sync":
            for one in self._folders.values():
                one.safe = len(one.changes)
        elif name in {"rename", "renameat", "renameat2"}:
            self._set(call.paths[1], entry, removed=path)
        elif name in {"unlink", "unlinkat"}:
            self._set(path, None)
        elif name in {"mkdir", "mkdirat"}:
            self._folders[path] = _Folder()
            self._set(path, path)
        elif name in {"symlink", "symlinkat"}:
            self._set(path, call.data)
        else:
            raise UnknownCall(f"expected calls that the model knows, found {name} of {path}")

    def _sync(self, path: str, entry: _File | str | bytes | None) -> None:
        if path in self._folders:
            self._folders[path].safe = len(self._folders[path].changes)
        elif isinstance(entry, _File):
            entry.safe = len(entry.parts)

    def states(self) -> Iterator[Tree]:
        """What may be on the disk if the power went now: nothing of what is not synced, all of it, each piece of it
        alone, each piece missing alone, and files cut within a piece."""
        entries = [e for one in self._folders.values() for change in one.changes for e in change.values()]
        files = {id(e): e for e in entries if isinstance(e, _File)}
        loose_files = [key for key, file in files.items() if file.safe < len(file.parts)]
        folders = self._folders.items()
        loose_entries = [(path, i) for path, one in folders for i in range(one.safe, len(one.changes))]
        units = [*loose_files, *loose_entries]
        choices = [set(), set(units), *({unit} for unit in units), *(set(units) - {unit} for unit in units)]
        for kept in choices:
            yield self._tree(kept, torn=False)
        if loose_files:
            yield self._tree(set(loose_entries), torn=True)

    def _tree(self, kept: set, torn: bool) -> Tree:
        tree: Tree = {}

        def walk(path: str) -> None:
            names: dict[str, _File | str | bytes | None] = {}
            one = self._folders[path]
            for i, change in enumerate(one.changes):
                if i < one.safe or (path, i) in kept:
                    names.update(change)
            for name, entry in names.items():
                below = f"{path}/{name}"
                short = below[len(self._top) + 1 :]
                if isinstance(entry, _File):
                    count = len(entry.parts) if id(entry) in kept else entry.safe
                    half = torn and count < len(entry.parts)
                    digest = entry.digest(count, half)
                    tree[short] = Node("file", digest, entry.mode, partial(entry.content, count, half))
                elif isinstance(entry, bytes):
                    tree[short] = Node("link", entry.decode(), content=partial(bytes, entry))
                elif isinstance(entry, str):
                    tree[short] = Node("folder")
                    walk(entry)

        walk(self._top)
        return tree


def _mode(flags: str) -> int:
    found = re.search(r", 0([0-7]+)\s*$", flags)
    return int(found[1], 8) if found else 0o644


def crash_states(before: Model, calls: Sequence[Call]) -> Iterator[tuple[int, Tree]]:
    """(calls done, what may be on the disk) for a cut before the first call and after each; equal states come once."""
    seen: set[str] = set()
    for done in range(len(calls) + 1):
        if done:
            before.apply(calls[done - 1])
        for tree in before.states():
            shape = repr(sorted(tree.items()))
            if shape not in seen:
                seen.add(shape)
                yield done, tree


def materialise(tree: Tree, folder: Path, blobs: Path) -> None:
    """Writes a state into a new folder. Big files are links to copies in `blobs`: nobody may write into them."""
    folder.mkdir(parents=True)
    for short, node in tree.items():
        path = folder / short
        if node.kind == "folder":
            path.mkdir(exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if node.kind == "link":
            path.symlink_to(node.content().decode())
            continue
        blob = blobs / f"{node.digest}.{node.mode:o}"
        if not blob.exists():
            blob.write_bytes(node.content())
            blob.chmod(node.mode)
        if blob.stat().st_size < SMALL:
            shutil.copy(blob, path)
        else:
            os.link(blob, path)
