"""The logs of a run, one file an attempt of a slice, as they are read: which there are, their lines, and where a time begins in one.

A line is known by its file and the offset at which it ends.  Lines of a file are in the order of their time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from runink.clients.kept_logs import Chosen
from runink.clients.node_files import FilePart
from runink.dag import Dag
from runink.errors import NotFound
from runink.names import NodeId, SliceId
from runink.observe.slice_logs import LogLine, log_path
from runink.runs.records import SliceRecord
from runink.suggestions import near_or_all

_decode: Any = msgspec.json.Decoder(LogLine).decode
FILES_READ_MAX: Final = 64  # of one request to a node


class LogFile(NamedTuple):
    """The log of an attempt. `node` is where it is, nothing where nobody knows any more."""

    slice: SliceId
    attempt: int
    node: NodeId | None

    @property
    def name(self) -> str:
        return log_path(Path(), self.slice, self.attempt).name


class Line(NamedTuple):
    """A line of a file, and the offset at which it ends."""

    file: LogFile
    offset: int
    line: LogLine


def files_of(slices: Iterable[SliceRecord], chosen: Chosen) -> list[LogFile]:
    """Return the logs of slices that there may be, in order: an attempt that never had a node has none."""
    found = [
        LogFile(one.slice, attempt, one.node_of(attempt))
        for one in slices
        for attempt in chosen.attempts_of(one)
        if one.node_of(attempt) is not None or attempt < one.attempt
    ]
    return sorted(found, key=lambda file: (file.slice, file.attempt))


def lines_of(file: LogFile, part: FilePart) -> tuple[list[Line], int]:
    """Return the whole lines of a part of a file, and the offset behind the last of them. What a crash has cut is passed over."""
    found = []
    offset = part.offset
    *texts, _ = part.data.split(b"\n")
    for text in texts:
        offset += len(text) + 1
        try:
            found.append(Line(file, offset, _decode(text)))
        except msgspec.MsgspecError:
            continue
    return found, offset


def first_time(part: FilePart) -> int | None:
    """Return the time of the first line that begins in a part of a file, nothing if none does and ends there."""
    skip = part.data.find(b"\n") + 1 if part.offset else 0
    if part.offset and not skip:
        return None
    whole = FilePart(part.name, part.offset + skip, part.data[skip:])
    lines, _ = lines_of(LogFile(SliceId(""), 0, None), whole)
    return lines[0].line.at_ms if lines else None


def batch_at(files: Sequence[LogFile], at: int) -> Sequence[LogFile]:
    """Return the files from a place on that are read together: those that follow each other on one node, as far as that is known."""
    node = files[at].node
    end = at + 1
    while node and end < len(files) and end - at < FILES_READ_MAX and files[end].node == node:
        end += 1
    return files[at:end]


def slice_doing(dag: Dag, step: str) -> SliceId:
    """Return the slice that does a step, which is named in full or, where only one scenario has it, without the scenario. Raises NotFound (`no_such_step`)."""
    named = [node.id for node in dag.nodes if step in (node.id, node.id.partition(".")[2])]
    if len(named) != 1:
        text = f"there is no step {step}" if not named else f"several steps are called {step}"
        names = [node.id for node in dag.nodes]
        hint = f"name one of {', '.join(named)}" if named else near_or_all(step, names)
        raise NotFound(text, code="no_such_step", hint=hint)
    return SliceId(dag.slice_of(named[0]).id)
