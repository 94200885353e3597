"""`runi barn watch`: every change of a key or of many, as it happens."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import click

from runink.barn.history import Watched
from runink.barn.keyvalue import Change
from runink.barn.watching import Interest, Skip
from runink.cli.barn_wording import (
    change_json,
    key_argument,
    prefix_option,
    span_of,
    to_option,
    value_text,
)
from runink.cli.options import COUNT, output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json
from runink.clients.cluster import Cluster
from runink.errors import Refused


@click.command()
@key_argument
@prefix_option
@to_option
@click.option(
    "--from",
    "first",
    type=click.IntRange(min=1),
    help="Begin with this revision; otherwise with what comes next.",
)
@click.option("--before", is_flag=True, help="Print what each key was before, too.")
@click.option("--no-puts", "skip", flag_value="puts", help="Only deletions.")
@click.option("--no-deletes", "skip", flag_value="deletes", help="Only what is put.")
@click.option(
    "--progress", is_flag=True, help="Say now and then up to which revision nothing has happened."
)
@click.option("-n", "--limit", type=COUNT, default=0, help="End after so many changes.")
@output_option
@state_option
def watch(state: Path | None, output: str, key: str, **options: Any) -> None:
    """Print every change of a key, or of the keys with a prefix, until Ctrl-C. With `-o json` a document a line."""
    span = span_of(key, is_prefix=options["prefix"], to=options["to"])
    interest = Interest((), (span,), Skip(options["skip"] or "nothing"), options["before"])
    printer = _Printer(output == "json", options["progress"], options["limit"])

    async def follow(cluster: Cluster, _: Path) -> None:
        first = options["first"]
        after = first - 1 if first else (await cluster.barn.status()).revision
        async with aclosing(cluster.barn.polls(interest, after)) as answers:
            async for watched in answers:
                if not printer.tell(watched):
                    return

    try:
        with_cluster(state, follow)
    except Refused as error:
        if error.code != "compacted" or not error.revision:
            raise
        hint = f"--from {error.revision + 1} begins with the oldest change that is kept; `runi barn get` reads what is there now"
        raise Refused(error.text, code=error.code, hint=hint, revision=error.revision) from error


class _Printer:
    """Prints answers, and counts."""

    def __init__(self, is_json: bool, is_progress_told: bool, limit: int) -> None:  # noqa: FBT001 - made in one place
        self._is_json = is_json
        self._is_progress_told = is_progress_told
        self._limit = limit
        self._told = 0

    def tell(self, watched: Watched) -> bool:
        """Print an answer and say whether more is wanted."""
        for change in watched.changes:
            if self._is_json:
                echo_json(change_json(change))
            else:
                click.echo(_line(change))
            self._told += 1
            if self._told == self._limit:
                return False
        if self._is_progress_told and not watched.part:
            if self._is_json:
                echo_json({"revision": watched.revision, "type": "progress"})
            else:
                click.echo(f"up to revision {watched.revision}", err=True)
        return True


def _line(change: Change) -> str:
    before = f"  (was {value_text(change.before.value)})" if change.before is not None else ""
    if change.now is None:
        return f"{change.revision}  delete {change.key}{before}"
    return f"{change.revision}  put {change.key} = {value_text(change.now.value)}{before}"
