"""`runi clean`: forgets runs that are over. Their records, logs, kept dead letters and lineage go; what they published stays.

A herd that says for how long its runs are kept (`[retention] runs`) has its own forgotten by their age, and by nothing else; of all others the newest stay.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

import anyio
import click

from runink.barn.keys import RUNS
from runink.cli.options import COUNT, output_option, state_option
from runink.cli.runs import summary_by_record, summary_line, with_cluster
from runink.cli.wording import echo_json
from runink.clients.cluster import Cluster
from runink.clients.forgetting import forget_backfills, forget_run, sweep_barn
from runink.clients.herds import all_herds
from runink.clock import now_ms
from runink.config import Role
from runink.environments.collecting import Policy, collect, keys_of
from runink.environments.store import FOLDER as ENVIRONMENTS
from runink.errors import Unavailable
from runink.names import RunId
from runink.quantities import counted
from runink.runs.records import RunRecord
from runink.runs.retention import forgettable

KEPT: Final = 20
LOOKS_MAX: Final = 300
LOOK_S: Final = 0.1
FRESH_S: Final = 3600.0  # between packing a project and submitting its run lies a second


@click.command()
@click.option(
    "--keep",
    type=COUNT,
    default=KEPT,
    show_default=True,
    help="How many of the newest runs stay.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Say what would go, and leave it.")
@output_option
@state_option
def clean(
    keep: int,
    dry_run: bool,  # noqa: FBT001 - click gives it by name
    output: str,
    state: Path | None,
) -> None:
    """Forget runs that are over, with their records, logs and kept dead letters. What they published stays.

    Runs of a herd whose file has [retention] runs are forgotten when they are so old, however many there are.
    """

    async def chosen(cluster: Cluster) -> list[RunRecord]:
        listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
        herds = await all_herds(cluster.barn)
        kept_ms = {one.value.herd: one.value.retention.runs_ms for one in herds}
        records = (found.value for found in listing.items)
        return forgettable(records, keep=keep, kept_ms=kept_ms, now_ms=now_ms())

    async def ask(cluster: Cluster, folder: Path) -> list[RunRecord]:
        gone = await chosen(cluster)
        if not dry_run:
            for record in gone:
                await forget_run(cluster.barn, record)
                forget_here(folder, record.run)
            await sweep(cluster, folder)
            await forget_backfills(cluster.barn)
        return gone

    if not dry_run:
        let_go(state, chosen)
    gone = with_cluster(state, ask)
    if output == "json":
        echo_json({"forgotten": [record.run for record in gone], "dry_run": dry_run})
        return
    for record in gone if dry_run else ():
        click.echo(summary_line(summary_by_record(record)))
    click.echo(f"{'would forget' if dry_run else 'forgot'} {counted(len(gone), 'run')}")


def let_go(state: Path | None, chosen: Callable[[Cluster], Awaitable[Iterable[RunRecord]]]) -> None:
    """Have the runs that are to be forgotten take away what they keep: a node does that, and not this process. Raises Unavailable (`not_let_go`)."""

    async def keeping(cluster: Cluster, _: Path) -> list[RunRecord]:
        return [one for one in await chosen(cluster) if one.kept_until_ms]

    async def let_go(cluster: Cluster, folder: Path) -> None:
        for record in await keeping(cluster, folder):
            await cluster.drop(record.run)
        for _ in range(LOOKS_MAX):
            if not await keeping(cluster, folder):
                return
            await anyio.sleep(LOOK_S)
        raise Unavailable(
            "what failed runs keep was not taken away in time",
            code="not_let_go",
            hint="is its node there? runi node list; then do it again",
        )

    if with_cluster(state, keeping):
        with_cluster(state, let_go, role=Role.ALL)


def forget_here(folder: Path, run: RunId) -> None:
    """Take away what a run has left in the state folder: logs, kept dead letters."""
    shutil.rmtree(folder / "runs" / run, ignore_errors=True)


async def sweep(cluster: Cluster, folder: Path) -> None:
    """Take away what no run needs any more: pipelines (published versions stay), bundles (those of what is deployed or published stay), environments, folders of runs that are not known.

    A run that is submitted at this moment may have its folders before its record: what is younger than FRESH_S stays.
    """
    before_s = time.time() - FRESH_S
    runs, bundles = await sweep_barn(cluster.barn, before_ms=round(before_s * 1000))
    if cluster.is_remote:
        return  # what is here belongs to a cluster of the project's own, whose runs that one does not know
    _remove_all_but(folder / "runs", runs, before_s=before_s)
    _remove_all_but(folder / "bundles", bundles, before_s=before_s)
    kept = keys_of(folder / "bundles", bundles)
    collect(folder / ENVIRONMENTS, Policy(unused_s=FRESH_S, kept=kept))


def _remove_all_but(folder: Path, kept: set[str], *, before_s: float) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in kept and path.lstat().st_mtime < before_s:
            shutil.rmtree(path, ignore_errors=True)
