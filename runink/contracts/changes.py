"""What a change between two versions of a contract is, and what it does: the nouns of `diff.py` and `compatibility.py`.

A change has an effect on what the contract takes: the rows that keep it.  Both directions of compatibility follow from that alone:

    effect      the new one takes                        BACKWARD: the new one      FORWARD: the old one
                                                         takes what the old took    takes what the new one takes
    SAME        the same                                 yes                        yes
    WIDER       that, and more                           yes                        no
    NARROWER    a part of it                             no                         yes
    OTHER       something else, or nobody can tell       no                         no
"""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

from runink.contracts.fields import Scalar


class Effect(Enum):
    """What a change does to the rows that a contract takes."""

    SAME = "same"
    WIDER = "wider"
    NARROWER = "narrower"
    OTHER = "other"

    @property
    def keeps_backward(self) -> bool:
        """Say whether the new version takes all that the old one took."""
        return self in (Effect.SAME, Effect.WIDER)

    @property
    def keeps_forward(self) -> bool:
        """Say whether the old version takes all that the new one takes."""
        return self in (Effect.SAME, Effect.NARROWER)

    def __and__(self, other: Effect) -> Effect:
        """Return the effect of both together."""
        return effect_of(
            backward=self.keeps_backward and other.keeps_backward,
            forward=self.keeps_forward and other.keeps_forward,
        )


def effect_of(*, backward: bool, forward: bool) -> Effect:
    """Return the effect that is compatible in these directions."""
    if backward:
        return Effect.SAME if forward else Effect.WIDER
    return Effect.NARROWER if forward else Effect.OTHER


class Sort(Enum):
    """What of a contract a change is about."""

    ADDED = "added"
    REMOVED = "removed"
    TYPE = "type"
    OPTIONALITY = "optionality"
    DEFAULT = "default"
    CONSTRAINT = "constraint"
    ANNOTATION = "annotation"
    ORDER = "order"
    RULE = "rule"
    KEY = "key"
    COERCION = "coercion"
    NAME = "name"
    PROSE = "prose"


class Bump(IntEnum):
    """Which part of a semantic version goes up; the larger the more."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3

    @property
    def word(self) -> str:
        return self.name.lower()


Value = Scalar | None | tuple[Scalar, ...] | dict[str, str]


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One difference. `path` is the field's (`address.city`, `lines[].price`; empty: the contract's own), `what` the attribute, `text` the whole as a sentence.

    `bump` is the least that it asks of the version. `exposes` says that people get to see more than they did: less pii, fewer masks, more roles.
    """

    path: str
    sort: Sort
    what: str
    text: str
    effect: Effect = Effect.SAME
    bump: Bump = Bump.MINOR
    old: Value = None
    new: Value = None
    exposes: bool = False


class Rename(msgspec.Struct, frozen=True):
    """A removed and an added field that are alike: perhaps one that was renamed. `likeness` is from 0 to 1."""

    old: str
    new: str
    likeness: float


class Diff(msgspec.Struct, frozen=True):
    """All that differs between two versions, in the order of the new one's fields; contract-wide changes come first."""

    name: str
    old_version: str
    new_version: str
    old_hash: str
    new_hash: str
    changes: tuple[Change, ...] = ()
    renames: tuple[Rename, ...] = ()

    @property
    def effect(self) -> Effect:
        """Return what all changes together do to the rows that the contract takes."""
        effect = Effect.SAME
        for change in self.changes:
            effect = effect & change.effect
        return effect

    @property
    def exposing(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.exposes)
