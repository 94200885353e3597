"""Packages by name and version: those of an environment, those that are installed beside Runink, and where the two collide.

A slice is a fork of a process that has modules loaded already.  Which of these a step gets is decided: the loaded ones, whatever its lock
says.  So a lock may pin such a package only in the version that is loaded; any other would be a silent lie to the step, or two halves of one
package in one process.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from runink.environments.lock import NAME, Lock, canonical
from runink.environments.worker import MANIFEST
from runink.errors import Finding, Invalid, Span, Unavailable

MANIFEST_BYTES_MAX: Final = 8 << 20
_INFO: Final = (".dist-info", ".egg-info")


class Package(msgspec.Struct, frozen=True):
    """One package of an environment. `modules` are the names that can be imported of it, as far as they are at the top."""

    name: str
    version: str
    modules: tuple[str, ...] = ()


class _Manifest(msgspec.Struct, frozen=True):
    packages: tuple[Package, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A package that is loaded already, in another version than the lock's; `loaded` is empty where it is no version of the same package."""

    name: str
    version: str
    loaded: str


def packages_of(environment: Path) -> tuple[Package, ...]:
    """Return what is in an environment. Raises Unavailable (`environment_damaged`)."""
    try:
        with (environment / MANIFEST).open("rb") as file:
            manifest = msgspec.json.decode(file.read(MANIFEST_BYTES_MAX), type=_Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise Unavailable(
            f"the environment {environment} does not say what is in it: {error}",
            code="environment_damaged",
            hint="remove its folder: the next run makes it anew",
        ) from error
    return tuple(
        Package(canonical(one.name), one.version, one.modules) for one in manifest.packages
    )


def installed(folders: Iterable[str]) -> dict[str, str]:
    """Return the versions of the packages in these folders, by name, where the first folder that has one decides."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            entries = sorted(path.name for path in Path(folder).iterdir())
        except OSError:  # not every place to import from is a folder
            continue
        for entry in entries:
            stem, dot, _ = entry.rpartition(".")
            if entry.endswith(_INFO) and dot:
                name, _, rest = stem.partition("-")
                found.setdefault(canonical(name), rest.partition("-")[0])
    return found


def collisions(lock: Lock, preloaded: Mapping[str, str]) -> tuple[Conflict, ...]:
    """Return what a lock pins in another version than slices have it loaded in, told before anything is made.

    `preloaded` are names and versions. What is pinned for some machines only is left to `conflicts`.
    """
    pins = [Package(pin.name, pin.version) for pin in lock.pins if not pin.marker]
    return _differing(pins, preloaded)


def conflicts(
    packages: Iterable[Package], loaded: Container[str], versions: Mapping[str, str]
) -> tuple[Conflict, ...]:
    """Return the packages of an environment of which a module is among the `loaded` ones, in another version than `versions` says."""
    return _differing(
        [one for one in packages if any(module in loaded for module in one.modules)], versions, ""
    )


def _differing(
    packages: Iterable[Package], versions: Mapping[str, str], unknown: str | None = None
) -> tuple[Conflict, ...]:
    found = []
    for one in packages:
        loaded = versions.get(one.name, unknown)
        if loaded is not None and not same_version(loaded, one.version):
            found.append(Conflict(one.name, one.version, loaded))
    return tuple(found)


def same_version(one: str, other: str) -> bool:
    """Say whether two texts name one version: `1.0` is `1.0.0`, `2.0.0+cpu` is not `2.0.0`."""
    return _trimmed(one) == _trimmed(other)


def _trimmed(version: str) -> str:
    text = version.lower().removeprefix("v").replace("-", ".").replace("_", ".")
    while text.endswith(".0"):
        text = text.removesuffix(".0")
    return text


def refused(found: tuple[Conflict, ...], lock: Lock | None = None) -> Invalid:
    """Return the error that tells conflicts, with the lines of the lock if that is given."""
    lines = {pin.name: pin.line for pin in lock.pins} if lock else {}
    findings = tuple(
        Finding(
            "P002",
            _told(one),
            Span(NAME, lines[one.name], 1) if one.name in lines else None,
            _way_out(one),
        )
        for one in found
    )
    first = found[0]
    text = f"{NAME}: {_told(first)}"
    if len(found) > 1:
        text += f", and so for {', '.join(one.name for one in found[1:])}"
    return Invalid(text, findings=findings, code="packages_conflict", hint=_way_out(first))


def _told(one: Conflict) -> str:
    if not one.loaded:
        return f"{one.name} {one.version} has a module of a name that Runink has loaded already"
    return (
        f"{one.name} is pinned to {one.version}, and slices on this node have {one.loaded} loaded"
    )


def _way_out(one: Conflict) -> str:
    if not one.loaded:
        return f"leave {one.name} out of the lock"
    return f"pin {one.name}=={one.loaded} or leave it out, and make the lock anew"
