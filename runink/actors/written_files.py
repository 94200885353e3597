"""What a node's runs have written at their sinks, for people elsewhere: outputs and dead letters that are published, and dead letters that are kept aside. Only as they were prepared, and nothing else that may stand in their places by now.

A place is somebody else's folder, so its file is read only if it has the bytes that the run's record names (SHA-256): a link, another file or a later run's is none.  That is
looked up once for as long as the file stays as it is.  A large file takes time: each request looks through it for HASH_S and says how far that is (`being_checked`), and the next one goes on there.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from runink.actors.offload import Offload, in_thread
from runink.actors.shelf import opened, parts_of
from runink.barn.keys import SLICES, pipeline_key, run_key
from runink.clients.barn import BarnClient
from runink.clients.node_files import BEING_CHECKED, FileParts, Kept, ReadFiles, Wanted
from runink.errors import Unavailable
from runink.runs.letters import Written, letters_of, outputs_of
from runink.runs.records import PipelineRecord, RunRecord, RunState, SliceRecord

HASH_S: Final = 2.0
HASH_BYTES: Final = 1 << 20
BEGUN_MAX: Final = 16  # files that are looked through in parts
KNOWN_MAX: Final = 256  # files that are known to be what they should

_Identity = tuple[int, ...]


@dataclass(slots=True)
class _Begun:
    """The digest of a file as far as it is read."""

    digest: Any = field(default_factory=hashlib.sha256)
    offset: int = 0


class WrittenFiles:
    """One for a node."""

    def __init__(
        self,
        barn: BarnClient,
        *,
        offload: Offload = in_thread,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._barn = barn
        self._offload = offload
        self._clock = clock
        self._known: dict[_Identity, str] = {}  # the digests of files, the oldest first
        self._begun: dict[_Identity, _Begun] = {}
        self._turn = threading.Lock()  # to look through a file

    async def read(self, request: ReadFiles) -> FileParts:
        """Return what files hold beyond what was seen; they are asked for by their sinks. Raises Unavailable (`being_checked`), OSError."""
        written = await self._written(request)
        found: FileParts = await self._offload(partial(self._parts, written, request))
        return found

    async def _written(self, request: ReadFiles) -> Mapping[str, Written]:
        run = await self._barn.get(run_key(request.herd, request.run), RunRecord)
        if run is None:
            return {}
        record = run.value
        key = pipeline_key(record.herd, record.pipeline, record.version)
        pipeline = await self._barn.get(key, PipelineRecord)
        if pipeline is None:
            return {}
        if request.kept is Kept.OUTPUTS:
            return _in_files(outputs_of(record, pipeline.value.dag))
        slices: tuple[SliceRecord, ...] = ()
        if record.state is not RunState.SUCCEEDED:
            prefix = SLICES.prefix(record.herd, record.run)
            slices = tuple(one.value for one in (await self._barn.range(prefix, SliceRecord)).items)
        return _in_files(letters_of(record, pipeline.value.dag, slices))

    def _parts(self, written: Mapping[str, Written], request: ReadFiles) -> FileParts:
        def read(one: Wanted, bytes_max: int) -> bytes:
            found = written.get(one.name)
            return b"" if found is None else self._read(found, one.offset, bytes_max)

        return parts_of(request, read)

    def _read(self, written: Written, offset: int, bytes_max: int) -> bytes:
        with opened(written.place) as file:
            if file is None or not self._is_as_prepared(file, written):
                return b""
            return os.pread(file, bytes_max, offset)

    def _is_as_prepared(self, file: int, written: Written) -> bool:
        status = os.fstat(file)
        if status.st_size != written.prepared.bytes:
            return False
        # Nobody sets the time of a file's last change but the kernel.
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
        digest = self._known.get(identity)
        if digest is None:
            with self._in_turn():
                digest = self._known.get(identity) or self._digest(file, identity)
        return digest == written.prepared.sha256

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Be the one that looks through a file. Raises Unavailable if others take too long."""
        if not self._turn.acquire(timeout=HASH_S):
            raise Unavailable("another file is being looked through", code=BEING_CHECKED)
        try:
            yield
        finally:
            self._turn.release()

    def _digest(self, file: int, identity: _Identity) -> str:
        """Return the digest of a file. Raises Unavailable when there is more to read than fits in one's time, to go on the next time."""
        begun = self._begun.pop(identity, None) or _Begun()
        until_s = self._clock() + HASH_S
        while piece := os.pread(file, HASH_BYTES, begun.offset):
            begun.digest.update(piece)
            begun.offset += len(piece)
            if self._clock() >= until_s:
                _keep(self._begun, identity, begun, BEGUN_MAX)
                done = 100 * begun.offset // max(1, identity[2])
                raise Unavailable(f"the file is being looked through: {done} % of it so far", code=BEING_CHECKED)  # fmt: skip
        digest: str = begun.digest.hexdigest()
        _keep(self._known, identity, digest, KNOWN_MAX)
        return digest


def _keep(table: dict[_Identity, Any], identity: _Identity, value: Any, most: int) -> None:
    """Put a value into a table that forgets the oldest."""
    table[identity] = value
    if len(table) > most:
        del table[next(iter(table))]


def _in_files(written: list[Written]) -> Mapping[str, Written]:
    return {one.sink.id: one for one in written if one.is_file}
