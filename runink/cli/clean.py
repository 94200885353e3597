"""`runi clean`: forgets runs that are over. Their records, logs, kept dead letters and lineage go; what they published stays.

A herd that says for how long its runs are kept (`[retention] runs`) has its own forgotten by their age, and by nothing else; of all others the newest stay.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import anyio
import click

from runink.barn.keys import (
    BACKFILLS,
    BUNDLE_OWNERS,
    BUNDLES,
    DEPLOYMENTS,
    PIPELINES,
    RUNS,
    SLICES,
    lineage_key,
)
from runink.cli.client import age_of
from runink.cli.options import COUNT, output_option, state_option
from runink.cli.runs import summary_by_record, summary_line, with_cluster
from runink.cli.wording import echo_json
from runink.clients.barn import Transaction
from runink.clients.bundle_store import stored_bundles
from runink.clients.cluster import Cluster
from runink.clients.herds import all_herds
from runink.clients.publishing import pipeline_versions
from runink.clients.uploads import BundleOwner
from runink.clock import now_ms
from runink.contracts.versions import is_version
from runink.environments.collecting import Policy, collect, keys_of
from runink.environments.store import FOLDER as ENVIRONMENTS
from runink.errors import Unavailable
from runink.names import HerdName, RunId
from runink.node import Role
from runink.quantities import counted
from runink.runs.records import RunRecord
from runink.runs.schedule_records import BackfillRecord, DeploymentRecord

KEPT: Final = 20
NO_TIMES: Final[Mapping[HerdName, int]] = MappingProxyType({})
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
                await _forget(cluster, record, folder)
            await sweep(cluster, folder)
            await _forget_backfills(cluster)
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


def forgettable(
    records: Iterable[RunRecord],
    *,
    keep: int,
    kept_ms: Mapping[HerdName, int] = NO_TIMES,
    now_ms: int = 0,
) -> list[RunRecord]:
    """Return the runs that are over, oldest first, but for the `keep` newest of them, and those whose output a run has taken over that still needs it.

    Those of a herd that keeps runs for a time (`kept_ms`, 0 for none) count for themselves: they go once that has passed since their end.
    """
    known = {one.run: one for one in records}
    over = sorted((one for one in known.values() if one.state.is_over), key=age_of)
    counted_ones = [one for one in over if not kept_ms.get(one.herd)]
    rest = {one.run for one in counted_ones[: max(len(counted_ones) - keep, 0)]}
    gone = [one for one in over if one.run in rest or _is_too_old(one, kept_ms, now_ms)]
    needed: set[str] = set()
    for one in known.values():
        if one not in gone and (not one.state.is_over or one.kept_until_ms):
            needed |= _before(one, known)
    return [one for one in gone if one.run not in needed]


def _is_too_old(record: RunRecord, kept_ms: Mapping[HerdName, int], now_ms: int) -> bool:
    most_ms = kept_ms.get(record.herd, 0)
    return most_ms > 0 and now_ms - record.ended_ms >= most_ms


def _before(record: RunRecord, known: Mapping[RunId, RunRecord]) -> set[str]:
    """Return the runs that a run goes on from, one behind the other."""
    found: set[str] = set()
    while record.resumes is not None and record.resumes in known:
        record = known[record.resumes]
        found.add(record.run)
    return found


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


async def _forget(cluster: Cluster, record: RunRecord, folder: Path) -> None:
    """Take a run's records away, and its folder here."""
    key = RUNS.key(record.herd, record.run)
    transaction = (
        Transaction()
        .delete(key)
        .delete(lineage_key(record.herd, record.run))
        .delete_prefix(SLICES.prefix(record.herd, record.run))
    )
    await cluster.barn.commit(transaction)
    forget_here(folder, record.run)


def forget_here(folder: Path, run: RunId) -> None:
    """Take away what a run has left in the state folder: logs, kept dead letters."""
    shutil.rmtree(folder / "runs" / run, ignore_errors=True)


async def sweep(cluster: Cluster, folder: Path) -> None:
    """Take away what no run needs any more: pipelines (published versions stay), bundles (those of what is deployed or published stay), environments, folders of runs that are not known.

    A run that is submitted at this moment may have its folders before its record: what is younger than FRESH_S stays.
    """
    listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
    records = [found.value for found in listing.items]
    versions = {(one.herd, one.pipeline, one.version) for one in records}
    for found in (await cluster.barn.range(PIPELINES.prefix(), bytes)).items:
        parts = PIPELINES.parse(found.key)
        if parts not in versions and not (parts and is_version(parts[-1])):
            # A submission compares the pipeline's revision: it puts it again where we were faster.
            await cluster.barn.delete(found.key)
    before_s = time.time() - FRESH_S
    deployed = await cluster.barn.range(DEPLOYMENTS.prefix(), DeploymentRecord)
    bundles: set[str] = {one.bundle for one in records}
    bundles |= {found.value.bundle for found in deployed.items}
    bundles |= {found.value.bundle for found in await pipeline_versions(cluster.barn)}
    # A run that is submitted at this moment has no record yet.
    stored = await stored_bundles(cluster.barn, before_ms=round(before_s * 1000))
    for name in stored - bundles:
        await cluster.barn.delete_prefix(BUNDLES.prefix(name))
    for owned in (await cluster.barn.range(BUNDLE_OWNERS.prefix(), BundleOwner)).items:
        if owned.value.bundle not in bundles and owned.value.put_ms < before_s * 1000:
            await cluster.barn.delete(owned.key)
    if cluster.is_remote:
        return  # what is here belongs to a cluster of the project's own, whose runs that one does not know
    _remove_all_but(folder / "runs", {one.run for one in records}, before_s=before_s)
    _remove_all_but(folder / "bundles", bundles, before_s=before_s)
    kept = keys_of(folder / "bundles", bundles)
    collect(folder / ENVIRONMENTS, Policy(unused_s=FRESH_S, kept=kept))


async def _forget_backfills(cluster: Cluster) -> None:
    """Forget backfills that make no run any more."""
    for found in (await cluster.barn.range(BACKFILLS.prefix(), BackfillRecord)).items:
        if found.value.is_done:
            await cluster.barn.delete(found.key)


def _remove_all_but(folder: Path, kept: set[str], *, before_s: float) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in kept and path.lstat().st_mtime < before_s:
            shutil.rmtree(path, ignore_errors=True)
