"""Rows that a run has written into files of nodes, as somebody sees them: fetched block by block, and read in confined processes, a few at a time.

    what may be too much                limit                     is told as
    processor time, and time            10 s, WITHIN_S            rows_too_long; node_away where it is the node that is waited for
    memory                              1 GiB                     rows_damaged
    what is fetched of a file           FETCHED_BYTES_MAX         rows_too_far
    how many at once                    AT_ONCE, others wait      overloaded, after WAIT_S

Where the kernel cannot confine a process nothing is read (`cannot_read`): `runi dead show` and the file itself are on the machine of the node.
What comes back is a stranger's word: it is decoded with its types, and is rows whatever it is.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import anyio.abc
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from runink.errors import Invalid, Overloaded, Refused, Unavailable, from_wire
from runink.sandbox.confining import absence
from runink.services.rows_job import BLOCK_BYTES, DAMAGED, LENGTH, Job, Rows

AT_ONCE: Final = 4
WAIT_S: Final = 10.0  # for one's turn
WITHIN_S: Final = 25.0  # a small file takes a third of a second
FETCHED_BYTES_MAX: Final = (
    32 << 20
)  # of one file, for one answer: a quarter of a million rows of text
SAID_BYTES_MAX: Final = 8 << 20
COMMAND: Final = (sys.executable, "-I", "-m", "runink.services.rows_child")
_ENVIRONMENT: Final = {"PATH": "/nowhere", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}

Fetch = Callable[[int], Awaitable[bytes]]


class FarRows:
    """Reads rows."""

    def __init__(self) -> None:
        self._turns = anyio.CapacityLimiter(AT_ONCE)

    async def read(self, job: Job, fetch: Fetch) -> Rows:
        """Return rows of a file, of which `fetch` returns what is there from an offset on, BLOCK_BYTES or up to its end.

        Raises Invalid (`rows_damaged`, `rows_too_far`, `rows_too_long`), Refused (`cannot_read`), Overloaded, Unavailable (`node_away`), and what `fetch` raises.
        """
        if why := absence():
            raise Refused(
                f"this member cannot confine what reads a file that steps have written: {why}",
                code="cannot_read",
                hint="read it on its node",
            )
        with anyio.move_on_after(WAIT_S) as waiting:
            await self._turns.acquire()
        if waiting.cancelled_caught:
            raise Overloaded("too many files are being read", hint="ask again in a while")
        try:
            found = await _answer(job, fetch)
        finally:
            self._turns.release()
        if found.refused is not None:
            error = from_wire(found.refused)
            raise error if isinstance(error, Invalid) else Invalid(error.text, code=DAMAGED)
        return found


async def _answer(job: Job, fetch: Fetch) -> Rows:
    said, node = b"", _Node(fetch)
    with anyio.move_on_after(WITHIN_S) as scope:
        async with await anyio.open_process(COMMAND, stderr=None, cwd="/", env=_ENVIRONMENT) as process:  # fmt: skip
            try:
                said = await _served(process, job, node)
            finally:  # it has said all that is heard of it
                if process.returncode is None:
                    process.kill()
    if scope.cancelled_caught and node.is_asked:
        raise Unavailable(f"the node of {job.sink.uri} answers too slowly", code="node_away", hint="ask again in a while")  # fmt: skip
    if scope.cancelled_caught or process.returncode == -signal.SIGXCPU:
        raise Invalid(f"{job.sink.uri} takes too long to read", code="rows_too_long")
    try:
        return msgspec.json.decode(said, type=Rows)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid(f"{job.sink.uri} cannot be read as {job.sink.format.value}", code=DAMAGED) from error  # fmt: skip


class _Node:
    """The node that has the file. `is_asked` while it has not answered."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self.is_asked = False

    async def fetch(self, offset: int) -> bytes:
        self.is_asked = True
        data = await self._fetch(offset)
        self.is_asked = False
        return data


async def _served(process: anyio.abc.Process, job: Job, node: _Node) -> bytes:
    """Give a process its job and what it asks for, and return what it says at its end; nothing if it ends before that, or says too much."""
    assert process.stdin is not None, "the process was opened with pipes"
    assert process.stdout is not None, "as above"
    heard = BufferedByteReceiveStream(process.stdout)
    left_bytes = job.bytes_max  # which it knows, and may have been led to forget
    try:
        await _give(process.stdin, msgspec.json.encode(job))
        while True:  # ends with its answer, or with the process
            (length,) = LENGTH.unpack(await heard.receive_exactly(LENGTH.size))
            if length > SAID_BYTES_MAX:
                return b""
            said = await heard.receive_exactly(length)
            if length != LENGTH.size:
                return said
            (number,) = LENGTH.unpack(said)
            left_bytes -= min(BLOCK_BYTES, job.size - number * BLOCK_BYTES)
            if number * BLOCK_BYTES >= job.size or left_bytes < 0:
                return b""
            await _give(process.stdin, await node.fetch(number * BLOCK_BYTES))
    except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
        return b""


async def _give(stream: anyio.abc.ByteSendStream, data: bytes) -> None:
    await stream.send(LENGTH.pack(len(data)) + data)
