"""The agent's use of cells that wait, with a test as spawner and as cell."""

from __future__ import annotations

import gc
import os
import socket

import anyio
import pytest
from client_world import EXITED, SEALED, connected, launched, open_count
from runink.errors import LinkLost, Refused, Unavailable
from runink.sandbox import places
from runink.sandbox.client import Bind, SliceWanted
from runink.sandbox.inner_protocol import INNER_FIELDS, TO_CELL, Assign
from runink.sandbox.packets import close_all, receive, understood
from runink.sandbox.places import PLACES_MAX
from runink.sandbox.protocol import (
    Begun,
    Done,
    Hold,
    Kill,
    Launch,
    Release,
    Take,
    Waiting,
    Withdrawn,
)
from runink.sandbox.protocol import Refused as Refusal

pytestmark = pytest.mark.anyio
CELL = 7
LIMITS = {"cpu_m": 0, "cpu_weight": 0, "memory_bytes": 0, "processes": 0, "io_bytes_per_s": 0}


def offer(fake, place=1, cell=CELL, **limits):
    """Offer a cell; return its end of the seat."""
    made = [*os.pipe(), *os.pipe()]
    control, other = socket.socketpair()
    seat, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    pidfd = os.pidfd_open(os.getpid())
    waiting = Waiting(cell, place, SEALED, **(LIMITS | limits))
    descriptors = [seat.fileno(), control.fileno(), made[0], made[2], pidfd]
    fake.answer(waiting, descriptors=descriptors)
    for one in (seat, control, other):
        one.close()
    close_all([*made, pidfd])
    return theirs


async def begun(spawner, fake, name="first", **changes):
    """Have a first slice at a place, so that the place has a number."""
    async with anyio.create_task_group() as group:

        async def serve():
            request, launch = await fake.asked()
            assert isinstance(launch, Launch)
            fake.start(request, name)

        group.start_soon(serve)
        (await launched(spawner, name, **changes)).close()


async def heard_out(spawner, fake):
    """Wait until the agent has taken in all that was said to it."""
    async with anyio.create_task_group() as group:

        async def serve():
            request, _ = await fake.asked()
            fake.answer(Done(), request=request)

        group.start_soon(serve)
        assert await spawner.list() == []


async def taken(fake, answer=None):
    """Answer a `take`; return it."""
    request, message = await fake.asked()
    assert isinstance(message, Take), message
    fake.answer(answer or Begun(), request=request)
    return message


def on(seat):
    """Return what is on a cell's seat: its environment, and the contents of its last descriptor."""
    packet = receive(seat)
    if packet is None:
        return None
    environment = {}
    if packet.body:
        environment = understood(packet, TO_CELL, INNER_FIELDS).message.environment
    job = os.pread(packet.descriptors[-1], 100, 0)
    close_all(packet.descriptors)
    return environment, job, len(packet.descriptors)


@pytest.mark.parametrize("environment", [{}, {"A": "b"}])
async def test_a_launch_where_a_cell_waits_is_put_on_its_seat(environment):
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        await begun(spawner, fake)
        with offer(fake) as seat:
            await heard_out(spawner, fake)
            takes = []

            async def serve():
                takes.append(await taken(fake))

            group.start_soon(serve)
            one = await launched(spawner, "b", environment=environment, wall_time_s=5.0)
            assert on(seat) == (environment, b"job", 1)
            assert takes == [Take("b", 1, CELL, 5.0)]
            assert (one.slice, one.attempt, one.sealed) == ("b", 1, SEALED)
            assert not one.control.getblocking()
            assert not os.get_blocking(one.stdout)
            assert on(seat) is None, "a cell serves one slice, and nobody else has its seat"
            one.close()


async def test_data_pipes_come_before_the_job():
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        pipe = os.memfd_create("pipe")
        await begun(spawner, fake)
        with offer(fake) as seat:
            await heard_out(spawner, fake)
            group.start_soon(taken, fake)
            (await launched(spawner, "b", descriptors=[pipe])).close()
            packet = receive(seat)
            assert os.fstat(packet.descriptors[0]).st_ino == os.fstat(pipe).st_ino
            assert os.pread(packet.descriptors[1], 10, 0) == b"job"
            close_all([*packet.descriptors, pipe])


@pytest.mark.parametrize(
    "changes", [{"cwd": "/tmp"}, {"herd": "h"}, {"scratch_bytes": 1}, {"network": "host"}]
)
async def test_a_launch_elsewhere_is_asked_for_and_its_place_has_another_number(changes):
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        await begun(spawner, fake)
        with offer(fake) as seat:
            await heard_out(spawner, fake)

            async def serve():
                request, launch = await fake.asked()
                assert launch.place == 2
                fake.start(request, "b")

            group.start_soon(serve)
            given = {"herd": "herd", "cwd": "/"} | changes
            (await spawner.launch(SliceWanted("b", 1, job=b"job", **given))).close()
            with pytest.raises(BlockingIOError):
                seat.recv(1)


