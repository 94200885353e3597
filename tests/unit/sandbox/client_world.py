"""The agent's side of a connection to the spawner, with a test at the other end."""

from __future__ import annotations

import gc
import os
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from desk_world import Peer
from runink.capabilities import Told
from runink.sandbox import client, protocol
from runink.sandbox.client import Exited, SliceWanted, spawner_over
from runink.sandbox.protocol import TO_AGENT, TO_SPAWNER, Hello, Launch, Launched, Welcome

SEALED = {"isolation": "full"}
FOUND = Told({"landlock": "abi 6"}, {"seccomp": "why"})
ASKED = Launch(
    slice="a", attempt=1, herd="herd", cwd="/", environment={}, wall_time_s=0.0, pipes=0, binds=[],
    cpu_m=0, memory_bytes=0, processes=0, scratch_bytes=client.SCRATCH_BYTES, network="none",
    network_policy="", without=[], cpu_weight=0, herd_cpu_m=0, herd_memory_bytes=0, io_bytes_per_s=0, place=1,
)  # fmt: skip
EXITED = Exited("a", 1, "exited", 0, 0, 0.0, 0.0, 5, 3, 1, 0, 0, 0, 0, 0.0, 0.5, 0.0, 0)


class FakeSpawner(Peer):
    """Answers what the test says."""

    async def asked(self) -> tuple[int, object]:
        """Return the next request, which must be the only one that waits."""
        (found,) = await self.all_asked(1)
        return found

    async def all_asked(self, count: int) -> list[tuple[int, object]]:
        found = []
        while len(found) < count:
            await anyio.wait_readable(self.link)
            found += self.heard()
        return found

    def answer(self, message, *, request=0, descriptors=()):
        assert self.outbox.send(message, request=request, descriptors=descriptors)

    async def flushed(self):
        """Wait until all that was answered is on its way."""
        while not self.outbox.is_empty:
            await anyio.wait_writable(self.link)
            assert self.outbox.flush()

    def start(self, request, name):
        """Say that a slice has started, with descriptors of files of ours."""
        made = [*os.pipe(), *os.pipe()]
        control, other = socket.socketpair()
        pidfd = os.pidfd_open(os.getpid())
        kept = [control.fileno(), made[0], made[2], pidfd]
        self.answer(Launched(name, 1, SEALED), request=request, descriptors=kept)
        control.close()
        other.close()
        for descriptor in [*made, pidfd]:
            os.close(descriptor)

    def welcome(self, request):
        """Answer a hello, with a pidfd of this process."""
        pidfd = os.pidfd_open(os.getpid())
        welcome = Welcome(protocol.VERSION, *FOUND)
        self.answer(welcome, request=request, descriptors=[pidfd])
        os.close(pidfd)


@asynccontextmanager
async def connected():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    fake = FakeSpawner(theirs, TO_AGENT, TO_SPAWNER)

    async def welcome():
        request, hello = await fake.asked()
        assert hello == Hello(protocol.VERSION, "test")
        fake.welcome(request)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(welcome)
            async with spawner_over(ours, agent="test") as spawner:
                yield spawner, fake
    finally:
        theirs.close()


async def launched(spawner, name="a", **changes):
    return await spawner.launch(SliceWanted(name, 1, "herd", b"job", "/", **changes))


def open_count() -> int:
    gc.collect()  # what earlier tests have dropped in circles closes its own now, and not between two counts
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
