"""`runi barn check`: reads the log and the snapshot of a Barn that does not run, and says whether they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from runink.cli.exits import ExitCode
from runink.cli.options import output_option, project_here, state_folder
from runink.cli.wording import echo_json
from runink.errors import NotFound
from runink.quantities import counted
from runink.storage.checking import Checked, SegmentCheck, SnapshotCheck, check_directory
from runink.storage.disk import RealDisk

FOLDER: Final = "barn"  # of the state
state_argument: Final = click.argument(
    "state",
    type=click.Path(path_type=Path),
    envvar="RUNINK_STATE",
    metavar="[STATE_DIR]",
    required=False,
)


@click.command()
@state_argument
@output_option
def check(state: Path | None, output: str) -> None:
    """Verify the log and the snapshot of a Barn that does not run. Changes nothing. Exit code 1 if something is damaged.

    STATE_DIR is the folder of the cluster's state; .runink in the project otherwise.
    """
    with stopped_barn(state) as disk:
        found = check_directory(disk)
    if output == "json":
        echo_json(document(found))
    else:
        click.echo("\n".join(lines(found)))
    if found.faults:
        raise SystemExit(ExitCode.FAILED)


@contextmanager
def stopped_barn(state: Path | None) -> Iterator[RealDisk]:
    """Yield the Barn's directory, locked. Raises NotFound, and Unavailable (`storage_locked`) while the Barn runs."""
    folder = state_folder(state, project_here())
    barn = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    if not any(barn.glob("wal-*")) and not any(barn.glob("snapshot-*")):
        raise NotFound(
            f"there is no Barn in {folder}",
            code="no_barn",
            hint="name the folder of the cluster's state: runi barn check STATE_DIR",
        )
    disk = RealDisk(barn)
    try:
        yield disk
    finally:
        disk.shut()


def document(found: Checked) -> dict[str, Any]:
    """Return what was found, for programs."""
    return {
        "barn": found.where,
        "whole": not found.faults,
        "segments": found.segments,
        "snapshots": [
            {
                "name": one.name,
                "verdict": one.verdict,
                "index": one.facts.metadata.index if one.facts else None,
                "term": one.facts.metadata.term if one.facts else None,
                "bytes": one.facts.body_bytes if one.facts else None,
            }
            for one in found.snapshots
        ],
        "log": {
            "first_index": found.first_index,
            "last_index": found.last.index if found.last else None,
            "term": found.hard_state.term,
            "vote": found.hard_state.vote,
            "commit": found.hard_state.commit,
        },
        "faults": found.faults,
        "notes": found.notes,
    }


def lines(found: Checked) -> Iterator[str]:
    """Yield what was found, for people."""
    yield f"{'file':<27} {'version':>7} {'batches':>8} {'entries':>8}  {'indexes':<21} "
    yield from map(_snapshot_line, found.snapshots)
    yield from map(_segment_line, found.segments)
    state = found.hard_state
    last = found.last.index if found.last else "?"
    entries = f"entries {found.first_index} to {last}" if found.first_index else "no entries"
    yield f"log: {entries}; term {state.term}, vote {state.vote}, {state.commit} known to be committed"
    yield from (f"note: {note}" for note in found.notes)
    for fault in found.faults:
        place = f"{fault.file} at offset {fault.offset}: " if fault.file else ""
        yield f"damaged: {place}{fault.text}"
    yield f"{found.where}: {counted(len(found.faults), 'fault') if found.faults else 'whole'}"


def _segment_line(one: SegmentCheck) -> str:
    indexes = f"{one.first_index} to {one.last_index}" if one.entries else "none"
    row = (
        f"{one.name:<27} {one.version or '?':>7} {one.batches:>8,} {one.entries:>8,}  {indexes:<21}"
    )
    return f"{row} {one.verdict}"


def _snapshot_line(one: SnapshotCheck) -> str:
    facts = one.facts
    what = f"up to entry {facts.metadata.index}, {facts.body_bytes:,} bytes" if facts else ""
    return f"{one.name:<27} {what:<47} {one.verdict}"
