"""What is decided, and why: facts to print and to send. `access.py` makes them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from runink.identity.roles import NEVER, Effect

NO_RULE = -1  # the place of a rule where none decided


class Ground(StrEnum):
    """Why it was decided so. People read `Decision.reason`; programs tell these apart."""

    ALLOWED = "allowed"  # a rule allows it, and none denies it
    DENIED = "denied"  # a rule denies it
    NOT_GRANTED = "not-granted"  # no rule speaks of it
    NOT_LET_OUT = "not-let-out"  # another herd allows it, and its own does not let it act there
    OF_THE_CLUSTER = "of-the-cluster"  # it belongs to a herd, and this to none
    ENDED = "ended"  # what proved who it is has ended


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether it may. `binding` is the one that decided, in `herd` (`*`: for all herds), by the rule at this place (from 0) of `role`; all are empty if none did."""

    allowed: bool
    ground: Ground
    reason: str
    binding: str = ""
    herd: str = ""
    role: str = ""
    rule: int = NO_RULE


class Held(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule that somebody has by a binding: `subject` is what the binding names (the person, or a group), `expires_ms` when that ends."""

    subject: str
    binding: str
    herd: str
    role: str
    rule: int
    effect: Effect = Effect.ALLOW
    expires_ms: int = NEVER


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A decision, and every rule that speaks of what was asked, in the order in which they are asked: the first decides.

    `allowing` and `denying` hold now, `ended` are those that would speak of it if their binding had not ended. `letting_out` are the rules of its own herd that
    let it act in the other one, or forbid it. `left_off` counts what is not listed. `revision` is that of the roles and bindings.
    """

    subject: str
    verb: str
    resource: str
    herd: str
    name: str
    at_ms: int
    revision: int
    decision: Decision
    allowing: tuple[Held, ...] = ()
    denying: tuple[Held, ...] = ()
    ended: tuple[Held, ...] = ()
    letting_out: tuple[Held, ...] = ()
    left_off: int = 0


class WhoCan(msgspec.Struct, frozen=True):
    """The subjects of bindings that may do something, each by itself, with the rule that lets it; and those that a rule denies it.

    Somebody may who is one of these, or in one of these groups, unless a rule denies it to that person or to another group.
    Operators may everything, and stand in no binding.
    """

    allowed: tuple[Held, ...]
    denied: tuple[Held, ...]
