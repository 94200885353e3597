"""Projects that came as bundles, compiled beside the control plane: in confined processes, with limits, a few at a time.

    what may be too much            limit                      is told as
    processor time                  10 s                       compile_too_long
    time                            WITHIN_S                   compile_too_long
    memory                          1 GiB                      compile_too_large
    what is made                    MADE_BYTES_MAX             compile_too_large
    how many at once                AT_ONCE, others wait       overloaded, after WAIT_S

Where the kernel cannot confine a process nothing is compiled (`cannot_compile`): who deploys by `runi` compiles on the machine where that runs.
What comes back is a stranger's word: it is decoded with its types, and the pipeline is looked through as any that a program sends.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, Protocol

import anyio
import anyio.abc
import anyio.to_thread
import msgspec

from runink.bundles import Bundle, unpack
from runink.errors import Invalid, Overloaded, Refused, RuninkError, from_wire
from runink.projects import MARK
from runink.sandbox.confining import absence
from runink.services.compile_child import Job, Made

AT_ONCE: Final = 2
WAIT_S: Final = 20.0  # for one's turn
WITHIN_S: Final = 20.0  # a common project takes half a second
MADE_BYTES_MAX: Final = 8 << 20  # a large pipeline has some hundred kilobytes
TOLD_BYTES_MAX: Final = 64 << 10  # of what it says on standard error
TOLD_LINES: Final = 5
_CHUNK_BYTES: Final = 64 << 10
_ENVIRONMENT: Final = {"PATH": "/nowhere", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


class Compile(Protocol):
    async def __call__(self, bundle: Bundle, job: Job) -> Made:
        """Return what is made of a project. Raises Invalid with what is wrong in it, Refused, Unavailable."""
        ...


class Confined:
    """Compiles in confined processes."""

    def __init__(self) -> None:
        self._turns = anyio.CapacityLimiter(AT_ONCE)

    async def __call__(self, bundle: Bundle, job: Job) -> Made:
        if why := absence():
            raise Refused(
                f"this member cannot confine what it would have to run to compile a project: {why}",
                code="cannot_compile",
                hint="runi deploy, runi pipeline push and runi contract publish compile where they run",
            )
        with anyio.move_on_after(WAIT_S) as waiting:
            await self._turns.acquire()
        if waiting.cancelled_caught:
            raise Overloaded("too many projects are being compiled", hint="ask again in a while")
        try:
            return await self._made(bundle, job)
        finally:
            self._turns.release()

    async def _made(self, bundle: Bundle, job: Job) -> Made:
        place = Path(await anyio.to_thread.run_sync(partial(tempfile.mkdtemp, prefix="runink-")))
        try:
            root = await anyio.to_thread.run_sync(_laid_out, bundle, place)
            found = _read(await _answer(root, job))
        finally:
            with anyio.CancelScope(shield=True):  # a thread that removes files, and ends
                await anyio.to_thread.run_sync(partial(shutil.rmtree, place, ignore_errors=True))
        if found.refused is not None:
            raise _as_refusal(from_wire(found.refused))
        return found


def _laid_out(bundle: Bundle, place: Path) -> Path:
    root = unpack(bundle, place)
    (root / MARK).touch()  # the project begins here, whatever lies above
    return root


async def _answer(root: Path, job: Job) -> bytes:
    command = [sys.executable, "-I", "-m", "runink.services.compile_child"]
    said, told = bytearray(), bytearray()
    with anyio.move_on_after(WITHIN_S) as scope:
        async with await anyio.open_process(command, cwd=root, env=_ENVIRONMENT) as process:
            try:
                async with anyio.create_task_group() as group:
                    assert process.stdout is not None, "the process was opened with pipes"
                    assert process.stderr is not None, "as above"
                    group.start_soon(_take, process, process.stdout, said, MADE_BYTES_MAX)
                    group.start_soon(_take, process, process.stderr, told, TOLD_BYTES_MAX)
                    await _give(process, msgspec.json.encode(job))
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
    if scope.cancelled_caught:
        raise _too_long()
    if len(said) > MADE_BYTES_MAX:
        raise Invalid(f"what is made of {job.file} is too large", code="compile_too_large")
    if process.returncode:
        _tell_end(process.returncode, bytes(told))
    return bytes(said)


async def _give(process: anyio.abc.Process, job: bytes) -> None:
    assert process.stdin is not None, "the process was opened with pipes"
    try:
        await process.stdin.send(job)
        await process.stdin.aclose()
    except anyio.BrokenResourceError:
        return  # it has ended, and how is told


async def _take(
    process: anyio.abc.Process, stream: anyio.abc.ByteReceiveStream, into: bytearray, most: int
) -> None:
    """Take what a process says, and end it when that is more than it may be."""
    async for chunk in stream:
        into += chunk
        if len(into) > most:
            process.kill()
            return


def _read(answer: bytes) -> Made:
    try:
        return msgspec.json.decode(answer, type=Made)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        text = f"what came back is nothing that a compiler makes: {error}"
        raise Invalid(text, code="compile_failed", hint="do the project's files end the process?") from error  # fmt: skip


def _as_refusal(error: RuninkError) -> RuninkError:
    """Return what the process says as a refusal, whatever it says: nothing in it is our failure, or is better asked again."""
    return error if isinstance(error, Refused) else Invalid(error.text, code="compile_failed")


def _too_long() -> Invalid:
    return Invalid(
        "the project takes too long to compile",
        code="compile_too_long",
        hint="what do its contracts' files do when they are imported?",
    )


def _tell_end(code: int, told: bytes) -> NoReturn:
    if code in {-signal.SIGXCPU, -signal.SIGKILL}:
        raise _too_long()
    lines = told.decode(errors="replace").splitlines()[-TOLD_LINES:]
    raise Invalid(
        "\n".join(["the compiler ended early", *lines]),
        code="compile_failed",
        hint="does a contract's file end the process when it is imported?",
    )
