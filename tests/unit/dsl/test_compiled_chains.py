"""What is compiled runs: scenarios of every shape through the engine that slices run, with real files."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.actors.doors import RealDoors
from runink.jobs import Done
from runink.names import BundleHash, RunId, SliceId
from runink.projects import compile_file
from runink.runs.jobs import Folders, chain_plan
from runink.runs.records import RunRecord, RunState, SliceRecord, SliceState
from runink.steps.chain import run_chain

STEPS = """from runink import step

@step(each="batch")
def plain(rows):
    return rows

@step(each="batch")
def joined(rows, planes, absent=None):
    assert planes.num_rows == 2 and absent is None
    return rows

@step(each="record")
def made():
    yield from ({"id": number, "v": 1} for number in range(5))

@step(each="input")
def whole(planes):
    return planes
"""
CONTRACT = """from typing import Annotated
from runink import Contract, Field

class Row(Contract, version="1.0.0"):
    id: Annotated[int, Field(ge=0)]
    v: int
"""
FILES = {
    "steps/s.py": STEPS,
    "contracts/c.py": CONTRACT,
    "bin/same": "#!/bin/sh\ncat\n",
    "in/a.csv": "id,v\n" + "".join(f"{n},{n % 7}\n" for n in range(1000)) + "-1,3\nx,1\n",
    "in/b.csv": "id,v\n1,10\n2,20\n",
    "in/planes.csv": "id,p\n1,one\n2,two\n",
}
SCENARIOS = {
    "every kind of step behind a union": (
        """
        @source("csv://in/a.csv")
        @source("csv://in/b.csv")
        @source("csv://in/planes.csv", as=planes)
        @contract("contracts/c.py:Row")
        @sink("parquet://out/all.parquet")
        @step("joined")
        @step(sql="SELECT id, v, p FROM input JOIN planes USING (id)")
        @step(run="./bin/same")
        @contract("contracts/c.py:Row")
        @sink("csv://out/few.csv", when "v > 2")
        @deadletter("jsonl://out/dead.jsonl")
        """,
        {"sink": 1002, "sink-2": 2, "deadletter": 2},
    ),
    "a stream and what is made of it": (
        """
        @source("csv://in/a.csv")
        @step("plain", as=rows)
        @step(sql="SELECT max(v) AS m FROM input", as=top)
        @step(sql="SELECT input.id FROM input, top", from=rows)
        @sink("jsonl://out/x.jsonl")
        """,
        {"sink": 1002},
    ),
    "two ways that meet again": (
        """
        @source("csv://in/b.csv", as=b)
        @step("plain", from=b, as=one)
        @step("plain", from=b, as=two)
        @step("plain", from=[one, two])
        @sink("csv://out/x.csv")
        @sink("csv://out/y.csv", from=two)
        """,
        {"sink": 4, "sink-2": 2},
    ),
    "no source": (
        '@step("made")\n@contract("contracts/c.py:Row")\n@sink("json://out/x.json")',
        {"sink": 5},
    ),
    "side inputs only": (
        '@source("csv://in/planes.csv", as=planes)\n@step("whole")\n@sink("arrow://out/x.arrow")',
        {"sink": 2},
    ),
}


@pytest.mark.parametrize("cpus", [1000, 2000])
@pytest.mark.parametrize("shape", SCENARIOS)
def test_a_compiled_scenario_runs(tmp_path: Path, own_modules: None, shape: str, cpus: int) -> None:
    body, rows = SCENARIOS[shape]
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "bin/same").chmod(0o755)
    file = tmp_path / "x.dsl"
    file.write_text(f"Feature: F\nScenario: S\n@requires(cpu={cpus}m)\n{body}")
    dag = compile_file(file, parameters={}).dag
    (spec,) = dag.slices
    run = RunRecord(
        RunId("0" * 26),
        dag.herd,
        dag.pipeline,
        dag.hash,
        dag.title,
        dag.file,
        str(tmp_path),
        BundleHash("b"),
        RunState.RUNNING,
        1,
    )
    record = SliceRecord(
        SliceId(spec.id), run.run, run.herd, spec.gang, SliceState.RUNNING, spec.resources
    )
    folders = Folders(str(tmp_path), str(tmp_path / "run"))
    plan = chain_plan(dag, run, record, slices={}, folders=folders)
    Path(plan.job.scratch).mkdir(parents=True)
    report = run_chain(plan.job, [], lambda progress: None, doors=RealDoors())
    assert isinstance(report, Done), report
    assert {one.sink.removeprefix("s."): one.rows for one in report.prepared} == rows
