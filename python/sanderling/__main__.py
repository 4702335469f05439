"""`python -m sanderling`, and the command `sanderling`."""

# `typing`, and `signal` with its enumerations, would double the time in which an interrupt is still Python's own.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn
else:
    import _signal as signal  # what `signal` wraps


def entry() -> "NoReturn":
    """The console script. An interrupt ends it without words, while modules load too."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so behind nohup
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sanderling.cli.main import interrupt, main

    if heeded:
        signal.signal(signal.SIGINT, interrupt)
    raise SystemExit(main())


if __name__ == "__main__":
    entry()
