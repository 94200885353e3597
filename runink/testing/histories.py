"""What clients asked of a store and were answered, and when: the histories that the checkers judge.

A history is any number of operations on single keys.  An operation that was answered has `ended`; one without an end has an unknown outcome: it may
take effect at any time behind its beginning, or never.  One that is known to have failed, and a read that was not answered, are not in a history: what
did not happen cannot be seen, and if it is seen after all, that is what the checkers find.

Times are any numbers that grow; of two operations that touch at the same time neither came first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Get:
    """Read the key, linearizably."""


@dataclass(frozen=True, slots=True)
class Put:
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the key, if it is there."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Put `value` if the key is as `expected`: a revision of its last change (0: it is absent), or a value."""

    expected: int | bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Saw:
    """What a read was answered: the value (nothing: it is absent), the revision that wrote it, and the store's at the reading."""

    value: bytes | None
    mod_revision: int
    revision: int


@dataclass(frozen=True, slots=True)
class Wrote:
    """What a write was answered: the store's revision behind it, and whether it changed the key (a swap may not have held)."""

    revision: int
    changed: bool = True


Action = Get | Put | Delete | Swap
Answer = Saw | Wrote


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one client. Without an end there is no answer."""

    client: str
    key: str
    action: Action
    began: float
    ended: float | None = None
    answer: Answer | None = None

    def __post_init__(self) -> None:
        assert (self.ended is None) == (self.answer is None)
        assert self.ended is None or self.began <= self.ended
        assert self.answer is None or isinstance(self.answer, Saw) == isinstance(self.action, Get)
        assert self.answer is not None or not isinstance(self.action, Get)

    def __str__(self) -> str:
        until = "?" if self.ended is None else f"{self.ended:g}"
        outcome = "outcome unknown" if self.answer is None else str(self.answer)
        return f"{self.began:g}..{until} {self.client} {self.key}: {self.action} -> {outcome}"
