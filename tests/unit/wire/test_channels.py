"""A slice's control socket: what the slice sends, the agent receives; nonsense is told from an end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import anyio
import msgspec
import pytest
from runink.errors import Invalid, LinkLost, ProtocolViolation
from runink.jobs import Done, NodeFacts, Progress, Report
from runink.wire.blocking import BlockingChannel
from runink.wire.channel import Channel
from runink.wire.codec import encode
from runink.wire.frames import frame

pytestmark = pytest.mark.anyio


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    agents, slices = socket.socketpair()
    agents.setblocking(False)
    yield agents, slices
    agents.close()
    slices.close()


async def received(channel: Channel) -> object:
    """Wait for the next value, or the end."""
    while True:
        try:
            return channel.receive_nowait()
        except BlockingIOError:
            await anyio.wait_readable(channel.descriptor)


async def test_reports_arrive_in_order_then_the_end(pair):
    agents, slices = pair
    channel = Channel(agents)
    sender = BlockingChannel(slices.fileno())
    reports = [Progress((NodeFacts("bronze", rows_in=3),)), Done()]
    for report in reports:
        sender.send(report)
    slices.close()
    assert [msgspec.convert(await received(channel), Report) for _ in reports] == reports
    assert await received(channel) is None
    channel.close()
    channel.close()


async def test_a_report_larger_than_the_sockets_buffer_passes_whole(pair):
    agents, slices = pair
    channel = Channel(agents)
    big = {"text": "x" * (3 << 20)}
    slices.setblocking(False)  # as it is when the descriptor is shared with a loop
    thread = threading.Thread(target=BlockingChannel(slices.fileno()).send, args=(big,))
    thread.start()
    assert await received(channel) == big
    thread.join()
    channel.close()


async def test_many_threads_send_whole_frames(pair):
    agents, slices = pair
    channel = Channel(agents)
    sender = BlockingChannel(slices.fileno())
    threads = [
        threading.Thread(target=lambda n=n: [sender.send([n, "x" * 10_000]) for _ in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    values = [await received(channel) for _ in range(80)]
    for thread in threads:
        thread.join()
    assert sorted(value[0] for value in values) == sorted(list(range(4)) * 20)
    channel.close()


async def test_a_frame_that_was_cut_by_its_writers_death_is_an_end(pair):
    agents, slices = pair
    slices.send(frame(encode([1])) + frame(encode("x" * 100))[:50])
    slices.close()
    channel = Channel(agents)
    assert await received(channel) == [1]
    assert await received(channel) is None
    channel.close()


@pytest.mark.parametrize("nonsense", [b"print me\n", b"\0\0\0\0", frame(b"\xc1"), frame(b"\1\2")])
async def test_nonsense_is_a_violation(pair, nonsense: bytes):
    agents, slices = pair
    slices.send(nonsense)
    channel = Channel(agents)
    with pytest.raises(ProtocolViolation):
        await received(channel)
    channel.close()


def test_where_nothing_has_come_yet_nobody_waits(pair):
    agents, slices = pair
    channel = Channel(agents)
    slices.send(frame(encode("x" * 100))[:50])
    with pytest.raises(BlockingIOError):
        channel.receive_nowait()
    channel.close()
    assert channel.descriptor == -1


def test_the_slice_is_told_that_the_agent_has_gone(pair):
    agents, slices = pair
    agents.close()
    with pytest.raises(LinkLost):
        BlockingChannel(slices.fileno()).send(Done())


def test_a_report_too_large_is_refused_and_the_next_one_passes(pair):
    agents, slices = pair
    sender = BlockingChannel(slices.fileno(), frame_bytes_max=1024)
    with pytest.raises(Invalid):
        sender.send("x" * 2000)
    sender.send("fits")
    assert agents.recv(100) == frame(encode("fits"))


def test_the_slices_end_loads_no_event_loop():
    code = "import sys, runink.wire.blocking; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=dict(os.environ),
    ).stdout.split()
    assert not {"anyio", "asyncio", "trio"} & set(loaded)
