"""Tell and ask within a process: order, backpressure, deadlines, and what is raised at whom."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from runink.errors import NotFound, OutcomeUnknown, Overloaded, TimedOut, Unavailable
from runink.runtime.actor import Actor
from runink.runtime.supervisor import ChildSpec, supervise
from runtime_world import Crash, Get, Hang, Keep, Promise, Put, Store, one_store

pytestmark = pytest.mark.anyio


class Log(Actor[int]):
    """Writes down what it is told, once the gate is open."""

    def __init__(self, seen: list[int], gate: anyio.Event) -> None:
        self._seen = seen
        self._gate = gate

    async def receive(self, message: int) -> None:
        await self._gate.wait()
        self._seen.append(message)


async def test_an_ask_returns_what_receive_returns():
    async with one_store() as ref:
        assert await ref.ask(Put("a", b"1"), within=60) == 1
        assert await ref.ask(Get("a"), within=60) == b"1"


async def test_a_refusal_is_raised_at_the_asker_and_the_actor_lives_on():
    async with one_store() as ref:
        await ref.tell(Put("a", b"1"))
        with pytest.raises(NotFound, match="no key b"):
            await ref.ask(Get("b"), within=60)
        assert await ref.ask(Get("a"), within=60) == b"1"


async def test_a_told_request_that_is_refused_harms_nobody():
    async with one_store() as ref:
        await ref.tell(Put("a", b"1"))
        await ref.tell(Get("b"))
        assert await ref.ask(Get("a"), within=60) == b"1"


async def test_a_crash_answers_outcome_unknown():
    async with one_store() as ref:
        with pytest.raises(OutcomeUnknown, match="store ended while it held the request"):
            await ref.ask(Crash(), within=60)


async def test_unread_messages_outlive_a_crash():
    async with one_store() as ref:
        await ref.tell(Crash())
        await ref.tell(Put("a"))  # both are in the mailbox when the actor crashes
        assert await ref.ask(Put("b"), within=60) == 2


async def test_messages_of_one_sender_are_received_in_order_also_when_it_waits_for_room():
    seen: list[int] = []
    gate = anyio.Event()
    gate.set()
    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("log", lambda: Log(seen, gate), messages_max=3))
        for number in range(100):
            await ref.tell(number)
    assert seen == list(range(100))


async def test_a_full_mailbox_makes_tell_wait_and_tell_nowait_fail():
    seen: list[int] = []
    gate = anyio.Event()
    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("log", lambda: Log(seen, gate), messages_max=2))
        for number in range(3):  # one is being received
            await ref.tell(number)
            await anyio.wait_all_tasks_blocked()
        with pytest.raises(Overloaded):
            ref.tell_nowait(99)
        async with anyio.create_task_group() as group:
            group.start_soon(ref.tell, 3)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Overloaded):  # nobody overtakes who waits
                ref.tell_nowait(99)
            gate.set()
    assert seen == [0, 1, 2, 3]


async def test_a_cancelled_tell_that_waited_for_room_is_not_delivered():
    seen: list[int] = []
    gate = anyio.Event()
    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("log", lambda: Log(seen, gate), messages_max=1))
        await ref.tell(0)
        await anyio.wait_all_tasks_blocked()
        await ref.tell(1)
        async with anyio.create_task_group() as group:
            group.start_soon(ref.tell, 2)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        gate.set()
    assert seen == [0, 1]


async def test_an_ask_ends_at_its_deadline():
    async with one_store(stop_s_max=0.01) as ref:
        with pytest.raises(TimedOut, match=r"store did not answer Hang within 0\.01 s"):
            await ref.ask(Hang(), within=0.01)


async def test_a_request_whose_asker_has_left_is_not_begun():
    gate = anyio.Event()

    class Gated(Store):
        async def receive(self, message: object) -> object:
            await gate.wait()
            return await super().receive(message)

    async with one_store(Gated) as ref:
        await ref.tell(Put("first"))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(TimedOut):
            await ref.ask(Put("never"), within=0.001)
        gate.set()
        with pytest.raises(NotFound):
            await ref.ask(Get("never"), within=60)


async def test_an_answer_may_come_later_or_have_come_already():
    class Eager(Store):
        async def receive(self, message: object) -> object:
            later = await super().receive(message)
            if isinstance(message, Promise) and message.name == "kept at once":
                self.promised[message.name].answer("already")
                self.promised[message.name].answer("twice")
            return later

    async with one_store(Eager) as ref:
        assert await ref.ask(Promise("kept at once"), within=60) == "already"
        async with anyio.create_task_group() as group:

            async def hear() -> None:
                assert await ref.ask(Promise("a"), within=60) == "yes"

            group.start_soon(hear)
            await anyio.wait_all_tasks_blocked()
            await ref.ask(Keep("a", "yes"), within=60)


async def test_an_answer_for_an_asker_that_has_left_is_dropped():
    async with one_store() as ref:
        with pytest.raises(TimedOut):
            await ref.ask(Promise("a"), within=0.01)
        await ref.ask(Keep("a", "too late"), within=60)


async def test_a_promise_that_is_not_kept_is_answered_when_the_actor_crashes():
    async with one_store() as ref, anyio.create_task_group() as group:

        async def hear() -> None:
            with pytest.raises(OutcomeUnknown):
                await ref.ask(Promise("a"), within=60)

        group.start_soon(hear)
        await anyio.wait_all_tasks_blocked()
        await ref.tell(Crash())


async def test_a_promise_that_is_not_kept_is_answered_when_the_actor_stops():
    async with anyio.create_task_group() as group, one_store() as ref:

        async def hear() -> None:
            with pytest.raises(Unavailable) as info:
                await ref.ask(Promise("a"), within=60)
            assert info.value.code == "stopping"

        group.start_soon(hear)
        await anyio.wait_all_tasks_blocked()


async def test_who_is_stopped_says_so():
    async with one_store() as ref:
        pass
    for attempt in (ref.tell(Put("a")), ref.ask(Put("a"), within=60)):
        with pytest.raises(Unavailable) as info:
            await attempt
        assert info.value.code == "stopping"
    with pytest.raises(Unavailable, match="store is stopping"):
        ref.tell_nowait(Put("a"))


async def test_a_busy_actor_lets_others_have_their_turn():
    turns = 0

    class Chatter(Actor[int]):
        """Never waits, and tells itself the next message."""

        async def started(self, context) -> None:
            self.me = context.me

        async def receive(self, message: int) -> None:
            if message:
                self.me.tell_nowait(message - 1)

    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("chatter", Chatter))
        await ref.tell(10_000)
        while len(ref._mailbox):
            turns += 1
            await anyio.lowlevel.checkpoint()
    assert turns > 50
