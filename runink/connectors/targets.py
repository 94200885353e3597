"""Where a sink's output goes, and where it is written aside until it is published.

    mode              target                                        written aside
    overwrite, error  out/flights.csv                               out/.runink-RUN.SLICE.ATTEMPT.SINK.flights.csv
    append            out/flights.csv/part-RUN-SINK.csv             out/.runink-RUN.SLICE.ATTEMPT.SINK.flights.csv
    any, on S3        s3://bucket/flights.csv[/part-RUN-SINK.csv]   a multipart upload of that key (see `s3_uploads.py`)
    any other remote  gs://bucket/flights.csv[/part-…]              .runink/aside/.runink-RUN.SLICE.ATTEMPT.SINK.flights.csv in the project
    -                 standard output                               nowhere: it is shown as it comes

What is appended to is a folder of parts, one a run and sink; a source of the same path reads all of them.  Appending again for the same run replaces
its own part.  All names follow from sink and ticket, so what a killed slice left aside is found without its report.  A dead letter that goes
to S3 is written aside in the project, too, because that of a failed run is kept there.  A target that is a symbolic link is followed.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from runink.connectors.endings import compression_of
from runink.dag import STANDARD, Mode, Sink
from runink.jobs import ASIDE_FOLDER, Ticket
from runink.stores import is_s3

NAME_BYTES_MAX: Final = 255  # of a file, on nearly every filesystem
_SINK_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Target:
    """`place` is the target, an absolute path or a URI; `whole` is what the sink's URI names: the target, or the folder that it is a part of.

    `aside` is empty for a multipart upload; `mark` is the name of what is aside, which such an upload bears.
    """

    uri: str
    place: str
    whole: str
    aside: str
    mark: str
    mode: Mode

    @property
    def is_remote(self) -> bool:
        return is_remote(self.place)

    @property
    def is_multipart(self) -> bool:
        return not self.aside


def is_remote(place: str) -> bool:
    return "://" in place


def copy_of(aside: Path, target: Path) -> Path:
    """Name the copy, on the target's filesystem, of a file aside that is on another; it is a dot-file as that one, and found as it is."""
    return target.parent / aside.name


def target_of(node: Sink, *, root: Path, ticket: Ticket) -> Target:
    """Return where the sink's output goes. Touches nothing; `-` has no target."""
    assert node.path != STANDARD, "standard output is no file"
    if is_remote(node.path):
        whole = node.path.rstrip("/")
        beside = str(root.absolute() / ASIDE_FOLDER)
        is_multipart = is_s3(whole) and not node.dead_letter
    else:
        whole = os.path.realpath(root / node.path)
        beside = str(Path(whole).parent)
        is_multipart = False
    place = f"{whole}/{_part_name(node, ticket)}" if node.mode is Mode.APPEND else whole
    mark = _aside_name(node, ticket, whole)
    aside = "" if is_multipart else f"{beside}/{mark}"
    return Target(node.uri, place, whole, aside, mark, node.mode)


def _part_name(node: Sink, ticket: Ticket) -> str:
    # The folder's name mostly has no ending, but other programs tell a file's format by it.
    suffix = _suffix(node.path) or f".{node.format.value}"
    return f"part-{ticket.run}-{_digest(node.id)}{suffix}"


def _aside_name(node: Sink, ticket: Ticket, whole: str) -> str:
    """Name the file written aside; it ends as the target does, because its ending says how it is compressed."""
    name = PurePosixPath(whole).name
    slice_name = ticket.slice.replace("/", "_")
    full = f".runink-{ticket.run}.{slice_name}.{ticket.attempt}.{_digest(node.id)}.{name}"
    if len(os.fsencode(full)) <= NAME_BYTES_MAX:
        return full
    short = hashlib.sha256(full.encode()).hexdigest()
    return f".runink-{short}{_suffix(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SINK_DIGITS]


def _suffix(path: str) -> str:
    """Return the ending that says what a file is: `.csv`, `.csv.gz`."""
    suffixes = PurePosixPath(path).suffixes
    return "".join(suffixes[-2:] if compression_of(path) else suffixes[-1:])
