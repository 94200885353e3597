"""What a step says of its columns: of which columns each that it gives is made. Read by the compiler from the text, by the step's decorator for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runink.errors import Invalid


def column_maps(said: Any, step: str) -> dict[str, tuple[str, ...]]:
    """Return what `maps=` says, each column's sources in a tuple. Raises Invalid."""
    if not isinstance(said, Mapping):
        raise _misread(step)
    found: dict[str, tuple[str, ...]] = {}
    for name, sources in said.items():
        listed = (sources,) if isinstance(sources, str) else sources
        if not isinstance(name, str) or not isinstance(listed, tuple | list):
            raise _misread(step)
        if not all(isinstance(one, str) for one in listed):
            raise _misread(step)
        found[name] = tuple(listed)
        if ("*" in (name, *listed)) and (name, *listed) != ("*", "*"):
            raise _misread(step)
    return found


def _misread(step: str) -> Invalid:
    return Invalid(
        f"step {step}: maps= is no dict of columns and what they are made of",
        code="step_maps",
        hint='as in maps={"delay": ["dep_delay"], "*": "*"}, where * are all others, passed on as they come',
    )
