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
    try:
        from runink.cli.commands import called  # noqa: PLC0415 - Ctrl-C while modules load shows no traceback

        code = int(called(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


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
