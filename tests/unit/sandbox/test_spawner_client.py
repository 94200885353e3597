"""The agent's side of the spawner, with a test at the other end of the connection."""

from __future__ import annotations

import os
import resource
import socket
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
import trio
import trio.testing
from client_world import (
    ASKED,
    EXITED,
    FOUND,
    SEALED,
    FakeSpawner,
    connected,
    launched,
    open_count,
)
from runink.errors import Conflict, LinkLost, NotFound, Overloaded, Refused, TimedOut, Unavailable
from runink.sandbox import client, protocol
from runink.sandbox.client import Bind, ForkServerReady, SliceWanted, spawner_over
from runink.sandbox.protocol import (
    DATA_DESCRIPTORS_MAX,
    TO_AGENT,
    TO_SPAWNER,
    Done,
    Kill,
    List,
    Listed,
    Release,
    Signal,
    Welcome,
)

pytestmark = pytest.mark.anyio


async def test_a_launch_is_answered_with_descriptors_that_do_not_block():
    async with connected() as (spawner, fake), anyio.create_task_group() as group:

        async def serve():
            request, launch = await fake.asked()
            assert launch == ASKED
            fake.start(request, "a")

        group.start_soon(serve)
        one = await launched(spawner)
        assert (one.slice, one.attempt, one.sealed) == ("a", 1, SEALED)
        assert one.pid == spawner.pid == os.getpid(), "as this process sees what the pidfds lead to"
        assert not one.control.getblocking()
        assert not os.get_blocking(one.stdout)
        assert not os.get_blocking(one.stderr)
        one.close()


async def test_a_launch_brings_its_job_then_its_pipes_then_what_it_is_to_be_shown():
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        files = [os.memfd_create(name) for name in ("pipe", "folder", "file")]
        wanted = SliceWanted(
            "a",
            1,
            "herd",
            b"job",
            "/",
            descriptors=files[:1],
            binds=[
                Bind("/folder", files[1], is_writable=True),
                Bind("/file", files[2], is_writable=False),
            ],
            cpu_m=500,
            memory_bytes=1 << 30,
            processes=10,
            scratch_bytes=1 << 20,
            network="egress",
            network_policy="{}",
            without=["isolation"],
            cpu_weight=50,
            herd_cpu_m=2000,
            herd_memory_bytes=2 << 30,
        )
        group.start_soon(spawner.launch, wanted)
        await anyio.wait_readable(fake.link)
        (((_, launch), (job, *rest)),) = fake.packets()
        assert launch == ASKED._replace(
            pipes=1,
            binds=[["/folder", "rw"], ["/file", "ro"]],
            cpu_m=500,
            memory_bytes=1 << 30,
            processes=10,
            scratch_bytes=1 << 20,
            network="egress",
            network_policy="{}",
            without=["isolation"],
            cpu_weight=50,
            herd_cpu_m=2000,
            herd_memory_bytes=2 << 30,
        )
        assert os.pread(job, 10, 0) == b"job"
        assert [os.fstat(one).st_ino for one in rest] == [os.fstat(one).st_ino for one in files]
        for descriptor in (*files, job, *rest):
            os.close(descriptor)
        group.cancel_scope.cancel()


async def test_a_welcome_says_what_the_spawner_has_found_out():
    async with connected() as (spawner, _):
        assert spawner.found == FOUND


@pytest.mark.parametrize("count", [0, 2])
async def test_a_welcome_without_the_spawners_process_is_not_understood(count):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs:
        fake = FakeSpawner(theirs, TO_AGENT, TO_SPAWNER)
        memory = os.memfd_create("welcome")
        welcome = Welcome(protocol.VERSION, {}, {})
        fake.answer(welcome, request=1, descriptors=[memory] * count)
        os.close(memory)
        with pytest.raises(LinkLost, match="not understood"):
            async with spawner_over(ours, agent="test"):
                pass
    assert ours.fileno() == -1
    assert _held("welcome") == 0, "what came with it is closed"


def _held(name):
    """Return how many descriptors of memory of this name we have."""
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            count += name in str(path.readlink())
    return count


