"""`runi why` with real processes: a run that waits and one that runs, what would be if, and a decision made again after the cluster has gone on."""

from __future__ import annotations

from contextlib import aclosing

import anyio
from runi_project import Project
from runink.barn.keys import RUNS
from runink.cli.exits import ExitCode
from runink.clients.connecting import connected
from runink.config import NodeSettings, offered
from runink.runs.records import RunRecord
from team_world import ROWS, ended
from test_cluster_life import GATED, running


async def both(project: Project) -> tuple[str, str]:
    """Return the run that has its place and the one that waits for one, when the scheduler has said why."""
    settings = NodeSettings(state=project.root / ".runink", capacity=offered())
    async with connected(settings) as cluster:
        listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
        runs = {found.value.run: found.value for found in listing.items}
        after = listing.revision
        while not (len(runs) == 2 and any("needs cpu" in one.waits_for for one in runs.values())):
            watch = cluster.barn.watch(RUNS.prefix(), after_revision=after)
            async with aclosing(watch) as changes:
                await anext(changes)
            listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
            runs = {found.value.run: found.value for found in listing.items}
            after = listing.revision
    placed, waits = sorted(runs, key=lambda run: "needs cpu" in runs[run].waits_for)
    return placed, waits


def test_why_a_run_waits_and_why_another_is_where_it_is(project: Project) -> None:
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(GATED)
    with project.up():
        cpu_m = project.runi("node", "get", "local", "-o", "json").document["capacity"]["cpu_m"]
        for file, out in (("p", "o"), ("second", "second")):
            body = f'@requires(cpu={cpu_m * 3 // 4}m)\n@source("csv://data/*.csv")\n@step("work")\n@sink("jsonl://out/{out}.jsonl")'
            project.pipeline(body, file=f"features/{file}.dsl")
        first = running(project)
        second = project.popen("run", "features/second.dsl", "-o", "json")
        placed_run, run = anyio.run(both, project)

        more = f"node w9 cpu={cpu_m}m memory=64Gi"
        said = project.runi("why", run, "-o", "json").document
        (gang,) = said["gangs"]
        assert (gang["stands"], gang["position"], gang["queue"]) == ("waiting", 1, 1)
        assert said["nodes"] == sum(gang["counts"].values()) == 1
        assert gang["counts"] == {"cpu": 1}
        assert "more free on local" in gang["parts"][0]["remedies"][0]
        then = project.runi("why", run, "--if", more, "-o", "json").document
        assert (then["if"], then["gangs"][0]["nodes"]) == ([more], ["w9"])
        assert [one["after"] for one in then["differences"]] == ["placed on w9"]

        (placed,) = project.runi("why", placed_run, "-o", "json").document["gangs"]
        assert (placed["stands"], placed["nodes"]) == ("placed", ["local"])
        assert placed["parts"][0]["candidates"][0]["node"] == "local"
        before = project.runi("why", placed_run, "--replay")
        assert before.code == 0, before
        assert f"placed   {placed_run}/one on local" in before.out

        project.write("data/go", "")
        out, _ = second.communicate(timeout=60)
        assert second.returncode == 0, out
        assert project.rows("out/second.jsonl") == ROWS
        (project.root / "out/second.jsonl").unlink()
        ended(first, project)
        after = project.runi("why", "--replay", str(placed["decision"]))
        assert after.out == before.out, "what was decided then does not depend on what is now"
        assert project.runi("barn", "compact").code == 0
        gone = project.runi("why", placed_run, "--replay", "-o", "json")
        assert (gone.code, gone.error["code"]) == (ExitCode.FAILED, "compacted"), gone
