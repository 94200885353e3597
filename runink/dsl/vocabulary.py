"""The annotations: what there is, where it stands, what it takes; and what is not there yet.

An annotation, parameter, clause or inner annotation whose part is not built is known all the same: it is checked (`later.py`), and then told as
not there yet, so that a file that waits for it is right on the day it comes.  This table is what `arguments.py` binds by, what did-you-mean looks through, and what `docs/reference/dsl.md` is tested against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class Where(Enum):
    FILE = "above Feature:"
    SCENARIO = "above or below Scenario:"
    BODY = "in a scenario"
    ANYWHERE = "above Feature: or in a scenario"


class Type(Enum):
    """What the value of a parameter is; said of those that `later.py` checks."""

    TEXT = "text"
    TEXTS = "a list of texts"
    NAME = "a name"
    FLAG = "true or false"
    COUNT = "a whole number"
    DURATION = "a duration"


@dataclass(frozen=True, slots=True)
class AnnotationKind:
    """One annotation. `first` is the parameter that needs no name; `one_of` are those of which one must be there.

    `types` are those of parameters that nothing else reads: an annotation that is read says itself what its values are.
    """

    name: str
    where: Where
    parameters: tuple[str, ...]
    first: str = ""
    one_of: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()  # annotations that may stand within it
    types: Mapping[str, Type] = field(default_factory=dict)
    is_open: bool = False  # takes whatever is named
    is_single: bool = False  # once in a file or scenario
    example: str = ""
    later: str = ""  # its part is not there yet: what to do until then


# What a place is said by where it is not said by a URI (`locations.py`).
PARTS: Final = ("type", "path", "topic", "schema", "table", "format")
REQUIRED: Final = (
    "cpu",
    "memory",
    "processes",
    "disk",
    "io",
    "network",
    "gpu",
    "label",
    "sees",
    "grace",
)
AFFINITY: Final = ("label", "colocate_with", "anti", "domain", "skew")


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
        ("layer", "domain", "owner", "herd"),
        is_single=True,
        example='@module(layer="bronze")',
    ),
    AnnotationKind(
        "source",
        Where.BODY,
        (
            "uri",
            *PARTS,
            "as",
            "nulls",
            "delimiter",
            "isolate",
        ),
        "uri",
        ("uri", "type"),
        inner=("window", "meta"),
        example='@source("csv://data/x.csv")',
    ),
    AnnotationKind(
        "contract",
        Where.BODY,
        ("path", "on", "on_invalid", "on_drift", "version", "isolate"),
        "path",
        ("path",),
        example='@contract("contracts/x.py:Name")',
    ),
    AnnotationKind(
        "step",
        Where.BODY,
        ("name", "file", "sql", "run", "format", "as", "id", "from", "after", "isolate"),
        "name",
        ("name", "sql", "run"),
        inner=("meta",),
        example='@step("name")',
    ),
    AnnotationKind(
        "sink",
        Where.BODY,
        (
            "uri",
            *PARTS,
            "mode",
            "from",
            "after",
            "isolate",
        ),
        "uri",
        ("uri", "type"),
        clauses=("when", "with"),
        inner=("meta",),
        example='@sink("parquet://out/x.parquet")',
    ),
    AnnotationKind(
        "deadletter",
        Where.BODY,
        ("uri", *PARTS, "mode"),
        "uri",
        ("uri", "type"),
        is_single=True,
        example='@deadletter("jsonl://out/dead/x.jsonl")',
    ),
    AnnotationKind(
        "requires",
        Where.BODY,
        REQUIRED,
        "",
        REQUIRED,
        example="@requires(cpu=1, memory=512Mi)",
    ),
    AnnotationKind(
        "affinity",
        Where.BODY,
        AFFINITY,
        "",
        AFFINITY,
        example='@affinity(label="gpu")',
    ),
    AnnotationKind(
        "priority",
        Where.FILE,
        ("level",),
        "level",
        ("level",),
        is_single=True,
        example="@priority(5)",
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
        ("path", "input", "key", "ignore", "tolerance", "relative", "ordered"),
        "path",
        ("path",),
        example='@golden("golden/x.csv", key=["id"])',
    ),
    AnnotationKind(
        "feature",
        Where.FILE,
        ("name", "herd"),
        "name",
        ("name", "herd"),
        is_single=True,
        example='@feature(name="On time", herd="analytics")',
    ),
    AnnotationKind(
        "meta",
        Where.ANYWHERE,
        (),
        is_open=True,
        example='@meta(region="us", vendor="x")',
    ),
    AnnotationKind(
        "schedule",
        Where.ANYWHERE,
        ("cron", "every", "tz", "timezone", "missed", "overlap", "deadline", "start", "end"),
        "cron",
        ("cron", "every"),
        is_single=True,
        example='@schedule("0 6 * * *", tz="Europe/Berlin")',
    ),
    AnnotationKind(
        "retry",
        Where.ANYWHERE,
        ("times", "delay", "delay_max"),
        "times",
        ("times",),
        example="@retry(3, delay=10s)",
    ),
    AnnotationKind(
        "timeout",
        Where.ANYWHERE,
        ("after",),
        "after",
        ("after",),
        example="@timeout(30m)",
    ),
    AnnotationKind(
        "checkpoint",
        Where.BODY,
        ("format", "every"),
        "format",
        example="@checkpoint(format=parquet)",
    ),
    # Those whose part is not there yet.
    AnnotationKind(
        "auto",
        Where.BODY,
        ("prompt",),
        "prompt",
        ("prompt",),
        types={"prompt": Type.TEXT},
        example='@auto("summarise what users do")',
        later="write the description yourself",
    ),
    AnnotationKind(
        "emits",
        Where.BODY,
        ("event",),
        "event",
        ("event",),
        types={"event": Type.NAME},
        example='@emits("alerts/late")',
        later="look at the run's end: runi run -o json",
    ),
    AnnotationKind(
        "trigger",
        Where.ANYWHERE,
        ("uri", "pipeline"),
        "uri",
        ("uri", "pipeline"),
        types={"uri": Type.TEXT, "pipeline": Type.NAME},
        example='@trigger("csv://in/*.csv")',
        later="call runi run from what happens",
    ),
    AnnotationKind(
        "window",
        Where.BODY,
        ("size", "sliding", "every", "session"),
        "size",
        ("size", "sliding", "session"),
        types=dict.fromkeys(("size", "sliding", "every", "session"), Type.DURATION),
        example="@window(sliding=10m, every=2m)",
        later="group by time in a SQL step",
    ),
)

# Annotations of other tools, and what to do here.
ELSEWHERE: Final = {
    "lineage": "lineage is recorded by itself: runi lineage",
    "partition": "write one @sink … when for each part",
    "quality": 'write @assert("…"), or rules in the contract',
    "secret": "credentials of object stores come from the agent's environment",
    "slo": 'write @assert("…")',
    "tag": "leave it away",
}

# Parameters that are in use elsewhere, and what to do until they are built: (annotation, parameter).
PARAMETERS_NOT_YET: Final = {
    ("source", "contract"): "write @contract(…) below it",
    ("step", "domain"): "leave it away",
    ("step", "each"): "the function says it itself: @step(each=…) in its file",
    ("sink", "when"): 'write it without =: when "…"',
}

# What stands above a header describes it, whatever scenario is above that.
DESCRIBES_SCENARIO: Final = frozenset({"module", "schedule", "trigger"})
# What a step has once, a scenario once, and the file once.
FOR_STEPS: Final = frozenset({"retry", "timeout"})
OF_THE_FILE: Final = frozenset(
    name for name, kind in ANNOTATIONS.items() if kind.where is Where.FILE
)
