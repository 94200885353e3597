"""`runi`, as the shell calls it. Nothing is imported before an interrupt can be told from a crash, and little before it is needed."""

from __future__ import annotations

import os
import sys
from typing import Final

STANDARD: Final = (0, 1, 2)
INTERRUPTED: Final = 130


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit; see `exits` for the codes."""
    _open_standard()
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:
        _tell_version()
        return
    try:
        from runink.cli.commands import called  # noqa: PLC0415 - Ctrl-C while modules load shows no traceback

        code = int(called(words))
        if arguments is None:
            _end_at_once_if_interrupted()
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _end_at_once_if_interrupted() -> None:
    """Let an interrupt end the process from now on: raised in the middle of what libraries do at the exit, it would be told as a crash."""
    import signal  # noqa: PLC0415 - see above

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _tell_version() -> None:
    """Say the version without loading what commands need: scripts and editors ask for it all the time."""
    from runink import __version__  # noqa: PLC0415 - see above

    try:
        sys.stdout.write(f"runi, version {__version__}\n")
        sys.stdout.flush()
    except OSError:  # nobody reads it, or the disk is full
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), STANDARD[1])
        sys.exit(1)


def _open_standard() -> None:
    """Open what the caller has closed (`runi … <&-`): else the next file gets that number, and what is meant for a terminal goes into it."""
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(
                os.open(os.devnull, os.O_RDWR), True
            )  # the lowest number that is free


if __name__ == "__main__":
    main()
