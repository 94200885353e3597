"""`runi clean`: forgets runs that are over. Their records, logs, kept dead letters and lineage go; what they published stays."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import anyio
import click

from runink.barn.keys import (
    BACKFILLS,
    BUNDLES,
    DEPLOYMENTS,
    PIPELINES,
    RUNS,
    SLICES,
    lineage_key,
)
from runink.cli.client import age_of
from runink.cli.options import COUNT, output_option, state_option
from runink.cli.runs import line_of, with_cluster
from runink.cli.wording import echo_json
from runink.clients.barn import Transaction
from runink.clients.bundle_store import stored_bundles
from runink.clients.cluster import Cluster
from runink.contracts.versions import is_version
from runink.environments.collecting import Policy, collect, keys_of
from runink.environments.store import FOLDER as ENVIRONMENTS
from runink.errors import Unavailable
from runink.names import RunId
from runink.node import Role
from runink.quantities import counted
from runink.runs.records import RunRecord
from runink.runs.schedule_records import BackfillRecord, DeploymentRecord

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
    """Forget runs that are over, with their records, logs and kept dead letters. What they published stays."""

    async def ask(cluster: Cluster, folder: Path) -> list[RunRecord]:
        listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
        gone = forgettable((found.value for found in listing.items), keep=keep)
        if not dry_run:
            for record in gone:
                await _forget(cluster, record, folder)
            await _sweep(cluster, folder)
            await _forget_backfills(cluster)
        return gone

    if not dry_run:
        _let_go(state, keep)
    gone = with_cluster(state, ask)
    if output == "json":
        echo_json({"forgotten": [record.run for record in gone], "dry_run": dry_run})
        return
    for record in gone if dry_run else ():
        click.echo(line_of(record))
    click.echo(f"{'would forget' if dry_run else 'forgot'} {counted(len(gone), 'run')}")


def forgettable(records: Iterable[RunRecord], *, keep: int) -> list[RunRecord]:
    """Return the runs that are over, oldest first, but for the `keep` newest of them, and those whose output a run has taken over that still needs it."""
    known = {one.run: one for one in records}
    over = sorted((one for one in known.values() if one.state.is_over), key=age_of)
    gone = over[: max(len(over) - keep, 0)]
    needed: set[str] = set()
    for one in known.values():
        if one not in gone and (not one.state.is_over or one.kept_until_ms):
            needed |= _before(one, known)
    return [one for one in gone if one.run not in needed]


def _before(record: RunRecord, known: Mapping[RunId, RunRecord]) -> set[str]:
    """Return the runs that a run goes on from, one behind the other."""
    found: set[str] = set()
    while record.resumes is not None and record.resumes in known:
        record = known[record.resumes]
        found.add(record.run)
    return found


def _let_go(state: Path | None, keep: int) -> None:
    """Have the runs that are to be forgotten take away what they keep: a node does that, and not this process."""

    async def keeping(cluster: Cluster, _: Path) -> list[RunRecord]:
        listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
        gone = forgettable((found.value for found in listing.items), keep=keep)
        return [one for one in gone if one.kept_until_ms]

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
            hint="is its node there? runi node list; then runi clean again",
        )

    if with_cluster(state, keeping):
        with_cluster(state, let_go, role=Role.ALL)


async def _forget(cluster: Cluster, record: RunRecord, folder: Path) -> None:
    key = RUNS.key(record.herd, record.run)
    transaction = (
        Transaction()
        .delete(key)
        .delete(lineage_key(record.herd, record.run))
        .delete_prefix(SLICES.prefix(record.herd, record.run))
    )
    await cluster.barn.commit(transaction)
    shutil.rmtree(folder / "runs" / record.run, ignore_errors=True)


async def _sweep(cluster: Cluster, folder: Path) -> None:
    """Take away what no run needs any more: pipelines (published versions stay), bundles (those of what is deployed stay), environments, folders of runs that are not known.

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
    # A run that is submitted at this moment has no record yet.
    stored = await stored_bundles(cluster.barn, before_ms=round(before_s * 1000))
    for name in stored - bundles:
        await cluster.barn.delete_prefix(BUNDLES.prefix(name))
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
