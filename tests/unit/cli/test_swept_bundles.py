"""What `runi clean` leaves of bundles: those that a version was published with stay, and who has brought one that is gone is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.barn.keys import BUNDLE_OWNERS, BUNDLES, pipeline_key
from runink.cli.clean import sweep
from runink.clients.bundle_store import HEAD, Head
from runink.clients.uploads import BundleOwner
from runink.dag import Dag
from runink.governance.registry import Origin, PipelineVersion
from runink.names import BundleHash, HerdName, PipelineName
from runink.testing.served import Served, served

pytestmark = pytest.mark.anyio
SALES, DAILY = HerdName("sales"), PipelineName("daily")
KEPT, UNUSED = BundleHash("a" * 64), BundleHash("b" * 64)


async def left(cluster: Served) -> set[str]:
    found = await cluster.barn.range(BUNDLES.prefix(), bytes)
    owners = await cluster.barn.range(BUNDLE_OWNERS.prefix(), bytes)
    return {one.key for one in (*found.items, *owners.items)}


async def test_bundles_of_published_versions_stay_and_owners_of_others_go(tmp_path: Path):
    async with served() as cluster:
        for name in (KEPT, UNUSED):
            await cluster.barn.put(BUNDLES.key(name, HEAD), Head(0, 0, put_ms=1))
            owner = BundleOwner(SALES, name, "operator:root", 1, "", 1, 1)
            await cluster.barn.put(BUNDLE_OWNERS.key(SALES, name), owner)
        dag = Dag(DAILY, SALES, "", "daily.dsl", (), (), (), ())
        version = PipelineVersion("1.0.0", dag, "h", Origin("f", "ann", 1), bundle=KEPT)
        await cluster.barn.put(pipeline_key(SALES, DAILY, "1.0.0"), version)
        await sweep(cluster.cluster, tmp_path)
        assert await left(cluster) == {
            BUNDLES.key(KEPT, HEAD),
            BUNDLE_OWNERS.key(SALES, KEPT),
        }
