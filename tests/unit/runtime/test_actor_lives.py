"""Lives of an actor: how they begin, what ends them, what follows."""

from __future__ import annotations

import anyio
import pytest
from runink.errors import OutcomeUnknown, Unavailable
from runink.runtime.actor import Actor, Context, Request
from runink.runtime.envelope import TRACEPARENT
from runink.runtime.supervisor import ChildSpec, Restart, supervise
from runtime_world import SOON, Crash, Diary, Finish, Get, Hang, Put, Spawn, Store, one_store

pytestmark = pytest.mark.anyio


async def test_stopped_runs_after_every_life():
    diary = Diary()
    async with one_store(lambda: Store(diary)) as ref:
        with pytest.raises(OutcomeUnknown):
            await ref.ask(Crash(), within=60)
        await ref.ask(Put("a"), within=60)
    assert diary.lines == ["started", "stopped", "started", "stopped"]


async def test_every_life_begins_from_a_new_object():
    async with one_store() as ref:
        await ref.tell(Put("a"))
        await ref.tell(Crash())
        assert await ref.ask(Put("b"), within=60) == 1


async def test_a_stop_receives_what_is_in_the_mailbox_and_turns_away_what_waits_before_it():
    diary = Diary()
    seen: list[str] = []

    class Slow(Store):
        async def receive(self, message: Put) -> None:
            await diary.gate.wait()
            seen.append(message.key)

    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("slow", lambda: Slow(diary), messages_max=2))
        for key in "abc":
            await ref.tell(Put(key))
            await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as group:

            async def too_late() -> None:
                with pytest.raises(Unavailable) as info:
                    await ref.tell(Put("d"))
                assert info.value.code == "stopping"

            group.start_soon(too_late)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(supervisor.stop, "slow")
            await anyio.wait_all_tasks_blocked()
            diary.gate.set()
    assert seen == ["a", "b", "c"]
    assert diary.lines == ["started", "stopped"]


async def test_child_tasks_are_cancelled_before_stopped_runs():
    diary = Diary()
    async with one_store(lambda: Store(diary)) as ref:
        await ref.ask(Spawn(), within=60)
        await anyio.wait_all_tasks_blocked()
    assert diary.lines == ["started", "child cancelled", "stopped"]


async def test_a_child_tasks_crash_is_the_actors():
    diary = Diary()
    async with one_store(lambda: Store(diary)) as ref:
        await ref.ask(Spawn(), within=60)
        async with anyio.create_task_group() as group:

            async def hang() -> None:
                with pytest.raises(OutcomeUnknown):
                    await ref.ask(Hang(), within=60)

            group.start_soon(hang)
            await anyio.wait_all_tasks_blocked()
            diary.gate.set()
        assert await ref.ask(Put("a"), within=60) == 1
    assert diary.lines == ["started", "hangs", "stopped", "started", "stopped"]


async def test_a_child_task_that_tells_an_actor_that_stops_is_no_crash():
    class Ticking(Store):
        async def started(self, context: Context) -> None:
            await super().started(context)
            context.spawn(self._tick)

        async def _tick(self) -> None:
            while True:
                await self.context.me.tell(Put("tick"))
                await anyio.lowlevel.checkpoint()

    diary = Diary()
    async with one_store(lambda: Ticking(diary)) as ref:
        await ref.ask(Put("a"), within=60)
    assert diary.lines == ["started", "stopped"]


async def test_a_refusal_of_what_cannot_be_answered_is_a_crash():
    class Tick:
        pass

    diary = Diary()

    class Ticked(Store):
        async def receive(self, message: object) -> object:
            if isinstance(message, Tick):
                raise Unavailable("the Barn is away")
            return await super().receive(message)

    async with one_store(lambda: Ticked(diary)) as ref:
        await ref.tell(Tick())
        await ref.ask(Put("a"), within=60)
    assert diary.lines == ["started", "stopped", "started", "stopped"]


async def test_an_answer_raised_in_a_task_group_of_receive_is_still_an_answer():
    class Grouped(Store):
        async def receive(self, message: object) -> object:
            async def refuse() -> None:
                raise Unavailable("later", code="busy")

            async with anyio.create_task_group() as group:
                group.start_soon(refuse)

    diary = Diary()
    async with one_store(lambda: Grouped(diary)) as ref:
        with pytest.raises(Unavailable) as info:
            await ref.ask(Get("a"), within=60)
        assert info.value.code == "busy"
    assert diary.lines == ["started", "stopped"]


async def test_a_permanent_actor_that_finishes_begins_anew_and_a_transient_one_is_over():
    for restart, lives in ((Restart.PERMANENT, 2), (Restart.TRANSIENT, 1), (Restart.TEMPORARY, 1)):
        diary = Diary()
        async with supervise() as supervisor:
            spec = ChildSpec("store", lambda diary=diary: Store(diary), restart, SOON)
            ref = await supervisor.start(spec)
            await ref.ask(Finish(), within=60)
            if lives == 2:
                assert await ref.ask(Put("a"), within=60) == 1
            else:
                with pytest.raises(Unavailable):
                    await ref.ask(Put("a"), within=60)
        assert diary.lines == ["started", "stopped"] * lives, restart


async def test_a_temporary_actor_that_crashes_is_over_and_ends_nobody_else():
    async with supervise() as supervisor:
        spec = ChildSpec("job", Store, Restart.TEMPORARY)
        job = await supervisor.start(spec)
        other = await supervisor.start(ChildSpec("store", Store))
        with pytest.raises(OutcomeUnknown):
            await job.ask(Crash(), within=60)
        with pytest.raises(Unavailable):
            await job.ask(Put("a"), within=60)
        assert await other.ask(Put("a"), within=60) == 1
        assert [child.address for child in supervisor.statistics()] == ["store"]


async def test_an_error_in_stopped_does_not_hide_the_crash_before_it():
    class Twice(Store):
        async def stopped(self) -> None:
            raise ValueError("stopped failed")

    with pytest.raises(Unavailable, match="first") as info:  # noqa: PT012 - it is raised by the end of the block
        async with supervise() as supervisor:

            class Failing(Twice):
                async def started(self, context: Context) -> None:
                    raise Unavailable("first")

            spec = ChildSpec("store", Failing, policy=SOON)
            await supervisor.start(spec)
    assert "stopped failed" in info.value.__notes__[0]


async def test_a_message_is_received_in_the_trace_of_its_sender():
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"

    class Where(Request[str], frozen=True):
        pass

    class Traced(Actor[Where]):
        async def receive(self, _: Where) -> str:
            return TRACEPARENT.get()

    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("traced", Traced))
        assert await ref.ask(Where(), within=60) == ""
        token = TRACEPARENT.set(parent)
        assert await ref.ask(Where(), within=60) == parent
        TRACEPARENT.reset(token)
        assert await ref.ask(Where(), within=60) == ""
