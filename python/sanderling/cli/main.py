"""Entry point: parse, run one verb, turn errors into one line and an exit code.

0: done; 2: something to put right (request, data, rights, space); 1: our fault; 130: interrupted.
"""

import argparse
import errno
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import sanderling
from sanderling.cli.registry import VERBS
from sanderling.errors import SanderlingError, StorageError

USER_ERROR, OUR_ERROR, INTERRUPTED = 2, 1, 130
_interrupted = False


def interrupt(number: int, frame: object) -> NoReturn:
    """The command's answer to SIGINT."""
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


class OneLineParser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see: {self.prog} --help", file=sys.stderr)
        raise SystemExit(USER_ERROR)


class _Version(argparse.Action):
    """Prints version and instruction sets; the core is loaded only when asked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, *_: object) -> None:
        from sanderling.runtime.isa import isa_names, selected_isa

        compiled = ", ".join(isa_names(supported=False))
        print(f"sanderling {sanderling.__version__} (isa {selected_isa()}; compiled: {compiled})")
        raise SystemExit(0)


def build_parser(verb: str | None) -> argparse.ArgumentParser:
    """The parser of `verb`, or of all verbs when it is none of them (help, errors)."""
    parser = OneLineParser(prog="sanderling", description="Anomaly detection for sensor signals.")
    parser.add_argument("--version", action=_Version, help="version and instruction sets")
    parser.add_argument(
        "--traceback", action="store_true", help="show the Python traceback of an error"
    )
    subparsers = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    for name in [verb] if verb in VERBS else VERBS:
        module = import_module(VERBS[name])
        verb_parser = subparsers.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(verb_parser)
        verb_parser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Wherever it stands, so that adding it to a failed command works.
    show_traceback = "--traceback" in arguments
    arguments = [argument for argument in arguments if argument != "--traceback"]
    warnings.showwarning = _one_line_warning
    if arguments[:2] == ["evaluate", "text"]:
        arguments[:2] = ["text", "evaluate"]
    try:
        _prepare_output()
        verb = next((argument for argument in arguments if not argument.startswith("-")), None)
        options = build_parser(verb).parse_args(arguments)
        code = options.run(options)
        sys.stdout.flush()
        return int(code or 0)
    except BrokenPipeError:
        # The reader left (`| head`): no error; Python must not flush into the closed pipe at exit either.
        _give_up_stdout()
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except SanderlingError as error:
        if show_traceback:
            traceback.print_exc()
        print(f"sanderling: {_one_line(error)}", file=sys.stderr)
        return USER_ERROR
    except Exception as error:
        if _interrupted:  # while numpy was loading, for one: it makes an ImportError of it
            return INTERRUPTED
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            found = "found one that is too long; check the arguments"
            print(f"sanderling: expected names of files, {found}", file=sys.stderr)
            return USER_ERROR
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            # Files are named in their errors; what has no name is standard input or output.
            _give_up_stdout()
            reason = f"found: {error.strerror}; check the redirection and its space"
            print(f"sanderling: expected to use standard input and output, {reason}", file=sys.stderr)
            return USER_ERROR
        if show_traceback:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno is not None:
            reason = f"found: {error.strerror}; check the path, its rights and its space"
            print(f"sanderling: expected to use {error.filename}, {reason}", file=sys.stderr)
            return USER_ERROR
        if show_traceback:
            return OUR_ERROR
        print(
            f"sanderling: internal error: {type(error).__name__}: {_one_line(error)}; "
            "this is a bug, run again with --traceback and report it",
            file=sys.stderr,
        )
        return OUR_ERROR


def _prepare_output() -> None:
    if sys.stderr is None:  # closed; print() would fall back on standard output
        sys.stderr = open(os.devnull, "w")
    if sys.stdout is None:
        raise StorageError("expected an open standard output, found it closed; redirect it, to /dev/null for none")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A channel's name must not fail in a terminal that lacks its letters.
        sys.stdout.reconfigure(errors="backslashreplace")


def _give_up_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _one_line_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"sanderling: warning: {_one_line(message)}", file=sys.stderr)
