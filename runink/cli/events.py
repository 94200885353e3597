"""`runi events`: what happens in a herd, as it happens."""

from __future__ import annotations

from itertools import islice
from typing import Final

import click

from runink.cli.asking import Where, asked, asks_api
from runink.cli.output import echo_event, shown_option
from runink.cli.summary import short
from runink.operations.catalog.run_events import EVENTS, Happened, Happening

WIDTH: Final = max(len(one.value) for one in Happening)


@click.command()
@click.option("--herd", help="Which herd; the one of the context otherwise.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice([one.value for one in Happening]), help="Tell of these only; may be repeated.")  # fmt: skip
@click.option("--since", type=click.IntRange(min=0), default=0, metavar="REVISION", help="Tell what came behind a revision first; otherwise what comes from now on.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="End behind so many of them.")
@shown_option
@asks_api
def events(
    *,
    where: Where,
    herd: str | None,
    kinds: tuple[str, ...],
    since: int,
    limit: int | None,
    output: str,
) -> None:
    """Print what happens in a herd, until Ctrl-C: runs and slices that come into other states, what is deployed, published and due, the herd itself, its roles and bindings.

    You are told of what you may read.
    """
    chosen = {"herd": where.herd(herd), "kinds": list(kinds), "since": since}
    with asked(where) as client, client.call(EVENTS, **chosen) as told:
        for event in islice(told, limit):
            one: Happened = event.data
            name = f"{one.run}/{one.slice}" if one.slice else one.run or one.name
            echo_event(one, output, name, line_of(event.kind, one))


def line_of(kind: str, one: Happened) -> str:
    """Return an event as a line: what, which, and what has become of it."""
    which = " ".join(filter(None, (short(one.run) if one.run else "", one.slice, one.name or one.pipeline)))  # fmt: skip
    came = f"{one.before} → {one.state}" if one.before and one.before != one.state else one.state
    where = f" on {one.node}" if one.node else ""
    attempt = f", attempt {one.attempt}" if one.attempt > 1 else ""
    return f"{kind:{WIDTH}}  {which}  {came}{where}{attempt}{f' [{one.code}]' if one.code else ''}"