async def test_a_place_is_what_is_shown_there_and_not_its_name(tmp_path):
    files = []
    for name in ("one", "two"):
        (tmp_path / name).touch()
        files.append(os.open(tmp_path / name, os.O_PATH))
    numbers = []
    async with connected() as (spawner, fake), anyio.create_task_group() as group:

        async def serve():
            for _ in range(4):
                request, launch = await fake.asked()
                numbers.append(launch.place)
                fake.start(request, launch.slice)

        group.start_soon(serve)
        for descriptor, is_writable in ((0, False), (1, False), (0, True), (0, False)):
            binds = [Bind("/shown", files[descriptor], is_writable)]
            (await launched(spawner, "a", binds=binds)).close()
    assert numbers == [1, 2, 3, 1]
    close_all(files)


async def test_a_cell_is_held_to_other_limits_before_its_slice_begins():
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        await begun(spawner, fake)
        with offer(fake, cpu_m=100) as seat:
            await heard_out(spawner, fake)

            async def serve():
                request, hold = await fake.asked()
                assert hold == Hold(CELL, 500, 0, 1 << 20, 0, 0, 1000, 0)
                with pytest.raises(BlockingIOError):
                    seat.recv(1)
                fake.answer(Done(), request=request)
                await taken(fake)

            group.start_soon(serve)
            limits = {"cpu_m": 500, "memory_bytes": 1 << 20, "herd_cpu_m": 1000}
            (await launched(spawner, "b", **limits)).close()
            assert on(seat) is not None


async def test_a_cell_that_is_gone_leaves_the_launch_to_the_spawner():
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        await begun(spawner, fake)
        offer(fake).close()
        await heard_out(spawner, fake)
        group.start_soon(begun_by_launch, fake)
        (await launched(spawner, "b")).close()


async def begun_by_launch(fake):
    request, launch = await fake.asked()
    assert isinstance(launch, Launch)
    fake.start(request, launch.slice)


@pytest.mark.parametrize("code", ["no_cell", "limits_unavailable"])
async def test_a_cell_that_cannot_be_held_to_limits_leaves_the_launch_to_the_spawner(code):
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        await begun(spawner, fake)
        with offer(fake, cpu_m=1) as seat:
            await heard_out(spawner, fake)

            async def serve():
                request, _ = await fake.asked()
                fake.answer(Refusal(code, "no"), request=request)
                await begun_by_launch(fake)

            group.start_soon(serve)
            (await launched(spawner, "b")).close()
            assert on(seat) is None


async def test_what_was_put_on_a_seat_is_never_launched_a_second_time():
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        await begun(spawner, fake)
        with offer(fake):
            await heard_out(spawner, fake)
            group.start_soon(taken, fake, Refusal("no_cell", "it does not wait"))
            with pytest.raises(Unavailable) as caught:
                await launched(spawner, "b")
            assert caught.value.code == "no_cell"
        _, message = await fake.asked()
        assert message == Kill("b")


async def test_a_launch_on_a_seat_that_is_given_up_ends_its_slice_and_nobody_hears_of_it():
    async with connected() as (spawner, fake):
        await begun(spawner, fake)
        with offer(fake):
            await heard_out(spawner, fake)
            async with anyio.create_task_group() as group:
                group.start_soon(launched, spawner, "b")
                request, _ = await fake.asked()
                group.cancel_scope.cancel()
            fake.answer(Begun(), request=request)
            for expected in (Kill, Release):
                number, message = await fake.asked()
                assert message == expected("b")
                fake.answer(Done(), request=number)
            fake.answer(EXITED._replace(slice="b"))
            fake.answer(EXITED._replace(slice="c"))
            async for event in spawner.events():
                assert event.slice == "c"
                break


async def test_cells_are_let_go_when_they_are_withdrawn_forgotten_or_the_connection_ends():
    gc.collect()  # of what other tests have left
    before = open_count()
    seats = []
    async with connected() as (spawner, fake), anyio.create_task_group() as group:
        await begun(spawner, fake)
        held = open_count()
        seats.append(offer(fake))
        fake.answer(Withdrawn(CELL))
        fake.answer(Withdrawn(CELL))
        await heard_out(spawner, fake)
        assert open_count() == held + 1
        seats.append(offer(fake, place=PLACES_MAX + 1))
        await heard_out(spawner, fake)
        assert open_count() == held + 2, "a place that nobody has heard of"
        seats.append(offer(fake))
        await heard_out(spawner, fake)
        for number in range(PLACES_MAX):
            group.start_soon(begun_by_launch, fake)
            (await launched(spawner, str(number), scratch_bytes=number)).close()
        assert open_count() == held + 3, "forgotten for others"
        seats.append(offer(fake, place=PLACES_MAX))
        await heard_out(spawner, fake)
    for seat in seats:
        assert receive(seat) is None
        seat.close()
    assert open_count() <= before


async def test_an_offer_without_all_that_belongs_to_it_is_not_understood():
    async with connected() as (spawner, fake):
        fake.answer(Waiting(CELL, 1, SEALED, **LIMITS))
        await spawner.wait_ended()
        with pytest.raises(LinkLost, match="not understood"):
            await launched(spawner)


async def test_an_assignment_that_is_no_message_is_refused_and_the_cell_let_go():
    async with connected() as (spawner, fake):
        await begun(spawner, fake)
        with offer(fake) as seat:
            await heard_out(spawner, fake)
            with pytest.raises(Refused):
                await launched(spawner, "b", environment={"A": "\ud800"})
            assert on(seat) is None


def test_one_cell_is_given_once():
    kept = places.Places()
    number = kept.number_of("here")
    assert kept.number_of("here") == number
    assert kept.take(number) is None
    assert Assign({}) == ({},)