@pytest.mark.parametrize("when", ["before its start", "after its start"])
async def test_a_launch_that_is_given_up_ends_its_slice_and_nobody_hears_of_it(when):
    async with connected() as (spawner, fake):
        async with anyio.create_task_group() as group:
            group.start_soon(launched, spawner)
            request, _ = await fake.asked()
            if when == "after its start":
                # The answer is there, but the cancellation comes before the asker has its turn.
                fake.start(request, "a")
            group.cancel_scope.cancel()
        if when == "before its start":
            fake.start(request, "a")
        number, message = await fake.asked()
        assert message == Kill("a")
        fake.answer(Done(), request=number)
        number, message = await fake.asked()
        assert message == Release("a")
        fake.answer(Done(), request=number)
        fake.answer(EXITED)
        fake.answer(EXITED._replace(slice="b"))
        assert (await anext(spawner.events())).slice == "b"


async def test_a_launch_that_we_have_no_descriptors_for_is_undone_and_the_connection_stays():
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)

        async def serve():
            request, _ = await fake.asked()
            fake.start(request, "a")
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))
            request, message = await fake.asked()
            assert message == Kill("a")
            fake.answer(Done(), request=request)
            request, message = await fake.asked()
            assert message == Release("a")
            fake.answer(Done(), request=request)

        group.start_soon(serve)
        try:
            with pytest.raises(Overloaded) as overloaded:
                await launched(spawner)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert overloaded.value.code == "no_descriptors"
        assert not spawner.has_ended


async def test_refusals_are_the_errors_that_a_caller_acts_on():
    kinds = {
        "no_slice": NotFound,
        "slice_exists": Conflict,
        "too_many_slices": Overloaded,
        "fork_server_lost": Unavailable,
        "launch_timed_out": TimedOut,
        "slice_not_prepared": Refused,
        "something_new": Refused,
    }
    async with connected() as (spawner, fake), anyio.create_task_group() as group:

        async def serve():
            for code in kinds:
                request, _ = await fake.asked()
                fake.answer(protocol.Refused(code, "because"), request=request)

        group.start_soon(serve)
        for code, kind in kinds.items():
            with pytest.raises(kind, match="slice a: because") as refused:
                await launched(spawner)
            assert refused.value.code == code


async def test_mistakes_that_are_seen_here_are_not_sent():
    async with connected() as (spawner, fake):
        with pytest.raises(Refused) as refused:
            await launched(spawner, descriptors=[0] * (DATA_DESCRIPTORS_MAX + 1))
        assert refused.value.code == "descriptor_count"
        with pytest.raises(Refused) as refused:
            await launched(spawner, environment={"A": "x" * 100_000})
        assert refused.value.code == "too_big"
        assert fake.heard() == []


async def test_a_list_that_is_given_up_leaves_no_descriptor():
    before = open_count()
    async with connected() as (spawner, fake):
        async with anyio.create_task_group() as group:
            group.start_soon(spawner.list)
            request, message = await fake.asked()
            assert message == List()
            null = os.open("/dev/null", os.O_RDONLY)
            ours, theirs = socket.socketpair()
            kept = [ours.fileno(), null, null, null]
            for _ in range(3):
                fake.answer(Listed("a", 1, SEALED, ended=False), request=request, descriptors=kept)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        fake.answer(Listed("a", 1, SEALED, ended=False), request=request, descriptors=kept)
        fake.answer(EXITED)  # behind it: when this is here, that was dealt with
        assert await anext(spawner.events()) == EXITED
        os.close(null)
        ours.close()
        theirs.close()
    assert open_count() == before


async def test_events_wait_for_their_reader_and_survive_the_connection():
    async with connected() as (spawner, fake):
        told = [EXITED._replace(slice=str(number)) for number in range(500)]
        for event in told:
            fake.answer(event)
        fake.answer(ForkServerReady(1, [], [], 0, ""))
        await fake.flushed()
        fake.link.close()
        await spawner.wait_ended()
        events = spawner.events()
        heard = [await anext(events) for _ in range(len(told) + 1)]
        with pytest.raises(LinkLost):
            await anext(events)
        assert heard == [*told, ForkServerReady(1, [], [], 0, "")]
        with pytest.raises(LinkLost):
            await spawner.kill("a")


