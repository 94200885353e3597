"""A store that commands are applied to, for tests of what it then is."""

from __future__ import annotations

from runink.barn.commands import Answer, Applied, Command, Declined, Proposal
from runink.barn.keyvalue import Page
from runink.barn.store import Store


def apply(store: Store, command: Command, *, client: str = "", sequence: int = 0) -> Answer:
    proposal = Proposal(client, sequence, command)
    return store.apply(proposal, term=max(store.applied_term, 1), index=store.applied_index + 1)


def applied(store: Store, *commands: Command) -> Applied:
    """Apply some commands, all of which must take effect, and return the answer to the last."""
    for command in commands:
        answer = apply(store, command)
        assert isinstance(answer, Applied), answer
    return answer


def declined(store: Store, command: Command) -> str:
    """Apply a command that must be declined, and return the code."""
    answer = apply(store, command)
    assert isinstance(answer, Declined), answer
    return answer.code


def keys_of(page: Page) -> list[str]:
    return [item.key for item in page.items]
