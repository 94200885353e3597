"""`runi barn status`, `metrics`, `compact`, `defrag`, `hash` and `limits`: the store as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from runink.barn.commands import SetLimits
from runink.cli.options import COUNT, output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json
from runink.clients.barn_admin import BarnAdmin
from runink.clients.barn_requests import BarnStatus, Measure, Measures
from runink.clients.cluster import Cluster
from runink.errors import Invalid
from runink.observe.metrics import METRICS
from runink.quantities import counted, format_bytes, parse_bytes


@click.command()
@output_option
@state_option
def status(output: str, state: Path | None) -> None:
    """Say how large the store is, what it keeps of its past, and whether it takes writes."""
    found = with_cluster(state, lambda cluster, _: cluster.barn.status())
    if output == "json":
        echo_json(msgspec.to_builtins(found))
    else:
        click.echo("\n".join(_lines(found)))


@click.command()
@output_option
@state_option
def metrics(output: str, state: Path | None) -> None:
    """Print the metrics of this member, as Prometheus reads them: a line each, with what it means above."""

    async def measured(cluster: Cluster, _: object) -> Measures:
        return await cluster.barn.ask(Measure())

    found = with_cluster(state, measured).readings
    if output == "json":
        echo_json(msgspec.to_builtins(found))
    else:
        from runink.observe.exposition import exposition  # noqa: PLC0415 - no other command of the Barn needs its library

        click.echo(exposition(one for one in found if one.name in METRICS), nl=False)


def _lines(found: BarnStatus) -> list[str]:
    lines = [
        f"cluster {found.cluster or 'without a name'}, revision {found.revision:,}, term {found.term}",
        f"{counted(found.keys, 'key')}, {counted(found.leases, 'lease')}, {counted(found.clients, 'client')}, {found.watches} waiting watches",
        f"size {format_bytes(found.size_bytes)} of {format_bytes(found.quota_bytes)}",
        f"history from revision {found.compacted + 1:,}: {found.history_changes:,} of {counted(found.history_changes_max, 'change')}, {format_bytes(found.history_bytes)} of {format_bytes(found.history_bytes_max)}",
        f"log up to entry {found.applied_index:,} in {counted(found.log_segments, 'segment')}, snapshot up to {found.snapshot_index:,}, {format_bytes(found.free_bytes)} free on disk",
        f"hash {found.digest}",
    ]
    if found.is_alarmed:
        lines.append(
            "it takes no puts: the quota is reached; delete keys and compact, or raise it with runi barn limits --quota"
        )
    if found.trouble:
        lines.append(f"it takes no writes: {found.trouble}")
    if found.torn:
        lines.append(f"its log was cut when it was opened: {found.torn}")
    return lines


@click.command()
@click.argument("revision", type=COUNT, required=False)
@output_option
@state_option
def compact(revision: int | None, output: str, state: Path | None) -> None:
    """Forget the changes up to and with REVISION, or all up to now. The keys stay as they are."""

    async def ask(cluster: Cluster, _: Path) -> BarnStatus:
        admin = BarnAdmin(cluster.barn)
        await admin.compact((await admin.status()).revision if revision is None else revision)
        return await admin.status()

    found = with_cluster(state, ask)
    if output == "json":
        echo_json({"compacted": found.compacted, "revision": found.revision})
    else:
        click.echo(f"compacted up to revision {found.compacted} of {found.revision}")


@click.command()
@output_option
@state_option
def defrag(output: str, state: Path | None) -> None:
    """Write a snapshot now and drop the log before it. Nothing stands still meanwhile, and memory has no holes to close."""
    found = with_cluster(state, lambda cluster, _: BarnAdmin(cluster.barn).defrag())
    if output == "json":
        echo_json(msgspec.to_builtins(found))
    else:
        segments = counted(found.log_segments, "segment")
        click.echo(f"snapshot up to entry {found.snapshot_index:,}, log of {segments}")


@click.command("hash")
@click.argument("revision", type=COUNT, default=0)
@output_option
@state_option
def hash_(revision: int, output: str, state: Path | None) -> None:
    """Print the running hash behind REVISION, or now: equal on all members whose states came about in the same way."""
    found = with_cluster(state, lambda cluster, _: BarnAdmin(cluster.barn).hash_at(revision))
    if output == "json":
        echo_json(msgspec.to_builtins(found))
    else:
        click.echo(f"{found.digest} at revision {found.revision}")


@click.command()
@click.option(
    "--quota", metavar="SIZE", help="How large the store may become, keys and kept past together."
)
@click.option("--history-changes", type=COUNT, default=0, help="How many changes are kept.")
@click.option("--history-size", metavar="SIZE", help="How large the kept changes may be.")
@click.option(
    "--clear-alarm", is_flag=True, help="Let puts in again, until the next that is over the quota."
)
@output_option
@state_option
def limits(state: Path | None, output: str, **options: Any) -> None:
    """Set how large the store may become and how much of its past it keeps, or print it. They hold for the whole cluster."""
    wanted = SetLimits(
        _size(options["quota"], "--quota"),
        options["history_changes"],
        _size(options["history_size"], "--history-size"),
    )

    async def ask(cluster: Cluster, _: Path) -> BarnStatus:
        admin = BarnAdmin(cluster.barn)
        if wanted != SetLimits():
            await admin.set_limits(wanted)
        if options["clear_alarm"]:
            await admin.clear_alarm()
        return await admin.status()

    found = with_cluster(state, ask)
    if output == "json":
        names = ("quota_bytes", "history_changes_max", "history_bytes_max", "is_alarmed")
        echo_json({name: getattr(found, name) for name in names})
        return
    click.echo(f"quota {format_bytes(found.quota_bytes)}, {format_bytes(found.size_bytes)} in use")
    click.echo(
        f"history {counted(found.history_changes_max, 'change')}, {format_bytes(found.history_bytes_max)}"
    )
    if found.is_alarmed:
        click.echo("the quota is reached: no puts are taken")


def _size(text: str | None, option: str) -> int:
    if text is None:
        return 0
    try:
        return parse_bytes(text)
    except Invalid as error:
        raise click.BadParameter(f"{error.text}; {error.hint}", param_hint=option) from None
