"""`runi herd purge`: all that a deleted herd has in the cluster is taken away, its name last.

It says first that the herd is being purged, from where there is no way back, and then goes kind by kind. Wherever it is cut, the next one goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from runink.cli.clean import forget_here, let_go, sweep
from runink.cli.options import output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json
from runink.clients import herds
from runink.clients.cluster import Cluster
from runink.clock import now_ms
from runink.herds.lifecycle import is_due
from runink.names import HerdName, herd_name
from runink.quantities import counted
from runink.runs.records import RunRecord


@click.command()
@click.argument("name", metavar="[HERD]", default="")
@click.option("--now", "at_once", is_flag=True, help="Also before its time has come; HERD is to be named.")  # fmt: skip
@output_option
@state_option
def purge(
    name: str,
    at_once: bool,  # noqa: FBT001 - click gives it by name
    output: str,
    state: Path | None,
) -> None:
    """Take away all that a deleted HERD has in the cluster: runs, logs, versions, schedules, lineage, its own record. What its runs published stays.

    Without HERD all whose time has come, and those whose purge was cut before.
    """
    if at_once and not name:
        raise click.UsageError("--now is for one herd: name it")
    names = [herd_name(name)] if name else with_cluster(state, _due)
    gone = {herd: _purged(state, herd, at_once=at_once) for herd in names}
    if output == "json":
        echo_json({"purged": [{"herd": herd, "keys": keys} for herd, keys in gone.items()]})
        return
    for herd, keys in gone.items():
        click.echo(f"herd {herd} is gone, with {counted(keys, 'key')}")
    if not gone:
        click.echo("no herd is to be purged")


async def _due(cluster: Cluster, _: Path) -> list[HerdName]:
    known = await herds.all_herds(cluster.barn)
    return [found.value.herd for found in known if is_due(found.value, now_ms())]


def _purged(state: Path | None, herd: HerdName, *, at_once: bool) -> int:
    async def begin(cluster: Cluster, _: Path) -> None:
        await herds.begin_purge(cluster.barn, herd, now_ms=now_ms(), at_once=at_once)

    async def runs(cluster: Cluster) -> Iterable[RunRecord]:
        return (await herds.runs_of(cluster.barn, herd))[0]

    async def end(cluster: Cluster, folder: Path) -> int:
        gone = list(await runs(cluster))
        count = await herds.purge(cluster.barn, herd)
        for record in gone:
            forget_here(folder, record.run)
        await sweep(cluster, folder)
        return count

    with_cluster(state, begin)
    let_go(state, runs)
    return with_cluster(state, end)
