"""How those who asked a member of the Barn are told what became of it."""

from __future__ import annotations

from collections.abc import Callable

from runink.barn.commands import Answer
from runink.errors import OutcomeUnknown, RuninkError
from runink.runtime.actor import Later
from runink.runtime.envelope import Pending

Settle = Callable[[Answer | RuninkError | None], object]  # nothing: a read may be done


def settle(later: Later, outcome: Answer | RuninkError | None) -> None:
    """Answer a request."""
    if isinstance(outcome, RuninkError):
        later.fail(outcome)
    else:
        later.answer(outcome)


def settle_pending(waiting: Pending, outcome: Answer | RuninkError | None) -> None:
    """Wake a task that waits."""
    if isinstance(outcome, RuninkError):
        waiting.settle(None, outcome)
    else:
        waiting.settle(outcome, None)


def stopped() -> RuninkError:
    """Return what they are told whose outcome nobody will know."""
    return OutcomeUnknown(
        "the Barn stopped before it was known whether this is written",
        hint="read it, and decide anew",
    )
