"""Supervision: order of start and stop, escalation, and that no exception group reaches anybody."""

from __future__ import annotations

import anyio
import pytest
from runink.errors import Broken, Conflict, NotFound, OutcomeUnknown, Unavailable, WalCorrupt
from runink.runtime.actor import Context
from runink.runtime.supervisor import ChildSpec, RestartPolicy, supervise
from runtime_world import SOON, Crash, Diary, Hang, Put, Store, one_store

pytestmark = pytest.mark.anyio

NEVER = RestartPolicy(restarts_max=0)


class Named(Store):
    """Writes its name with what happens to it."""

    def __init__(self, name: str, diary: Diary) -> None:
        super().__init__(Diary())
        self._name = name
        self._shared = diary

    async def started(self, context: Context) -> None:
        self._shared.lines.append(f"{self._name} starts")
        await anyio.lowlevel.checkpoint()
        self._shared.lines.append(f"{self._name} started")

    async def stopped(self) -> None:
        self._shared.lines.append(f"{self._name} stops")
        await anyio.lowlevel.checkpoint()
        self._shared.lines.append(f"{self._name} stopped")


STARTED = ["a starts", "a started", "b starts", "b started"]
STOPPED = ["b stops", "b stopped", "a stops", "a stopped"]


async def test_children_start_in_order_and_stop_in_reverse():
    diary = Diary()
    async with supervise() as supervisor:
        for name in "ab":
            await supervisor.start(ChildSpec(name, lambda name=name: Named(name, diary)))
        assert diary.lines == STARTED
    assert diary.lines == STARTED + STOPPED


async def test_cancelling_the_body_stops_the_children_in_order_too():
    diary = Diary()
    with anyio.CancelScope() as scope:
        async with supervise() as supervisor:
            for name in "ab":
                await supervisor.start(ChildSpec(name, lambda name=name: Named(name, diary)))
            scope.cancel()
            await anyio.sleep_forever()
    assert diary.lines == STARTED + STOPPED


async def test_an_error_of_the_body_is_raised_as_it_is():
    diary = Diary()
    with pytest.raises(KeyError, match="mine"):  # noqa: PT012 - it is raised by the end of the block
        async with supervise() as supervisor:
            await supervisor.start(ChildSpec("a", lambda: Named("a", diary)))
            raise KeyError("mine")
    assert diary.lines[-1] == "a stopped"


async def test_one_crash_too_many_ends_the_supervisor_with_a_clear_error():
    diary = Diary()
    with pytest.raises(Broken, match="store crashed: RuntimeError: boom") as info:  # noqa: PT012 - it is raised by the end of the block
        async with one_store(
            lambda: Store(diary), policy=RestartPolicy(restarts_max=2, delay_s=0.001)
        ) as ref:
            for _ in range(3):
                with pytest.raises(OutcomeUnknown):
                    await ref.ask(Crash(), within=60)
            await anyio.sleep_forever()
    assert info.value.code == "actor_crashed"
    assert isinstance(info.value.__cause__, RuntimeError)
    assert diary.lines == ["started", "stopped"] * 3


async def test_an_error_of_ours_is_escalated_as_it_is_and_the_others_stop_in_order():
    diary = Diary()

    class Damaged(Store):
        async def receive(self, message: object) -> object:
            raise WalCorrupt("segment 3 is damaged", hint="restore a backup")

    with pytest.raises(WalCorrupt, match="segment 3"):  # noqa: PT012 - it is raised by the end of the block
        async with supervise() as supervisor:
            await supervisor.start(ChildSpec("a", lambda: Named("a", diary)))
            ref = await supervisor.start(ChildSpec("barn", Damaged, policy=NEVER))
            await supervisor.start(ChildSpec("b", lambda: Named("b", diary)))
            await ref.tell(Put("a"))
            await anyio.sleep_forever()
    assert diary.lines == STARTED + STOPPED


async def test_a_start_that_fails_is_raised_by_start_and_not_repeated():
    starts = 0

    class Damaged(Store):
        async def started(self, context: Context) -> None:
            nonlocal starts
            starts += 1
            raise WalCorrupt("damaged")

    async with supervise() as supervisor:
        with pytest.raises(WalCorrupt):
            await supervisor.start(ChildSpec("barn", Damaged))
        assert supervisor.statistics() == ()
    assert starts == 1


async def test_a_start_that_fails_because_something_is_away_is_repeated():
    starts = 0

    class Early(Store):
        async def started(self, context: Context) -> None:
            nonlocal starts
            starts += 1
            if starts < 3:
                raise Unavailable("the Barn is away")

    async with one_store(Early) as ref:
        assert await ref.ask(Put("a"), within=60) == 1
    assert starts == 3


async def test_a_child_is_cut_when_its_stop_takes_too_long():
    diary = Diary()
    async with (
        anyio.create_task_group() as group,
        one_store(lambda: Store(diary), stop_s_max=0.01) as ref,
    ):

        async def hang() -> None:
            with pytest.raises(OutcomeUnknown):
                await ref.ask(Hang(), within=60)

        async def unread() -> None:
            with pytest.raises(Unavailable) as info:
                await ref.ask(Put("a"), within=60)
            assert info.value.code == "stopping"

        group.start_soon(hang)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(unread)
        await anyio.wait_all_tasks_blocked()
    assert diary.lines == ["started", "hangs", "stopped"]


async def test_a_crash_while_stopping_is_raised_at_the_end():
    class BadEnd(Store):
        async def stopped(self) -> None:
            raise OSError("disk on fire")

    with pytest.raises(Broken, match="disk on fire"):
        async with one_store(BadEnd):
            pass


async def test_no_life_follows_while_stopping():
    diary = Diary()
    policy = RestartPolicy(delay_s=3600, delay_s_max=3600)
    async with one_store(lambda: Store(diary), policy=policy) as ref:
        with pytest.raises(OutcomeUnknown):
            await ref.ask(Crash(), within=60)
    assert diary.lines == ["started", "stopped"]


async def test_two_children_with_one_address_are_a_conflict_and_unknown_ones_are_not_found():
    async with supervise() as supervisor:
        await supervisor.start(ChildSpec("a", Store))
        with pytest.raises(Conflict):
            await supervisor.start(ChildSpec("a", Store))
        await supervisor.stop("a")
        with pytest.raises(NotFound):
            await supervisor.stop("a")
        await supervisor.start(ChildSpec("a", Store))


async def test_statistics_tell_what_waits_and_how_often_it_was_restarted():
    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("a", Store, policy=SOON, stop_s_max=0.01))
        with pytest.raises(OutcomeUnknown):
            await ref.ask(Crash(), within=60)
        await ref.ask(Put("a"), within=60)
        await ref.tell(Hang())
        await anyio.wait_all_tasks_blocked()
        await ref.tell(Put("b"))
        (child,) = supervisor.statistics()
        assert (child.address, child.waiting, child.restarts) == ("a", 1, 1)
