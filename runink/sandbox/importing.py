"""Why a zygote cannot import what is there: Python takes a folder that it may not read for one that holds nothing, and says nothing of it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from runink.sandbox.log import describe

CLOSED: Final = "slices are other users than who runs the node, and may not read"


def problem_of(error: Exception) -> str:
    """Return what went wrong with an import and, if something that it needs may be closed to us, that and what mends it."""
    closed = first_closed(_needed(error))
    if not closed:
        return describe(error)
    mode = stat.S_IMODE(os.stat(closed).st_mode)  # noqa: PTH116 - the sandbox does without pathlib
    return f"{describe(error)}; {CLOSED} {closed} (mode {mode:04o}): chmod -R o+rX {closed}"


def first_closed(paths: Iterable[str]) -> str:
    """Return the first that is there and may not be read, of these files and folders and of those above each, which need but be entered; nothing where there is none."""
    for path in paths:
        above = [path[:at] for at, mark in enumerate(path) if mark == "/" and at]
        for place in (*above, path):
            if not os.path.exists(place):  # noqa: PTH110 - as above
                break
            needed = 0 if place in above else os.R_OK
            if os.path.isdir(place):  # noqa: PTH112 - as above
                needed |= os.X_OK
            if not os.access(place, needed):
                return place
    return ""


def _needed(error: Exception) -> Iterator[str]:
    """Yield the files and folders that may be to blame."""
    if isinstance(error, OSError) and isinstance(error.filename, str):
        yield error.filename
    if isinstance(error, ImportError):
        if error.path:
            yield error.path
        packages = (error.name or "").split(".")
        for folder in map(os.path.abspath, sys.path):
            for count in range(len(packages) + 1):
                yield "/".join((folder, *packages[:count]))
    for module in list(sys.modules.values()):
        # What has a path and no file looks like a package without code: it may be one whose folder is closed.
        if getattr(module, "__file__", None) is None:
            yield from map(str, getattr(module, "__path__", ()))
