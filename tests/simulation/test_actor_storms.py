"""Storms: askers, crashes, time-outs and stops in an order that a seed gives, in virtual time.

Whatever happens, every ask has one outcome within its time, what was acknowledged happened once, what was surely not done was not done,
and when the supervisor has ended nothing runs any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import anyio
import pytest
import trio.testing
from runink.errors import LinkLost, OutcomeUnknown, RuninkError, TimedOut, Unavailable
from runink.runtime.actor import Actor, Context, Later, Request
from runink.runtime.connections import connect_unix, serve_unix
from runink.runtime.directory import Directory
from runink.runtime.ref import Ref
from runink.runtime.supervisor import ChildSpec, RestartPolicy, Supervisor, supervise

pytestmark = pytest.mark.anyio

ASKERS = 20
ASKS = 15
WITHIN_S = 3.0
NEVER_TOO_MANY = RestartPolicy(restarts_max=100_000, delay_s=0.05, delay_s_max=0.4)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Work(Request[int], frozen=True):
    """Note the id; answered at once, later, or never."""

    id: int


class Worker(Actor[Work]):
    """Does what its dice say. What it has done is in `done`, which outlives it as a disk would."""

    def __init__(self, random: Random, done: Counter[int], alive: set[object]) -> None:
        self._random = random
        self._done = done
        self._alive = alive
        self._context: Context[Work]

    async def started(self, context: Context[Work]) -> None:
        assert not self._alive, "one life at a time"
        self._alive.add(self)
        self._context = context
        await anyio.sleep(self._random.random() / 10)

    async def stopped(self) -> None:
        self._alive.discard(self)

    async def receive(self, message: Work) -> int | Later:
        dice = self._random.random()
        if dice < 0.05:
            raise RuntimeError("before")
        await anyio.sleep(self._random.random() / 20)
        if dice < 0.10:
            raise Unavailable("not now", code="busy")
        self._done[message.id] += 1
        if dice < 0.15:
            raise RuntimeError("after")
        if dice < 0.20:
            await anyio.sleep(2 * WITHIN_S)
        if dice < 0.60:
            return message.id
        later = Later()
        self._context.spawn(lambda: self._answer(later, message.id))
        return later

    async def _answer(self, later: Later, number: int) -> None:
        dice = self._random.random()
        await anyio.sleep(dice)
        if dice < 0.02:
            raise RuntimeError("a child task")
        later.answer(number)


class Outcomes:
    def __init__(self) -> None:
        self.of: dict[int, RuninkError | int] = {}

    async def ask(self, ref: Ref[Work], number: int) -> None:
        assert number not in self.of
        began = anyio.current_time()
        try:
            self.of[number] = await ref.ask(Work(number), within=WITHIN_S)
        except RuninkError as error:
            self.of[number] = error
        assert anyio.current_time() - began <= WITHIN_S + 0.001

    def check(self, done: Counter[int]) -> None:
        assert len(self.of) == ASKERS * ASKS
        assert max(done.values()) == 1, "nothing is done twice: nothing is retried by itself"
        for number, outcome in self.of.items():
            match outcome:
                case int():
                    assert outcome == number
                    assert done[number] == 1
                case OutcomeUnknown() | TimedOut():
                    pass
                case Unavailable(code="busy" | "stopping") | LinkLost():
                    assert done[number] == 0
                case _:
                    raise outcome


async def storm(ref: Ref[Work], outcomes: Outcomes, random: Random) -> None:
    async def some(asker: int) -> None:
        for number in range(asker * ASKS, (asker + 1) * ASKS):
            await anyio.sleep(random.random())
            await outcomes.ask(ref, number)

    async with anyio.create_task_group() as group:
        for asker in range(ASKERS):
            group.start_soon(some, asker)


@asynccontextmanager
async def worker(
    random: Random, done: Counter[int], alive: set[object]
) -> AsyncIterator[tuple[Supervisor, Ref[Work]]]:
    async with supervise() as supervisor:
        spec = ChildSpec(
            "worker",
            lambda: Worker(random, done, alive),
            policy=NEVER_TOO_MANY,
            messages_max=random.randrange(1, 20),
        )
        yield supervisor, await supervisor.start(spec)
    assert not alive


@pytest.mark.parametrize("seed", range(12))
async def test_every_ask_has_one_true_outcome_whatever_crashes(seed: int):
    random = Random(seed)
    done: Counter[int] = Counter()
    outcomes = Outcomes()
    async with worker(random, done, set()) as (_, ref):
        await storm(ref, outcomes, random)
    outcomes.check(done)


@pytest.mark.parametrize("seed", range(6))
async def test_a_stop_in_the_middle_gives_every_ask_its_outcome(seed: int):
    random = Random(seed)
    done: Counter[int] = Counter()
    outcomes = Outcomes()
    async with worker(random, done, set()) as (supervisor, ref), anyio.create_task_group() as group:
        group.start_soon(storm, ref, outcomes, random)
        await anyio.sleep(random.random() * 15)
        await supervisor.stop("worker")
    outcomes.check(done)


@pytest.mark.parametrize("seed", range(6))
async def test_connections_that_break_in_the_middle_give_every_ask_its_outcome(
    seed: int, tmp_path: Path
):
    """Over real sockets, so bytes move in no virtual time; a new connection follows on each that is cut."""
    random = Random(seed)
    done: Counter[int] = Counter()
    outcomes = Outcomes()
    there, here = Directory("there"), Directory("here")
    async with worker(random, done, set()) as (_, local):
        there.serve(local, Work)
        async with serve_unix(tmp_path / "s", there), anyio.create_task_group() as group:

            async def connect_again() -> None:
                while True:  # ends with the storm
                    async with connect_unix(tmp_path / "s", directory=here):
                        await anyio.sleep(random.random() * 4)

            group.start_soon(connect_again)
            await storm(here.ref("runi://there/worker"), outcomes, random)
            group.cancel_scope.cancel()
    outcomes.check(done)
