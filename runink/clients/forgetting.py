"""Runs that are forgotten: their records go, and what the Barn has for them alone.

A submission compares the pipeline's revision and puts it again where it was taken away meanwhile; what is younger than a moment that the caller names stays, because between a bundle and the
record of its run lies a second.
"""

from __future__ import annotations

from typing import NamedTuple

from runink.barn.keys import (
    BACKFILLS,
    BUNDLE_OWNERS,
    BUNDLES,
    DEPLOYMENTS,
    PIPELINES,
    RUNS,
    SLICES,
    lineage_key,
    run_key,
)
from runink.clients.barn import BarnClient, Transaction
from runink.clients.bundle_store import stored_bundles
from runink.clients.publishing import pipeline_versions
from runink.clients.uploads import BundleOwner
from runink.contracts.versions import is_version
from runink.runs.records import RunRecord
from runink.runs.schedule_records import BackfillRecord, DeploymentRecord


class Needed(NamedTuple):
    """The runs that there are, and the bundles that they, deployments and published versions have."""

    runs: set[str]
    bundles: set[str]


async def forget_run(barn: BarnClient, record: RunRecord) -> None:
    """Take a run's records away: its own, its slices', its lineage."""
    transaction = (
        Transaction()
        .delete(run_key(record.herd, record.run))
        .delete(lineage_key(record.herd, record.run))
        .delete_prefix(SLICES.prefix(record.herd, record.run))
    )
    await barn.commit(transaction)


async def sweep_barn(barn: BarnClient, *, before_ms: int) -> Needed:
    """Take away pipelines that no run has (published versions stay), and bundles that nothing has, of before that moment. Return what is needed."""
    records = [found.value for found in (await barn.range(RUNS.prefix(), RunRecord)).items]
    versions = {(one.herd, one.pipeline, one.version) for one in records}
    for found in (await barn.range(PIPELINES.prefix(), bytes)).items:
        parts = PIPELINES.parse(found.key)
        if parts not in versions and not (parts and is_version(parts[-1])):
            await barn.delete(found.key)
    deployed = await barn.range(DEPLOYMENTS.prefix(), DeploymentRecord)
    bundles: set[str] = {one.bundle for one in records}
    bundles |= {found.value.bundle for found in deployed.items}
    bundles |= {found.value.bundle for found in await pipeline_versions(barn)}
    for name in await stored_bundles(barn, before_ms=before_ms) - bundles:
        await barn.delete_prefix(BUNDLES.prefix(name))
    for owned in (await barn.range(BUNDLE_OWNERS.prefix(), BundleOwner)).items:
        if owned.value.bundle not in bundles and owned.value.put_ms < before_ms:
            await barn.delete(owned.key)
    return Needed({one.run for one in records}, bundles)


async def forget_backfills(barn: BarnClient) -> None:
    """Forget backfills that make no run any more."""
    for found in (await barn.range(BACKFILLS.prefix(), BackfillRecord)).items:
        if found.value.is_done:
            await barn.delete(found.key)
