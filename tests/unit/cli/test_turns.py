"""A write that others come before is decided anew, and given up where they always do."""

from __future__ import annotations

import pytest
from runink.clients.turns import TURNS_MAX, in_turns
from runink.errors import Conflict

pytestmark = pytest.mark.anyio


async def test_what_others_came_before_is_tried_again() -> None:
    said = iter([None, None, "done", "never asked"])

    async def turn() -> str | None:
        return next(said)

    assert await in_turns("x", turn) == "done"
    assert list(said) == ["never asked"]


async def test_it_is_given_up_where_others_always_come_before() -> None:
    turns = []

    async def turn() -> None:
        turns.append(1)

    with pytest.raises(Conflict, match="others change /x all the time"):
        await in_turns("/x", turn)
    assert len(turns) == TURNS_MAX
