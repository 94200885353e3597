"""Dead letters that a node's runs have published, or keep aside, for people elsewhere: only as they were prepared, and nothing else that may stand in their places by now.

A place is somebody else's folder, so its file is read only if it has the bytes that the run's record names (SHA-256): a link, another file or a later run's is none.  That is
looked up once for as long as the file stays as it is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import partial
from typing import Final

from runink.actors.offload import Offload, in_thread
from runink.actors.shelf import opened, parts_of
from runink.barn.keys import SLICES, pipeline_key, run_key
from runink.clients.barn import BarnClient
from runink.clients.node_files import FileParts, ReadFiles, Wanted
from runink.runs.letters import Letter, letters_of
from runink.runs.records import PipelineRecord, RunRecord, RunState, SliceRecord

KNOWN_MAX: Final = 256  # files that are known to be what they should

_Identity = tuple[int, ...]


class DeadLetters:
    """One for a node."""

    def __init__(self, barn: BarnClient, *, offload: Offload = in_thread) -> None:
        self._barn = barn
        self._offload = offload
        self._known: dict[_Identity, str] = {}  # the digests of files, the oldest first

    async def read(self, request: ReadFiles) -> FileParts:
        """Return what dead letters hold beyond what was seen; they are asked for by their sinks. Raises Unavailable, OSError."""
        letters = await self._letters(request)
        found: FileParts = await self._offload(partial(self._parts, letters, request))
        return found

    async def _letters(self, request: ReadFiles) -> Mapping[str, Letter]:
        run = await self._barn.get(run_key(request.herd, request.run), RunRecord)
        if run is None:
            return {}
        record = run.value
        key = pipeline_key(record.herd, record.pipeline, record.version)
        pipeline = await self._barn.get(key, PipelineRecord)
        if pipeline is None:
            return {}
        slices: tuple[SliceRecord, ...] = ()
        if record.state is not RunState.SUCCEEDED:
            prefix = SLICES.prefix(record.herd, record.run)
            slices = tuple(one.value for one in (await self._barn.range(prefix, SliceRecord)).items)
        found = letters_of(record, pipeline.value.dag, slices)
        return {one.sink.id: one for one in found if one.is_file}

    def _parts(self, letters: Mapping[str, Letter], request: ReadFiles) -> FileParts:
        def read(one: Wanted, bytes_max: int) -> bytes:
            letter = letters.get(one.name)
            return b"" if letter is None else self._read(letter, one.offset, bytes_max)

        return parts_of(request, read)

    def _read(self, letter: Letter, offset: int, bytes_max: int) -> bytes:
        with opened(letter.place) as file:
            if file is None or not self._is_as_prepared(file, letter):
                return b""
            return os.pread(file, bytes_max, offset)

    def _is_as_prepared(self, file: int, letter: Letter) -> bool:
        status = os.fstat(file)
        if status.st_size != letter.prepared.bytes:
            return False
        # Nobody sets the time of a file's last change but the kernel.
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
        digest = self._known.get(identity)
        if digest is None:
            with os.fdopen(os.dup(file), "rb") as whole:
                digest = hashlib.file_digest(whole, "sha256").hexdigest()
            self._known[identity] = digest
            if len(self._known) > KNOWN_MAX:
                del self._known[next(iter(self._known))]
        return digest == letter.prepared.sha256
