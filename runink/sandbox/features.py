"""What a spawner has found out about its machine, told in a file beside its socket: whoever is or becomes its agent reads it there.

PATH.features        a line for each who tells: [{name: how it is there}, {name: why it is missing}], as JSON, by the names of `capabilities.py`
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Final

from runink.capabilities import LIMITS, Told

SUFFIX: Final = ".features"  # of the socket's path
MODE: Final = 0o600
LINE_END: Final = b"\n"
NO_CONTROLLER: Final = "no cgroup that can be made here has it"


def of_limits(layout: Mapping[str, str]) -> Told:
    """Return what the layout of the cgroups (`Layout.told`) says of limits."""
    found = Told({}, {})
    for name, feature in LIMITS.items():
        if layout[name] == "none":
            found.missing[feature] = NO_CONTROLLER
        else:
            found.there[feature] = layout[name]
    return found


def tell(socket_path: str, found: Told) -> None:
    """Add to what is told beside this socket. Who cannot write there tells nothing, which is as good as missing."""
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = os.open(socket_path + SUFFIX, flags, MODE)
        try:
            os.write(file, written(found))
        finally:
            os.close(file)


def read(socket_path: str) -> Told:
    """Return what is told beside this socket; nothing where nobody has told anything that can be understood."""
    found = Told({}, {})
    with (
        contextlib.suppress(OSError, ValueError),
        open(socket_path + SUFFIX, "rb") as file,  # noqa: PTH123 - the sandbox does without pathlib
    ):
        for line in file:
            one = understood(line)
            found.there.update(one.there)
            found.missing.update(one.missing)
    return found


def forget(socket_path: str) -> None:
    """Take away what is told beside this socket."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket_path + SUFFIX)  # noqa: PTH108 - as above


def written(found: Told) -> bytes:
    """Return it as a line."""
    return json.dumps(found).encode() + LINE_END


def understood(line: bytes) -> Told:
    """Return what a line says. Raises ValueError."""
    found = json.loads(line)
    if not isinstance(found, list) or len(found) != len(Told._fields):
        raise ValueError("not what is there and what is missing")
    return Told(*map(_texts, found))


def _texts(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        raise ValueError("not a mapping")  # noqa: TRY004 - it is what came that is wrong
    return {str(name): str(said) for name, said in found.items()}