async def test_events_that_nobody_reads_hold_the_spawner_up_and_are_not_lost(monkeypatch):
    monkeypatch.setattr(client, "EVENTS_MAX", 10)
    async with connected() as (spawner, fake):
        for number in range(300):
            fake.answer(EXITED._replace(slice=str(number)))
        async with anyio.create_task_group() as group:
            group.start_soon(fake.flushed)
            await anyio.wait_all_tasks_blocked()
            events = spawner.events()
            heard = [(await anext(events)).slice for _ in range(300)]
        assert heard == [str(number) for number in range(300)]


async def test_whoever_waits_for_an_event_hears_that_we_have_parted():
    async with connected() as (spawner, _), anyio.create_task_group() as group:
        heard = []

        async def hear():
            heard.extend([event async for event in spawner.events()])
            heard.append("end")

        group.start_soon(hear)
        await anyio.wait_all_tasks_blocked()
        await spawner.aclose()
        with pytest.raises(LinkLost):
            await spawner.list()
        await anyio.wait_all_tasks_blocked()
        assert heard == ["end"]


async def test_what_is_asked_while_the_spawner_dies_is_lost():
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        lost = []

        async def ask():
            with pytest.raises(LinkLost):
                await spawner.kill("a")
            lost.append(1)

        for _ in range(5):
            group.start_soon(ask)
        await fake.all_asked(5)
        fake.link.close()
        with anyio.fail_after(60):
            while len(lost) < 5:
                await anyio.lowlevel.checkpoint()


async def test_a_spawner_that_is_not_understood_is_parted_from():
    async with connected() as (spawner, fake):
        fake.link.send(b"garbage")
        await spawner.wait_ended()
        with pytest.raises(LinkLost, match="not understood"):
            await spawner.kill("a")


async def test_more_requests_than_the_socket_holds_are_all_answered():
    count = 600
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        answers = []

        async def ask():
            answers.append(await spawner.signal("a" * 200, 15))

        for _ in range(count):
            group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        for request, message in await fake.all_asked(count):
            assert message == Signal("a" * 200, 15)
            fake.answer(Done(), request=request)
        await fake.flushed()
    assert answers == [True] * count


async def test_an_error_in_the_body_comes_out_as_it_is():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    FakeSpawner(theirs, TO_AGENT, TO_SPAWNER).welcome(1)
    with theirs:
        with pytest.raises(ZeroDivisionError):
            async with spawner_over(ours, agent="test") as spawner:
                divmod(1, 0)
        assert spawner.has_ended


def test_a_spawner_that_does_not_answer_is_not_waited_for_for_ever():
    async def ask():
        async with connected() as (spawner, fake):
            for wait, seconds in [
                (spawner.kill("a"), client.ANSWER_S),
                (spawner.preload(["polars"]), client.PRELOAD_S),
                (launched(spawner), client.LAUNCH_S),
            ]:
                before = trio.current_time()
                with pytest.raises(TimedOut):
                    await wait
                assert trio.current_time() - before == seconds
            assert len(fake.heard()) == 3

    trio.run(ask, clock=trio.testing.MockClock(autojump_threshold=0.01))


def test_a_launch_that_waits_for_others_is_not_out_of_time_though_all_of_them_take_long():
    more = 8

    async def ask():
        async with connected() as (spawner, fake), trio.open_nursery() as nursery:
            names = [f"s{number}" for number in range(client.LAUNCHES_MAX + more)]
            begun = []

            async def launch(name):
                one = await spawner.launch(SliceWanted(name, 1, "herd", b"job", "/"))
                begun.append(one.slice)
                one.close()

            for name in names:
                nursery.start_soon(launch, name)
            for count in (client.LAUNCHES_MAX, more):
                await trio.sleep(client.LAUNCH_S - 1)
                asked = fake.heard()
                assert len(asked) == count
                for request, asks in asked:
                    fake.start(request, asks.slice)
            await trio.sleep(1)
            assert sorted(begun) == sorted(names)

    trio.run(ask, clock=trio.testing.MockClock(autojump_threshold=0.01))
