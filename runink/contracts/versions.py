"""Semantic versions of contracts and pipelines: their order (semver.org, 11), and the one that follows.

Below 1.0.0 each part goes one down: 0.3.1 becomes 0.4.0 by a major change, as is the custom.  A pre-release becomes its own release by any bump that it has room for:
2.0.0-rc.1 is 2.0.0 already when a major change follows.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from runink.contracts.changes import Bump
from runink.errors import Invalid

_VERSION: Final = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_CONSTRAINT: Final = re.compile(r"(0|[1-9]\d{0,8})(?:\.(0|[1-9]\d{0,8}))?")


class Version(NamedTuple):
    """A version's parts, in the order in which versions are compared: numbers come before words, a pre-release before its release."""

    major: int
    minor: int
    patch: int
    is_release: bool = True
    named: tuple[tuple[bool, int, str], ...] = ()


def version_of(text: str) -> Version:
    """Return a version's parts. Raises Invalid (`version_invalid`)."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise Invalid(
            f"version {text!r} is not like 1.0.0",
            code="version_invalid",
            hint="major.minor.patch, each a number",
        )
    named = tuple(map(_identifier, match[4].split("."))) if match[4] else ()
    return Version(int(match[1]), int(match[2]), int(match[3]), match[4] is None, named)


def _identifier(text: str) -> tuple[bool, int, str]:
    return (False, int(text), "") if text.isascii() and text.isdigit() else (True, 0, text)


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None


def bumped(text: str, bump: Bump) -> str:
    """Return the version that follows by a bump. Raises Invalid."""
    major, minor, patch, is_release, _ = version_of(text)
    if major == 0 and bump > Bump.PATCH:
        bump = Bump(bump - 1)
    if bump is Bump.NONE:
        return text
    if not is_release and bump <= _room((major, minor, patch)):
        return f"{major}.{minor}.{patch}"
    if bump is Bump.MAJOR:
        return f"{major + 1}.0.0"
    if bump is Bump.MINOR:
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def _room(parts: tuple[int, int, int]) -> Bump:
    """Return the bump that leads to a version with these parts."""
    if parts[2]:
        return Bump.PATCH
    return Bump.MINOR if parts[1] else Bump.MAJOR


def is_enough(old: str, new: str, bump: Bump) -> bool:
    """Say whether a version has gone up by as much as a change asks for; a pre-release of what it asks for has. Raises Invalid."""
    return version_of(new)[:3] >= version_of(bumped(old, bump))[:3]


def is_within(version: str, wanted: str) -> bool | None:
    """Say whether a version is one that is wanted: 1 is any 1.x.y, 1.2 any 1.2.y, 1.2.0 itself alone; nothing if `wanted` is none of these."""
    if is_version(wanted):
        return version == wanted
    match = _CONSTRAINT.fullmatch(wanted)
    if match is None:
        return None
    parts = version_of(version)
    return parts.major == int(match[1]) and match[2] in (None, str(parts.minor))
