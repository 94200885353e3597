"""A relay is a process beside its agent: it outlives that while it carries streams, and ends with it otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from barn_networks import Loopback
from runink.config import Address
from runink.errors import Refused
from runink.pipes.open import PipeEnds, open_pipe
from runink.relay.client import RelayClient, RelayPlace, running_relay
from runink.relay.protocol import Read, RelaySettings, Write
from runink.wire.stream_frames import TOKEN_BYTES

pytestmark = pytest.mark.anyio

TOKEN = bytes(TOKEN_BYTES)
SECRET = b"all of the cluster's nodes know it"
WAIT_S = 60.0


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def ports() -> Loopback:
    return Loopback()


@pytest.fixture
def pipes() -> Iterator[list[PipeEnds]]:
    made = [open_pipe(), open_pipe()]
    yield made
    for end in (end for ends in made for end in ends):
        try:
            os.close(end)
        except OSError:
            continue  # the test has closed it


def place(folder: Path, name: str, port: int, host: str = "127.0.0.1") -> RelayPlace:
    address = Address(host, port)
    settings = RelaySettings(name, str(address), secret=SECRET, orphan_s=WAIT_S)
    return RelayPlace(folder / f"{name}.sock", folder / f"{name}.log", address, settings)


async def has_ended(pid_of: Path) -> None:
    """Wait until nobody listens there any more."""
    with anyio.fail_after(WAIT_S):
        while any(str(pid_of) in line for line in Path("/proc/net/unix").read_text().splitlines()):  # noqa: ASYNC240 - the kernel's own list
            await anyio.lowlevel.checkpoint()


async def test_a_stream_goes_on_while_the_agents_of_both_sides_are_started_anew(
    tmp_path: Path, ports: Loopback, pipes: list[PipeEnds]
):
    one, other = place(tmp_path, "one", ports.port(1)), place(tmp_path, "other", ports.port(2))
    source, target = pipes
    async with running_relay(one) as writer, running_relay(other) as reader:
        to = other.address
        await writer.write(Write("edge", 1, TOKEN, to.host, to.host, to.port), source.read)
        await reader.read(Read("edge", 1, TOKEN), target.write)
    for end in (source.read, target.write):
        os.close(end)
    os.write(source.write, b"while nobody looks")
    await anyio.wait_readable(target.read)
    assert os.read(target.read, 100) == b"while nobody looks"
    async with running_relay(one), running_relay(other):
        os.write(source.write, b", and behind")
        os.close(source.write)
        await anyio.wait_readable(target.read)
        assert os.read(target.read, 100) == b", and behind"
        await anyio.wait_readable(target.read)
        assert os.read(target.read, 100) == b""
    for relay in (one, other):
        await has_ended(relay.socket)
        assert relay.log.read_text().count("relay started") == 1


async def test_a_relay_tells_each_agent_that_comes_what_it_has_carried(
    tmp_path: Path, ports: Loopback, pipes: list[PipeEnds]
):
    one, other = place(tmp_path, "one", ports.port(1)), place(tmp_path, "other", ports.port(2))
    source, target = pipes

    async def carried(relay: RelayClient) -> dict[str, float]:
        return {
            one.labels["direction"]: one.value
            for one in await relay.readings()
            if one.name == "runink_relay_bytes_total"
        }

    async with running_relay(one) as writer, running_relay(other) as reader:
        to = other.address
        await writer.write(Write("edge", 1, TOKEN, to.host, to.host, to.port), source.read)
        await reader.read(Read("edge", 1, TOKEN), target.write)
        os.write(source.write, b"some bytes")
        await anyio.wait_readable(target.read)
        assert await carried(writer) == {"out": 10, "in": 0}
        assert await carried(reader) == {"out": 0, "in": 10}
    assert await carried(writer) == {}, "an agent that has parted is told nothing"
    async with running_relay(one) as writer:
        assert await carried(writer) == {"out": 10, "in": 0}


async def test_a_relay_that_was_started_otherwise_makes_room(
    tmp_path: Path, ports: Loopback, pipes: list[PipeEnds]
):
    before, after = place(tmp_path, "one", ports.port(1)), place(tmp_path, "one", ports.port(2))
    source, _ = pipes
    async with running_relay(before) as writer:
        await writer.write(Write("edge", 1, TOKEN, "127.0.0.1", "127.0.0.1", 9), source.read)
    async with running_relay(after) as writer:
        assert writer.address == str(after.address)
    assert after.log.read_text().count("relay started") == 2


async def test_it_listens_nowhere_beyond_loopback_without_a_certificate(
    tmp_path: Path, ports: Loopback
):
    with pytest.raises(Refused) as refused:
        async with running_relay(place(tmp_path, "one", ports.port(1), host="0.0.0.0")):
            pass
    assert refused.value.code == "tls_required"
