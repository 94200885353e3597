"""What a slice uses is told while it runs."""

from __future__ import annotations

import time
from typing import Any

from runi_project import RUN_S_MAX, Project

STEPS = """
import os, time

@step(each="batch")
def hold(batch):
    held = bytearray(b"x") * (100 << 20)
    while not os.path.exists("data/go"):
        time.sleep(0.01)
    return batch
"""


def used(project: Project) -> dict[str, Any]:
    """Return what the slice has used, as soon as that is known."""
    until_s = time.monotonic() + RUN_S_MAX
    while time.monotonic() < until_s:
        said = project.runi("slice", "get", "last", "one", "-o", "json")
        if said.code == 0 and (found := said.document["used"]) is not None:
            return found
    raise AssertionError("nothing is told of a slice that runs")


def test_what_a_slice_uses_is_told_while_it_runs(project: Project):
    project.write("data/x.csv", "a\n1\n")
    project.step(STEPS)
    project.pipeline('@source("csv://data/*.csv")\n@step("hold")\n@sink("jsonl://out/y.jsonl")')
    with project.up():
        child = project.popen("run", "features/p.dsl")
        try:
            found = used(project)
        finally:
            project.write("data/go", "")
            child.communicate(timeout=RUN_S_MAX)
        assert found["memory_bytes"] > 100 << 20
        assert found["cpu_s"] > 0
        assert found["processes"] >= 2
        assert project.runi("slice", "get", "last", "one", "-o", "json").document["used"] is None
