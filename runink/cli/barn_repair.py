"""`runi barn repair`: mends what a crash left behind; cuts a damaged log only where it is told to, after it has said what that loses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from runink.cli.barn_check import state_argument, stopped_barn
from runink.cli.barn_copies import copied
from runink.cli.options import output_option
from runink.cli.wording import echo_json
from runink.storage.repairing import Cut, Loss, cut_log, loss_of, mend


@click.command()
@state_argument
@click.option(
    "--drop-from",
    "place",
    metavar="SEGMENT:OFFSET",
    help="Cut the log there: that, and all behind it, is lost. A copy is kept.",
)
@click.option("-y", "--yes", is_flag=True, help="Cut without asking.")
@output_option
def repair(
    state: Path | None,
    place: str | None,
    yes: bool,  # noqa: FBT001 - click gives it by name
    output: str,
) -> None:
    """Mend what a crash left behind in a Barn that does not run: a torn last write, files that were being made.

    A damaged log is not touched, but with --drop-from: then it says what is lost, asks, copies the folder, and cuts. STATE_DIR is the folder of the
    cluster's state; .runink in the project otherwise.
    """
    with stopped_barn(state) as disk:
        loss = loss_of(disk, _cut_of(place)) if place is not None else None
        if loss is not None and output == "text":
            click.echo("\n".join(lines(loss)))
        if loss is not None and not yes:
            click.confirm("Cut the log there?", abort=True, err=True)
        copy = copied(disk, "repair") if loss is not None else None
        if loss is not None:
            cut_log(disk, loss)
        done = mend(disk)
    if output == "json":
        echo_json({"barn": disk.where, "copy": copy, "lost": loss, "mended": done})
        return
    for line in done:
        click.echo(f"mended: {line}")
    if copy is not None:
        click.echo(f"what was there before is in {copy}")
    click.echo(f"{disk.where}: whole")


def _cut_of(place: str) -> Cut:
    """Return a place as it is written. Raises BadParameter."""
    segment, colon, offset = place.rpartition(":")
    if not colon or not offset.isdecimal():
        raise click.BadParameter(f"{place!r} is not SEGMENT:OFFSET", param_hint="--drop-from")
    return Cut(segment, int(offset))


def lines(loss: Loss) -> Iterator[str]:
    """Yield what is lost, for people."""
    yield f"A cut of {loss.cut.segment} at offset {loss.cut.offset} loses"
    which = f", {loss.first_index} to {loss.last_index}" if loss.entries else ""
    yield f"  entries that can still be read: {loss.entries:,}{which}"
    if loss.is_blind:
        yield "  whatever else stood in what is damaged or missing, perhaps also a vote"
    if loss.committed:
        yield f"  entries known to be committed: {loss.committed:,}; what they changed was acknowledged, and is undone"
    if loss.segments:
        yield f"  as a whole {', '.join(loss.segments)}"
    state = loss.hard_state
    yield f"The log then ends with entry {loss.last.index}; term {state.term}, vote {state.vote}"
    if loss.is_blind or loss.committed:
        yield "In a group of several members let this one join anew with an empty folder instead: the others have what is lost."
