"""Where rows go: `open_sink` gives a writer that writes aside; nothing is visible before `publishing.publish`.

    open      what is there is checked (a directory? mode=error and a file?), the file aside is made
    write     rows to bytes, compressed by the target's ending, counted and hashed on their way
    prepare   the rest is written and synced; the answer says where it lies and what it becomes
    abort     what is aside goes away

Standard output is no file: it is shown as it comes, and there is nothing to publish.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Protocol

from runink.connectors.compression import compressed
from runink.connectors.encoders import encoder_of
from runink.connectors.endings import compression_of
from runink.connectors.local_files import AsideFile, check_target, told, write_all
from runink.connectors.remote_files import filesystem_of, remote_exists
from runink.connectors.s3_uploads import UploadFile
from runink.connectors.targets import Target, target_of
from runink.dag import STANDARD, Mode, Sink
from runink.errors import Conflict, Refused
from runink.jobs import Prepared, Ticket
from runink.pipes.arrow_output import ArrowOutput
from runink.pipes.batch import Batch
from runink.stores import NO_STORES, Stores


class Output(Protocol):
    """What is written to, aside."""

    def write(self, data: Any, /) -> int: ...
    def sync(self) -> None: ...
    def discard(self) -> None: ...


def open_sink(
    node: Sink,
    *,
    root: Path,
    ticket: Ticket,
    stdout_fd: int | None,
    stores: Stores = NO_STORES,
) -> Writer:
    """Begin to write aside. Raises Refused or Unavailable."""
    if node.path == STANDARD:
        return Writer(node, _Stdout(node, stdout_fd), target=None)
    target = target_of(node, root=root, ticket=ticket)
    check_free(target, stores)
    if target.is_multipart:
        return Writer(node, UploadFile(target.place, node.uri, stores, mark=target.mark), target)
    aside = AsideFile(target.aside, node.uri, replaces=target.place, is_private=target.is_remote)
    return Writer(node, aside, target)


def check_free(target: Target, stores: Stores) -> None:
    """Raise Refused if the target cannot be written, Conflict if it is there and must not be."""
    if target.is_remote:
        filesystem_of(target.place, stores)  # tells early that no package serves it
        exists = target.mode is Mode.ERROR and remote_exists(target.place, target.uri, stores)
    else:
        check_target(target.whole, target.uri, is_folder=target.mode is Mode.APPEND)
        exists = target.mode is Mode.ERROR and os.path.lexists(target.place)
    if exists:
        raise already_there(target.uri)


def already_there(uri: str) -> Conflict:
    return Conflict(
        f"{uri} is there already, and mode=error leaves it alone",
        code="sink_exists",
        hint="move it away, or say mode=overwrite or mode=append",
    )


class Writer:
    """One sink of one attempt."""

    def __init__(self, node: Sink, output: Output, target: Target | None) -> None:
        self._node = node
        self._target = target
        self._output = output
        self._counted = _Counted(output)
        kind = None if target is None else compression_of(node.path)
        self._packed = None if kind is None else compressed(self._counted, kind)
        file = self._packed or self._counted
        self._encoder = encoder_of(node.format, file, uri=node.uri, to_stdout=target is None)
        self._rows = 0

    def write(self, batch: Batch) -> None:
        """Write the rows. Raises Refused or Unavailable."""
        self._encoder.write(batch.data)
        self._rows += batch.data.num_rows

    def prepare(self) -> Prepared:
        """Write what is left and sync it; return what can be published. Raises Refused or Unavailable."""
        self._encoder.finish()
        if self._packed is not None:
            self._packed.close()
        self._output.sync()
        self._counted.is_over = True
        return self._prepared()

    def abort(self) -> None:
        """Take away what was written aside."""
        self._counted.is_over = True
        self._output.discard()

    def _prepared(self) -> Prepared:
        node, target, output = self._node, self._target, self._output
        kind, aside, extra = "file", "", {}
        if target is None:
            kind = "stream"
        elif isinstance(output, UploadFile):
            kind, aside, extra = "multipart", output.aside, {**output.extra(), "mark": target.mark}
        else:
            aside = target.aside
        return Prepared(
            sink=node.id,
            uri=node.uri,
            kind=kind,
            aside=aside,
            target=STANDARD if target is None else target.place,
            mode=node.mode.value,
            rows=self._rows,
            bytes=self._counted.size,
            sha256=self._counted.digest.hexdigest(),
            extra=extra,
        )


class _Counted(ArrowOutput):
    """Counts and hashes what goes through. When it is over, what encoders still write on their way out goes nowhere."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.digest = hashlib.sha256()
        self.size = 0
        self.is_over = False
        self.closed = False

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if not self.is_over:
            self.digest.update(data)
            self._output.write(data)
            self.size += size
        return size

    def close(self) -> None:
        """The sink closes its output by itself."""


class _Stdout:
    def __init__(self, node: Sink, descriptor: int | None) -> None:
        if descriptor is None:
            raise Refused(
                f"{node.uri}: this run has no standard output",
                code="sink_no_stdout",
                hint="a pipeline that writes to - is run by runi run",
            )
        self._uri = node.uri
        self._descriptor = descriptor

    def write(self, data: Any) -> int:
        try:
            return write_all(self._descriptor, data)
        except BrokenPipeError as error:
            raise Refused(
                f"{self._uri}: whoever read standard output has stopped",
                code="sink_stdout_closed",
                hint="the program behind the pipe ended early, as head does",
            ) from error
        except OSError as error:
            raise told(error, self._uri) from error

    def sync(self) -> None:
        """Nothing is held back."""

    def discard(self) -> None:
        """What is shown is shown."""
