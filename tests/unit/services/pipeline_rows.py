"""Rows of operations on pipelines. What is compiled needs a bundle that the herd has brought: who may is told that it has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access_row import Row
from runink.barn.keys import pipeline_key
from runink.dag import Dag
from runink.governance.registry import Origin, PipelineVersion
from runink.names import HerdName, PipelineName
from runink.testing.served import NOW_MS, Served

DAILY = PipelineName("daily")
OF = {"pipeline": DAILY}
BUNDLE = {"bundle": "ab" * 32, "file": "daily.dsl"}


async def published(world: Served, herd: str) -> Mapping[str, Any]:
    """Have a version of a pipeline in the herd."""
    whose = HerdName(herd)
    dag = Dag(DAILY, whose, f"of {herd}", "daily.dsl", (), (), (), ())
    version = PipelineVersion("1.0.0", dag, "h", Origin("daily.dsl", "operator:root", NOW_MS))
    await world.barn.put(pipeline_key(whose, DAILY, "1.0.0"), version)
    return {}


PIPELINE_ROWS: dict[str, Row] = {
    "pipelines.list": Row(prepare=published, shows=DAILY),
    "pipelines.get": Row(OF, prepare=published),
    "pipelines.versions.list": Row(OF, prepare=published),
    "pipelines.versions.get": Row({**OF, "version": "1.0.0"}, prepare=published),
    "pipelines.versions.publish": Row({**OF, **BUNDLE}, told="no_bundle"),
    "pipelines.versions.delete": Row({**OF, "version": "1.0.0"}, prepare=published),
    "pipelines.deploy": Row({**OF, **BUNDLE}, told="no_bundle"),
}
