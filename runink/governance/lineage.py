"""Lineage: what a run read, did and wrote, as facts that stay when the run's slices are forgotten.

A record holds the datasets (by URI), the stages between them (a node of the pipeline, with its contract and its figures) and the
edges (how many rows went from one to the other).  It is written in the transaction that ends the run, so no run is without.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec
from msgspec.structs import replace

from runink.dag import Check, Dag, Executable, Function, Node, Sink, Source, Sql, Step
from runink.jobs import Done, Drifted, EdgeFacts, Failed, NodeFacts, Prepared
from runink.names import HerdName, RunId


class StageKind(Enum):
    SOURCE = "source"
    CHECK = "check"
    STEP = "step"
    SINK = "sink"
    DEAD_LETTER = "dead letter"
    CHECKPOINT = "checkpoint"


class Stage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one node did. `contract` is name, version and hash; `uri` of a source or a sink; `schema` the columns that came out, `drifts` how what came in departed from a check's contract."""

    node: str
    scenario: str
    kind: StageKind
    label: str
    facts: NodeFacts
    uri: str = ""
    contract: str = ""
    staged_from: str = ""
    schema: tuple[tuple[str, str], ...] = ()
    drifts: tuple[Drifted, ...] = ()


class Dataset(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was written: where, how much, the SHA-256 of its bytes, and for which role, if for one."""

    uri: str
    sink: str
    rows: int
    bytes: int
    sha256: str
    is_dead_letter: bool = False
    role: str = ""


class Lineage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The facts of one run. `version` and `bundle` say with which pipeline and code."""

    run: RunId
    herd: HerdName
    pipeline: str
    version: str
    bundle: str
    state: str
    stages: tuple[Stage, ...]
    edges: tuple[EdgeFacts, ...]
    outputs: tuple[Dataset, ...]
    parameters: dict[str, str] = {}
    resumes: str = ""  # the run that it goes on from


class About(msgspec.Struct, frozen=True):
    """Of which run, and what became of it."""

    run: RunId
    herd: HerdName
    pipeline: str
    version: str
    bundle: str
    state: str
    parameters: dict[str, str]
    resumes: str = ""


def lineage_of(
    about: About, dag: Dag, reports: Mapping[str, Done | Failed], published: tuple[Prepared, ...]
) -> Lineage:
    """Put together what the slices (by id) reported. `published` is what became visible, nothing for a run that failed."""
    facts = {row.node: row for report in reports.values() for row in report.nodes}
    schemas = {
        node: columns
        for report in reports.values()
        if isinstance(report, Done)
        for node, columns in report.schemas.items()
    }
    edges = {
        (edge.source, edge.target, edge.role): edge
        for report in reports.values()
        if isinstance(report, Done)
        for edge in report.edges
    }
    drifts: dict[str, tuple[Drifted, ...]] = {}
    for report in reports.values():
        for row in report.drifts:
            drifts[row.node] = (*drifts.get(row.node, ()), row)
    return Lineage(
        run=about.run,
        herd=about.herd,
        pipeline=about.pipeline,
        version=about.version,
        bundle=about.bundle,
        state=about.state,
        stages=tuple(
            replace(
                _stage(node, facts.get(node.id, NodeFacts(node.id)), schemas.get(node.id, ())),
                drifts=drifts.get(node.id, ()),
            )
            for node in dag.nodes
        ),
        edges=tuple(
            edges.get((link.source, link.target, link.role))
            or EdgeFacts(link.source, link.target, link.role, 0, 0, 0)
            for link in dag.links
        ),
        outputs=tuple(_dataset(dag, one) for one in published),
        parameters=about.parameters,
        resumes=about.resumes,
    )


def _stage(node: Node, facts: NodeFacts, schema: tuple[tuple[str, str], ...]) -> Stage:
    match node:
        case Source(checkpoint=True) | Sink(checkpoint=True):
            label, kind, uri, contract = node.id, StageKind.CHECKPOINT, "", ""
        case Source():
            label, kind, uri, contract = node.uri, StageKind.SOURCE, node.uri, ""
        case Check():
            spec = node.contract
            label, kind, uri = spec.name, StageKind.CHECK, ""
            contract = f"{spec.name} {spec.version} {spec.hash[:12]}"
        case Sink():
            kind = StageKind.DEAD_LETTER if node.dead_letter else StageKind.SINK
            label, uri, contract = node.uri, node.uri, ""
        case Step():
            label, kind, uri, contract = label_of(node), StageKind.STEP, "", ""
    staged_from = node.staged_from if isinstance(node, Source) else ""
    return Stage(node.id, node.scenario, kind, label, facts, uri, contract, staged_from, schema)


def label_of(step: Step) -> str:
    """Return what people call a step: its function, `sql`, or its program."""
    match step.action:
        case Function(_, name):
            return name
        case Sql():
            return "sql"
        case Executable(command):
            return command[0]


def _dataset(dag: Dag, prepared: Prepared) -> Dataset:
    node = dag.node(prepared.sink)
    return Dataset(
        uri=prepared.uri,
        sink=prepared.sink,
        rows=prepared.rows,
        bytes=prepared.bytes,
        sha256=prepared.sha256,
        is_dead_letter=isinstance(node, Sink) and node.dead_letter,
        role=node.role if isinstance(node, Sink) else "",
    )
