"""A run of high priority on a full node, with real processes: what runs there is told to end, the run begins, and afterwards the other ends whole."""

from __future__ import annotations

import json

from runi_project import Project
from runink.runs.draining import PREEMPTED
from team_world import ROWS, ended
from test_cluster_life import GATED, running

URGENT = """
@step(each="record")
def urgent(row):
    return row
"""


def test_a_run_of_low_priority_gives_way_and_ends_whole_afterwards(project: Project) -> None:
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(GATED + URGENT)
    with project.up():
        node = json.loads(project.runi("node", "get", "local", "-o", "json").out)
        most = f"@requires(cpu={node['capacity']['cpu_m'] * 3 // 4}m)"
        for file, step, out in (("p", "work", "o"), ("first", "urgent", "first")):
            body = f'{most}\n@source("csv://data/*.csv")\n@step("{step}")\n@sink("jsonl://out/{out}.jsonl")'
            project.pipeline(body, file=f"features/{file}.dsl")
        low = running(project)
        said = project.runi("run", "features/first.dsl", "--priority", "5")
        assert said.code == 0, said
        assert project.rows("out/first.jsonl") == ROWS
        assert low.poll() is None, "it waits for its place again"
        project.write("data/go", "")
        (project.root / "out/first.jsonl").unlink()
        run = json.loads(ended(low, project).splitlines()[-1])["run"]
        slices = project.runi("slice", "list", run, "-o", "json").document
    chains = [one for one in slices if one["task"] == "chain"]
    assert [(one["attempt"], one["tries"]["code"]) for one in chains] == [(2, PREEMPTED)]
