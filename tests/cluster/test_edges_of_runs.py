"""What joins the slices of a run: slots, also where a step keeps all that it is given; and explain and lineage say so."""

from __future__ import annotations

import json

from runi_project import Project

ROWS = 300_000  # several slots full
STEPS = """
import pyarrow as pa

@step(each="batch")
def numbers():
    for start in range(0, 300_000, 50_000):
        yield pa.record_batch({"n": pa.array(range(start, start + 50_000), pa.int64())})

@step(each="input")
def whole(rows):
    return rows.sort_by([("n", "descending")])
"""


def test_slices_of_a_run_are_joined_by_slots_and_a_step_may_keep_all_of_them(project: Project):
    project.step(STEPS)
    project.pipeline(
        '@step("numbers", isolate=true)\n@step("whole", isolate=true)\n'
        '@step(sql="SELECT sum(n) AS total, count(*) AS rows FROM input", isolate=true)\n'
        '@sink("jsonl://out.jsonl")'
    )
    explained = project.runi("explain", "features/p.dsl")
    assert "together, joined by slots" in explained.out
    said = project.runi("run", "features/p.dsl", "-o", "json")
    assert said.code == 0, said
    assert json.loads((project.root / "out.jsonl").read_text()) == {
        "total": sum(range(ROWS)),
        "rows": ROWS,
    }
    lineage = project.runi("lineage", "last", "-o", "json").document
    joined = [(edge["source"], edge["target"], edge["transport"]) for edge in lineage["edges"]]
    assert joined == [
        ("one.numbers", "one.whole", "slots"),
        ("one.whole", "one.sql", "slots"),
        ("one.sql", "one.sink", "slots"),
    ]
    assert "300,000 rows, through slots" in project.runi("lineage", "last").out
