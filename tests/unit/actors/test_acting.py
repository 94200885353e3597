"""What is told to the member that acts comes to the one of its actors that it is for."""

from __future__ import annotations

from typing import Any

import pytest
from runink.actors.vigil import Acting
from runink.clients.run_requests import Cancel, NodeLives, SliceProgress
from runink.names import NodeId, RunId, SliceId
from runink.runtime.actor import Actor
from runink.runtime.supervisor import ChildSpec, supervise

pytestmark = pytest.mark.anyio
LIVES = NodeLives(NodeId("n1"), "i1")
PROGRESS = SliceProgress(RunId("r"), SliceId("a"), ())


class Keeps(Actor[Any]):
    def __init__(self, heard: list[Any]) -> None:
        self._heard = heard

    async def receive(self, message: Any) -> str:
        self._heard.append(message)
        return "kept"


async def test_that_a_node_lives_comes_to_the_vigil_and_all_else_to_the_run_controller() -> None:
    runs: list[Any] = []
    vigil: list[Any] = []
    async with supervise() as supervisor:
        acting = Acting(
            await supervisor.start(ChildSpec("runs", lambda: Keeps(runs))),
            await supervisor.start(ChildSpec("vigil", lambda: Keeps(vigil))),
        )
        assert acting.address == "runs"
        await acting.tell(LIVES)
        acting.tell_nowait(LIVES)
        await acting.tell(PROGRESS)
        acting.tell_nowait(PROGRESS)
        acting.flush()
        assert await acting.ask(Cancel(RunId("r")), within=1.0) == "kept"
    assert vigil == [LIVES, LIVES]
    assert runs == [PROGRESS, PROGRESS, Cancel(RunId("r"))]
