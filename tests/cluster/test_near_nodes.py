"""`runi agent --near` with real processes: a run reads its bucket on the node that is near it, and on another one where that node takes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from object_store import ObjectStore
from runi_project import Project
from team_world import team

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

LAKE = "s3://lake"


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


def placed(project: Project) -> tuple[str, dict[str, Any]]:
    """Have a run end well; return the node that it was placed on, and why there: what each candidate costs."""
    said = project.run()
    assert said.code == 0, said
    assert len(project.rows("out/o.jsonl")) == 2
    (gang,) = project.runi("why", said.document["run"], "one", "-o", "json").document["gangs"]
    (node,) = gang["nodes"]
    return node, {one["node"]: one["of"] for one in gang["parts"][0]["candidates"]}


async def test_a_run_reads_its_bucket_on_the_node_that_is_near_it_and_else_elsewhere(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ObjectStore().serving() as store:
        store.client.create_bucket(Bucket="lake")
        store.client.put_object(Bucket="lake", Key="in.csv", Body=b"a\n1\n2\n")
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        project.pipeline(f'@source("csv+{LAKE}/in.csv")\n@sink("jsonl://out/o.jsonl")')
        async with team(tmp_path / "team", project, "w1") as made:
            made.hire("w2", "--near", LAKE)
            await made.is_there("w2")
            await anyio.to_thread.run_sync(_check, project)


def _check(project: Project) -> None:
    nodes = project.runi("node", "list", "-o", "json").document
    assert {one["node"]: one["near"] for one in nodes} == {"w1": [], "w2": [LAKE]}
    node, costs = placed(project)
    assert node == "w2"
    assert costs["w2"]["locality"] < 0
    assert "locality" not in costs["w1"]
    assert project.runi("node", "cordon", "w2").code == 0
    node, costs = placed(project)
    assert (node, list(costs)) == ("w1", ["w1"])
