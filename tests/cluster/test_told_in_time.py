"""Slices that have to give way and have a grace, with real processes: one that is told and ends well is done, one that is deaf is stopped and begins anew."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from runi_project import Project
from runink.runs.draining import PREEMPTED
from team_world import ROWS, ended

pytestmark = pytest.mark.timeout(120)
STEPS = """
import os, time
from runink import context

@step(each="record")
def kind(row):
    print("begun", flush=True)
    assert context().wait_stopping(within_s=60)
    assert context().stopping and 0 < context().stopping_in_s <= 60
    return row

@step(each="record")
def deaf(row):
    print("begun", flush=True)
    while not os.path.exists("data/go"):
        time.sleep(0.01)
    return row

@step(each="record")
def urgent(row):
    return row
"""


def begun(project: Project, *children: subprocess.Popen[bytes]) -> None:
    """Wait until the steps of so many runs have begun."""
    while sum(
        b"begun" in path.read_bytes() for path in project.root.glob(".runink/runs/*/logs/*.jsonl")
    ) < len(children):
        for child in children:
            assert child.poll() is None, child.communicate()
        os.sched_yield()


def test_who_ends_within_the_grace_is_done_and_who_does_not_begins_anew(project: Project) -> None:
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(STEPS)
    with project.up():
        node = json.loads(project.runi("node", "get", "local", "-o", "json").out)
        cpu_m = node["capacity"]["cpu_m"]
        steps = (
            ("kind", "kind", f"cpu={cpu_m * 3 // 8}m, grace=60s"),
            ("p", "deaf", f"cpu={cpu_m * 3 // 8}m, grace=200ms"),
            ("first", "urgent", f"cpu={cpu_m * 3 // 4}m"),
        )
        for file, step, asked in steps:
            out = "o" if file == "p" else file
            body = f'@requires({asked})\n@source("csv://data/*.csv")\n@step("{step}")\n@sink("jsonl://out/{out}.jsonl")'
            project.pipeline(body, file=f"features/{file}.dsl")
        kind, deaf = (
            project.popen("run", f"features/{file}.dsl", "-o", "json", stderr=subprocess.STDOUT)
            for file in ("kind", "p")
        )
        begun(project, kind, deaf)
        said = project.runi("run", "features/first.dsl", "--priority", "5")
        assert said.code == 0, said
        out, _ = kind.communicate(timeout=60)
        assert kind.returncode == 0, out.decode()
        for name in ("first", "kind"):
            path = project.root / f"out/{name}.jsonl"
            assert project.rows(f"out/{name}.jsonl") == ROWS
            path.unlink()
        assert deaf.poll() is None, "it waits for its place, or has begun anew"
        project.write("data/go", "")
        runs = [
            json.loads(text.splitlines()[-1])["run"]
            for text in (out.decode(), ended(deaf, project))
        ]
        chains = [
            one
            for run in runs
            for one in project.runi("slice", "list", run, "-o", "json").document
            if one["task"] == "chain"
        ]
    found = [(one["attempt"], one["tries"].get("code", "")) for one in chains]
    assert found == [(1, ""), (2, PREEMPTED)]
    assert chains[1]["tries"]["why"].endswith("with priority 5; it had 200ms for its end")
