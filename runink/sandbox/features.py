"""What a spawner has found out about its machine: it tells whoever is or becomes its agent (`protocol.Welcome`).

Who was its launcher says it in a line: [{name: how it is there}, {name: why it is missing}], as JSON, by the names of `capabilities.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from runink.capabilities import LIMITS, Told

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


def both(one: Told, other: Told) -> Told:
    """Return what two have found out about different features."""
    return Told(one.there | other.there, one.missing | other.missing)


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
