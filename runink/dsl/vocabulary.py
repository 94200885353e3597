"""The annotations: what there is, where it stands, what it takes; and what is not there yet.

This table is what `arguments.py` binds by, what did-you-mean looks through, and what `docs/reference/dsl.md` is tested against.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Where(Enum):
    FILE = "above Feature:"
    SCENARIO = "above or below Scenario:"
    BODY = "in a scenario"


@dataclass(frozen=True, slots=True)
class AnnotationKind:
    """One annotation. `first` is the parameter that needs no name; `one_of` are those of which one must be there."""

    name: str
    where: Where
    parameters: tuple[str, ...]
    first: str = ""
    one_of: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    is_single: bool = False  # once in a file or scenario
    example: str = ""


def _table(*kinds: AnnotationKind) -> dict[str, AnnotationKind]:
    return {kind.name: kind for kind in kinds}


ANNOTATIONS: Final = _table(
    AnnotationKind(
        "herd",
        Where.FILE,
        ("name",),
        "name",
        ("name",),
        is_single=True,
        example='@herd("analytics")',
    ),
    AnnotationKind(
        "param",
        Where.FILE,
        ("name", "default", "description"),
        "name",
        ("name",),
        example='@param("day", default="2013-01-01")',
    ),
    AnnotationKind(
        "module",
        Where.SCENARIO,
        ("layer", "domain", "owner"),
        is_single=True,
        example='@module(layer="bronze")',
    ),
    AnnotationKind(
        "source",
        Where.BODY,
        ("uri", "as", "nulls", "delimiter", "isolate"),
        "uri",
        ("uri",),
        example='@source("csv://data/x.csv")',
    ),
    AnnotationKind(
        "contract",
        Where.BODY,
        ("path", "on", "on_invalid", "isolate"),
        "path",
        ("path",),
        example='@contract("contracts/x.py:Name")',
    ),
    AnnotationKind(
        "step",
        Where.BODY,
        ("name", "file", "sql", "run", "format", "as", "from", "isolate"),
        "name",
        ("name", "sql", "run"),
        example='@step("name")',
    ),
    AnnotationKind(
        "sink",
        Where.BODY,
        ("uri", "mode", "from", "isolate"),
        "uri",
        ("uri",),
        clauses=("when",),
        example='@sink("parquet://out/x.parquet")',
    ),
    AnnotationKind(
        "deadletter",
        Where.BODY,
        ("uri", "mode"),
        "uri",
        ("uri",),
        is_single=True,
        example='@deadletter("jsonl://out/dead/x.jsonl")',
    ),
    AnnotationKind(
        "requires",
        Where.BODY,
        ("cpu", "memory", "processes", "disk", "io", "network"),
        "",
        ("cpu", "memory", "processes", "disk", "io", "network"),
        example="@requires(cpu=1, memory=512Mi)",
    ),
    AnnotationKind(
        "affinity", Where.BODY, ("label",), "", ("label",), example='@affinity(label="gpu")'
    ),
    AnnotationKind(
        "assert",
        Where.BODY,
        ("condition",),
        "condition",
        ("condition",),
        example='@assert("rejected_ratio <= 0.01")',
    ),
    AnnotationKind(
        "golden",
        Where.BODY,
        ("path", "key", "tolerance"),
        "path",
        ("path",),
        example='@golden("golden/x.csv", key=["id"])',
    ),
)

# Annotations that people of this field expect, and what to do until they are built.
NOT_YET: Final = {
    "auto": "write the description yourself",
    "checkpoint": "write a @sink and read it in the next scenario: that is a checkpoint",
    "emits": "look at the run's end: runi run -o json",
    "feature": 'write Feature: and a title, and @herd("…") above it',
    "lineage": "lineage is recorded by itself: runi lineage",
    "meta": "leave it away",
    "partition": "write one @sink … when for each part",
    "quality": 'write @assert("…"), or rules in the contract',
    "retry": "slices that are lost are retried by themselves",
    "schedule": "call runi run from cron or a systemd timer",
    "secret": "credentials of object stores come from the agent's environment",
    "slo": 'write @assert("…")',
    "tag": "leave it away",
    "timeout": "runi run --timeout ends slices that take too long",
    "trigger": "call runi run from what happens",
    "window": "group by time in a SQL step",
}

# Parameters that are in use elsewhere, and what to do until they are built: (annotation, parameter).
PARAMETERS_NOT_YET: Final = {
    ("affinity", "colocate_with"): "steps with equal requirements share a process by themselves",
    ("affinity", "domain"): "name a label of nodes: label=…",
    ("module", "herd"): 'a pipeline has one herd: @herd("…") above Feature:',
    ("requires", "label"): "write @affinity(label=…)",
    ("requires", "gpu"): "write @affinity(label=…) with a label that such nodes have",
    ("source", "type"): 'write the format as the URI\'s scheme: "csv://…"',
    ("source", "contract"): "write @contract(…) below it",
    ("step", "after"): "write from=NAME, with as=NAME on the step that it reads",
    ("step", "id"): "write as=NAME",
    ("step", "each"): "the function says it itself: @step(each=…) in its file",
    ("sink", "when"): 'write it without =: when "…"',
}

# What stands above a header describes it, whatever scenario is above that.
DESCRIBES_SCENARIO: Final = frozenset({"module"})
OF_THE_FILE: Final = frozenset(
    {*(name for name, kind in ANNOTATIONS.items() if kind.where is Where.FILE), "feature"}
)
