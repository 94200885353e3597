"""How far a client of the Barn runs ahead of a proposal whose answer is late: not so far that the Barn would forget that answer."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from runink.barn.commands import Applied
from runink.barn.sessions import ANSWERS_MAX
from runink.clients.barn import IN_FLIGHT_MAX, BarnClient
from runink.clients.barn_requests import Propose

pytestmark = pytest.mark.anyio


class SlowFirst:
    """A Barn that answers everything at once but a client's first proposal."""

    address = "barn"

    def __init__(self) -> None:
        self.sequences: list[int] = []
        self.is_first_free = anyio.Event()

    async def ask(self, request: Propose, *, within: float) -> Applied:
        self.sequences.append(request.sequence)
        await anyio.lowlevel.checkpoint()
        if request.sequence == 1:
            await self.is_first_free.wait()
        return Applied(request.sequence)

    async def tell(self, message: Any) -> None: ...

    def flush(self) -> None:
        """Do nothing: it is there."""

    def tell_nowait(self, message: Any) -> None: ...


async def test_a_client_waits_for_its_oldest_proposal_before_its_answer_would_be_forgotten():
    barn = SlowFirst()
    client = BarnClient(barn, within_s=600.0)
    answers: list[int] = []

    async def put() -> None:
        answers.append(await client.put("/a", 1))

    async with anyio.create_task_group() as group:
        for _ in range(3 * ANSWERS_MAX):
            group.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        assert max(barn.sequences) == IN_FLIGHT_MAX
        assert len(answers) == IN_FLIGHT_MAX - 1
        barn.is_first_free.set()
    assert sorted(answers) == list(range(1, 3 * ANSWERS_MAX + 1))
