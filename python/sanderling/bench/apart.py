"""A text peer in a process of its own, to which the kernel gives no AMX: how it runs on a processor without."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanderling.errors import InputError

if TYPE_CHECKING:
    from sanderling.export.bert import BertModel

SMALL_STACK = 8192  # bytes; a signal's frame with the tiles' 8 KiB in it is larger


class _Stack(ctypes.Structure):
    """stack_t of sigaltstack(2)."""

    _fields_ = (("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("bytes", ctypes.c_size_t))


def withhold_amx() -> ctypes.Array[ctypes.c_char]:
    """Linux gives the tiles to no process with a signal stack that they don't fit on (Documentation/arch/x86/xstate).

    Returns the stack, to be kept as long as the process. Raises InputError where it can't be set.
    """
    memory = ctypes.create_string_buffer(SMALL_STACK)
    stack = _Stack(ctypes.addressof(memory), 0, SMALL_STACK)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sigaltstack(ctypes.byref(stack), None) != 0:
        raise InputError(f"expected to set a signal stack, found error {ctypes.get_errno()}; run on Linux")
    return memory


class Apart:
    """What `make` gives, asked and timed there. Raises RuntimeError with the engine's own words."""

    def __init__(self, make: Callable[..., Any], model: BertModel, folder: Path, tokens: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, model, folder, tokens), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        self._pipe.send(("embed", ids))
        return np.asarray(self._answer())

    def timed(self, ids: np.ndarray) -> float:
        """Microseconds, as text.timed measures them, by the process's own clock."""
        self._pipe.send(("time", ids))
        return float(self._answer())

    def _answer(self) -> Any:
        try:
            failed, answer = self._pipe.recv()
        except EOFError as error:
            raise RuntimeError(f"its process ended with status {self._process.exitcode}") from error
        if failed:
            raise RuntimeError(answer)
        return answer


def _serve(pipe: Any, make: Callable[..., Any], model: BertModel, folder: Path, tokens: int) -> None:
    from .text import timed

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the bench's, which ends this process
    kept = withhold_amx()
    ask: Any = None
    request: tuple[str, Any] = ("open", None)
    while kept:
        try:
            if request[0] == "open":
                ask, answer = make(model, folder, tokens), None
            else:
                answer = timed(ask, request[1]) if request[0] == "time" else np.array(ask(request[1]))
            pipe.send((False, answer))
        except Exception as error:  # a peer's own errors are of any type
            pipe.send((True, f"{type(error).__name__}: {error}"))
        try:
            request = pipe.recv()
        except EOFError:
            return
