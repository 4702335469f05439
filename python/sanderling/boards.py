"""Board profiles: one TOML file a board, checked against one table.

A profile's file name is its id. Files lie in `boards/` of the repository and in `sanderling/boards/` of the package.
"""

import difflib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanderling.errors import BoardError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ISAS = ("reference", "avx2", "avxvnni", "avx512vnni", "amx", "neon", "neon_dotprod")
# sd_image: `sanderling flash` makes it. The others get their vendor's system, and `sanderling deploy`.
FLASH_METHODS = ("sd_image", "vendor_image", "sdkmanager", "none")


@dataclass(frozen=True)
class Board:
    """A board's facts.

    isa: the best kernel tier that its cores run. l2_kib: level 2 cache that one core sees. clock_mhz: highest
    sustained. ram_mib: of the variant that the profile stands for. glibc: of the system in `os`. compatible: device
    tree strings that this board alone has. qemu: `cpu` and `machine` of the emulator. flash: how a system gets on it.
    """

    id: str
    name: str
    vendor: str
    soc: str
    core: str
    isa: str
    cores: int
    clock_mhz: int
    l2_kib: int
    ram_mib: int
    os: str
    glibc: str
    compatible: tuple[str, ...]
    qemu: dict[str, str]
    flash: str


def _text(value: object) -> str | None:
    return None if isinstance(value, str) and value.strip() else "text that is not empty"


def _count(value: object) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return None if whole else "a whole number above 0"


def _version(value: object) -> str | None:
    parts = value.split(".") if isinstance(value, str) else []
    good = len(parts) == 2 and all(part.isdecimal() for part in parts)
    return None if good else "a version like '2.31'"


def _names(value: object) -> str | None:
    good = isinstance(value, list) and all(isinstance(v, str) and v for v in value)
    return None if good and len(set(value)) == len(value) else "a list of different texts"  # type: ignore[call-overload, arg-type]


def _qemu(value: object) -> str | None:
    good = isinstance(value, dict) and set(value) == {"cpu", "machine"}
    good = good and all(isinstance(v, str) and v for v in value.values())  # type: ignore[attr-defined]
    return None if good else "a table of the texts cpu and machine"


def _one_of(*choices: str) -> Any:
    return lambda value: None if value in choices else f"one of {', '.join(choices)}"


# Key -> what is wrong with a value (None: nothing).
SCHEMA: dict[str, Any] = {
    "id": _text,
    "name": _text,
    "vendor": _text,
    "soc": _text,
    "core": _text,
    "isa": _one_of(*ISAS),
    "cores": _count,
    "clock_mhz": _count,
    "l2_kib": _count,
    "ram_mib": _count,
    "os": _text,
    "glibc": _version,
    "compatible": _names,
    "qemu": _qemu,
    "flash": _one_of(*FLASH_METHODS),
}


def boards_folder() -> Path:
    """The folder of the shipped profiles. Raises BoardError."""
    import sanderling

    # An editable install maps the folder: it stays at the top of the source tree.
    candidates = [Path(entry) / "boards" for entry in sanderling.__path__]
    candidates.append(Path(__file__).resolve().parents[2] / "boards")
    for folder in candidates:
        if any(folder.glob("*.toml")):
            return folder
    raise BoardError(f"expected board profiles in {candidates[0]}, found none; reinstall sanderling")


def parse_board(text: str, source: str) -> Board:
    """A profile from TOML. `source` names it in errors; BoardError for anything the schema does not know."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BoardError(f"{source}: expected TOML, found: {error}") from error
    for key in table:
        if key not in SCHEMA:
            near = difflib.get_close_matches(key, SCHEMA, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(SCHEMA)}"
            raise BoardError(f"{source}: found the unknown key '{key}'; {hint}")
    missing = [key for key in SCHEMA if key not in table]
    if missing:
        raise BoardError(f"{source}: expected the key(s) {', '.join(missing)}, found none; add them")
    for key, check in SCHEMA.items():
        wanted = check(table[key])
        if wanted is not None:
            raise BoardError(f"{source}: expected {wanted} for '{key}', found {table[key]!r}")
    return Board(**(table | {"compatible": tuple(table["compatible"])}))


def load_board_file(path: Path) -> Board:
    """A profile from a file. BoardError also when its id is not the file's name."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BoardError(f"{path}: expected a readable UTF-8 file, found: {error}") from error
    board = parse_board(text, path.name)
    if board.id != path.stem:
        raise BoardError(f"{path.name}: expected the id '{path.stem}' as in the name, found '{board.id}'")
    return board


def load_boards() -> dict[str, Board]:
    """The shipped profiles by id, sorted. Raises BoardError."""
    boards = [load_board_file(path) for path in sorted(boards_folder().glob("*.toml"))]
    return {board.id: board for board in boards}


def load_board(board_id: str) -> Board:
    """The profile `board_id`. BoardError naming the nearest one when it is unknown."""
    boards = load_boards()
    if board_id in boards:
        return boards[board_id]
    near = difflib.get_close_matches(board_id, boards, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "see: sanderling boards list"
    raise BoardError(f"expected one of {', '.join(boards)}, found '{board_id}'; {hint}")
