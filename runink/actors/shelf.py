"""The files that a node keeps for runs, for people elsewhere: the shelf reads them, on the node; the desk of files at each member hands on what is asked of a node.

A node connects to the members, and no member to a node: by that connection it is asked.  A member that the node is not connected to says so (`link_lost`), and
who asks goes on to another.  Nothing is read but plain files that lie in a run's own folders for logs and dead letters, and what `written` reads (`written_files.py`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from runink.actors.in_hand import InHand
from runink.actors.offload import Offload, in_thread
from runink.clients.node_files import (
    ANSWER_BYTES_MAX,
    AT_SINKS,
    FILES_MAX,
    SHELF,
    WAIT_S_MAX,
    FilePart,
    FileParts,
    ReadFiles,
    Wanted,
)
from runink.errors import Invalid, Unavailable
from runink.runtime.actor import Actor, Context, Later
from runink.runtime.ref import Ref

LOOK_S: Final = 0.2  # how late a line may be that somebody waits for
WITHIN_S: Final = 12.0  # longer than a node waits for news
IN_HAND_MAX: Final = 64  # requests at once; who is refused asks again
REFUSAL: Final = "too many files are read at once"

ReadWritten = Callable[[ReadFiles], Awaitable[FileParts]]


class Shelf(Actor[ReadFiles]):
    """One for a node. `runs` is the folder of all its runs' folders, `written` reads what sinks have written, where they have."""

    def __init__(self, runs: Path, written: ReadWritten, *, offload: Offload = in_thread) -> None:
        self._runs = runs
        self._written = written
        self._offload = offload
        self._in_hand = InHand(IN_HAND_MAX, REFUSAL)
        self._context: Context[ReadFiles]

    async def started(self, context: Context[ReadFiles]) -> None:
        self._context = context

    async def receive(self, message: ReadFiles) -> Later:
        return self._in_hand.take(self._context, partial(self._answer, message))

    async def _answer(self, request: ReadFiles) -> FileParts:
        _check(request)
        found = await self._read(request)
        with anyio.move_on_after(min(request.wait_s, WAIT_S_MAX)):
            while not found.parts:  # ends with news, or with the time
                await anyio.sleep(LOOK_S)
                found = await self._read(request)
        return found

    async def _read(self, request: ReadFiles) -> FileParts:
        folder = self._runs / request.run / request.kept.value
        try:
            if request.kept in AT_SINKS:
                return await self._written(request)
            found: FileParts = await self._offload(partial(read_parts, folder, request))
        except OSError as error:
            text = f"{folder} cannot be read: {error.strerror or error}"
            raise Unavailable(text, code="not_read") from error
        return found


class FileDesk(Actor[ReadFiles]):
    """One for a member. `shelf_of` returns what reaches a node's shelf, as far as it is connected here."""

    def __init__(self, shelf_of: Callable[[str], Ref[ReadFiles]]) -> None:
        self._shelf_of = shelf_of
        self._in_hand = InHand(IN_HAND_MAX, REFUSAL)
        self._context: Context[ReadFiles]

    async def started(self, context: Context[ReadFiles]) -> None:
        self._context = context

    async def receive(self, message: ReadFiles) -> Later:
        return self._in_hand.take(self._context, partial(self._answer, message))

    async def _answer(self, request: ReadFiles) -> FileParts:
        _check(request)
        shelf = self._shelf_of(f"runi://{request.node}/{SHELF}")
        return await shelf.ask(request, within=WITHIN_S)


def read_parts(folder: Path, request: ReadFiles) -> FileParts:
    """Return what the files of a folder hold beyond what was seen. One that is not there holds nothing. Raises OSError."""

    def read(one: Wanted, bytes_max: int) -> bytes:
        with opened(str(folder / one.name)) as file:
            return b"" if file is None else os.pread(file, bytes_max, one.offset)

    return parts_of(request, read)


def parts_of(request: ReadFiles, read: Callable[[Wanted, int], bytes]) -> FileParts:
    """Return what `read` gives of each file, so many bytes at most, as far as one answer takes it."""
    left = ANSWER_BYTES_MAX
    parts = []
    for one in request.files:
        data = read(one, left + 1)
        if len(data) > left:
            parts += [FilePart(one.name, one.offset, data[:left])] if left else []
            return FileParts(tuple(parts), is_all=False)
        left -= len(data)
        if data:
            parts.append(FilePart(one.name, one.offset, data))
    return FileParts(tuple(parts), is_all=True)


@contextmanager
def opened(path: str) -> Iterator[int | None]:
    """Yield a plain file's descriptor, nothing where there is none. Raises OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            yield None  # no such file, or none of ours
            return
        raise
    try:
        yield file if stat.S_ISREG(os.fstat(file).st_mode) else None
    finally:
        os.close(file)


def _check(request: ReadFiles) -> None:
    """Raise Invalid for names that lead elsewhere, or more than one request may have."""
    if len(request.files) > FILES_MAX:
        raise Invalid(f"{FILES_MAX} files at most are read at once", code="too_many_files")
    names = (request.node, request.run, request.herd or "-", *(one.name for one in request.files))
    for name in names:
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise Invalid(f"{name!r} is no name of a file that is kept", code="bad_name")
    if any(one.offset < 0 for one in request.files):
        raise Invalid("an offset is 0 or more", code="bad_name")
