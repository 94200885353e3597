"""Which versions of a contract go with which: the modes of schema registries, and the version that a change asks for.

    mode         a new version is taken if
    NONE         always
    BACKWARD     it takes all that was written under the version before it: its readers go first
    FORWARD      the version before it takes all that is written under it: its writers go first
    FULL         both
    …_TRANSITIVE   so it is with every earlier version, not with the one before it alone

The rules are those of Avro's and Confluent's registries, said of rows: *takes* is what the contract's own check does (`diff.py`).  The version before another is the highest one
below it: 1.2.1 may be published after 2.0.0, if 2.0.0 gets along with it (or each major version is a line of its own).

    part    goes up
    major   where a change breaks the mode (BACKWARD, if the mode is NONE), takes a field away, or gives a field another type, key or unit
    minor   where anything else has changed that the hash counts
    patch   where only prose has
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from runink.contracts.changes import Bump, Change, Diff
from runink.contracts.fields import ContractSpec
from runink.contracts.versions import version_of


class Mode(Enum):
    """What a new version must go together with."""

    NONE = "none"
    BACKWARD = "backward"
    FORWARD = "forward"
    FULL = "full"
    BACKWARD_TRANSITIVE = "backward_transitive"
    FORWARD_TRANSITIVE = "forward_transitive"
    FULL_TRANSITIVE = "full_transitive"

    @property
    def is_transitive(self) -> bool:
        return self.value.endswith("_transitive")

    @property
    def looks_backward(self) -> bool:
        return self.value.startswith(("backward", "full"))

    @property
    def looks_forward(self) -> bool:
        return self.value.startswith(("forward", "full"))


class ContractPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a herd asks of new versions, and of pipelines that keep contracts. With `breaking_majors` each major version is a line of its own, held against none of another.

    With `goldens` no pipeline is deployed or published that has none; `approvals` is how many people take a version in; with `blocks_drift` what leaves its contract does not get through.
    """

    mode: Mode = Mode.NONE
    breaking_majors: bool = False
    goldens: bool = False
    approvals: int = 0
    blocks_drift: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """How a version goes with another: `breaking` is empty where it does."""

    against: str
    mode: Mode
    breaking: tuple[Change, ...]

    @property
    def is_compatible(self) -> bool:
        return not self.breaking


def breaks(change: Change, mode: Mode) -> bool:
    """Say whether a change is breaking under a mode."""
    return (mode.looks_backward and not change.effect.keeps_backward) or (
        mode.looks_forward and not change.effect.keeps_forward
    )


def breaking(changes: Diff, mode: Mode) -> tuple[Change, ...]:
    """Return the changes that are breaking under a mode."""
    return tuple(change for change in changes.changes if breaks(change, mode))


def verdicts(
    new: ContractSpec, known: Iterable[ContractSpec], mode: Mode, *, same_major: bool = False
) -> tuple[Verdict, ...]:
    """Return how a version goes with those that its mode asks about, the nearest before it first; with `same_major` only with those of its own major version.

    A version that comes between others is held against the one above it as well, which must get along with what is now before it. A pre-release comes before its release.
    """
    if mode is Mode.NONE:
        return ()
    major = version_of(new.version).major
    line = [one for one in known if not same_major or version_of(one.version).major == major]
    earlier, later = before(new.version, line), after(new.version, line)
    if not mode.is_transitive:
        earlier, later = earlier[:1], later[:1]
    from runink.contracts.diff import diff  # noqa: PLC0415 - what reads a herd's file compares no contracts

    return (
        *(Verdict(one.version, mode, breaking(diff(one, new), mode)) for one in earlier),
        *(Verdict(one.version, mode, breaking(diff(new, one), mode)) for one in later),
    )


def after(version: str, known: Iterable[ContractSpec]) -> list[ContractSpec]:
    """Return the versions above one, the lowest first."""
    at = version_of(version)
    later = [one for one in known if version_of(one.version) > at]
    return sorted(later, key=lambda one: version_of(one.version))


def before(version: str, known: Iterable[ContractSpec]) -> list[ContractSpec]:
    """Return the versions below one, the highest first."""
    at = version_of(version)
    earlier = [one for one in known if version_of(one.version) < at]
    return sorted(earlier, key=lambda one: version_of(one.version), reverse=True)


def bump_of(changes: Diff, mode: Mode = Mode.BACKWARD) -> Bump:
    """Return which part of the version must go up."""
    by = Mode.BACKWARD if mode is Mode.NONE else mode
    if breaking(changes, by):
        return Bump.MAJOR
    return max((change.bump for change in changes.changes), default=Bump.NONE)
