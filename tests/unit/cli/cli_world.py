"""Runs as values, for what the command line says about them."""

from __future__ import annotations

from typing import Any

from runink.cli.summary import WIDTH, summary
from runink.clients.run_requests import RunView
from runink.dag import Dag, Resources
from runink.errors import WireError
from runink.jobs import NodeFacts, Prepared, Rejections
from runink.names import BundleHash, HerdName, NodeId, PipelineName, RunId, SliceId
from runink.runs.figures import Figures
from runink.runs.records import Failure, RunRecord, RunState, SliceRecord, SliceState
from runink.testing.projects import MemoryProject, compile_text, contract_of

RUN = RunId("01M8945NT298BV3P5EC6PBTWHQ")
CONTRACT = "contracts/c.py:Row"
TEXT = """
@herd("default")
Feature: A test

  Scenario: one
    @source("csv://in.csv")
    @contract("contracts/c.py:Row")
    @sink("parquet://out/o.parquet")
    @deadletter("jsonl://out/dead.jsonl")

  Scenario: second
    @source("parquet://out/o.parquet")
    @sink("csv://out/second.csv")
"""


def a_dag() -> Dag:
    """Two scenarios, the second of which reads what the first writes."""
    contracts = {CONTRACT: contract_of(CONTRACT, {"a": "int"})}
    return compile_text(TEXT, project=MemoryProject(contracts=contracts), file="features/p.dsl").dag


def a_run(state: RunState = RunState.SUCCEEDED, **changes: Any) -> RunRecord:
    fields: dict[str, Any] = {
        "run": RUN,
        "herd": HerdName("default"),
        "pipeline": PipelineName("p"),
        "version": "v",
        "title": "A test",
        "file": "features/p.dsl",
        "project": "/p",
        "bundle": BundleHash("b"),
        "state": state,
        "submitted_ms": 1_000,
        "ended_ms": 3_500 if state.is_over else 0,
    }
    return RunRecord(**(fields | changes))


def prepared(sink: str, uri: str, rows: int, size: int = 1000) -> Prepared:
    return Prepared(sink, uri, "file", "/p/.aside", "/p/target", "overwrite", rows, size, "ab" * 32)


PREPARED = (
    prepared("one.deadletter", "jsonl://out/dead.jsonl", 1),
    prepared("one.sink", "parquet://out/o.parquet", 2, 9_000),
    prepared("second.sink", "csv://out/second.csv", 1, 1),
)
FIGURES = (
    Figures("one", 3, 2, 1, 0.7, (Rejections("one.contract", "a", "missing", "a is missing", 1),)),
    Figures("second", 2, 2, 0, 0.0),
)


def a_slice(name: str, state: SliceState, **changes: Any) -> SliceRecord:
    fields: dict[str, Any] = {
        "slice": SliceId(name),
        "run": RUN,
        "herd": HerdName("default"),
        "gang": name,
        "state": state,
        "resources": Resources(),
        "node": NodeId("local"),
    }
    return SliceRecord(**(fields | changes))


def a_view(
    record: RunRecord | None = None,
    *,
    figures: tuple[Figures, ...] = FIGURES,
    slices: tuple[SliceRecord, ...] = (),
    progress: tuple[NodeFacts, ...] = (),
) -> RunView:
    return RunView(1, record or a_run(prepared=PREPARED), slices, figures, progress)


def a_failure(**changes: Any) -> Failure:
    error = WireError("Refused", "step_raised", "step work raised ValueError: no", "mend it")
    return Failure(**({"error": error, "slice": "one", "step": "one.work"} | changes))


def said(view: RunView, width: int = WIDTH) -> str:
    return "\n".join(summary(view, a_dag(), width=width))
