"""A run's figures: what its slices report, added up by scenario. What assertions are about, and what people are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from runink.checkpoints import joined
from runink.dag import MAIN, REJECTED, Check, Dag, Link, Sink, Source
from runink.jobs import Done, Drifted, Failed, NodeFacts, Rejections
from runink.runs.records import SliceRecord, Task

_COUNTED: Final = "counted"  # in a pipeline's own dictionary
REASONS_MAX = 100  # of a scenario; a contract has that many rules only when it is generated


class Figures(msgspec.Struct, frozen=True):
    """One scenario, added up. `seconds` is from its first slice's launch to its last one's end, 0 while it runs; what was taken over of another run takes none.

    Rows of side inputs are no rows of the scenario. Where a contract checks one, what it rejects counts, and `rows_aside` are the rows it was given.
    """

    name: str
    rows_in: int
    rows_out: int
    rejected: int
    seconds: float
    reasons: tuple[Rejections, ...] = ()
    rows_aside: int = 0
    drifts: tuple[Drifted, ...] = ()

    @property
    def rejected_ratio(self) -> float:
        given = self.rows_in + self.rows_aside
        return self.rejected / given if given else 0.0


def facts_of(slices: Iterable[SliceRecord]) -> dict[str, NodeFacts]:
    """Return what each node did, of the slices that have reported."""
    return {
        facts.node: facts
        for record in slices
        if record.task is Task.CHAIN and isinstance(record.report, Done | Failed)
        for facts in record.report.nodes
    }


def figures_of(dag: Dag, scenario: str, slices: Mapping[str, SliceRecord]) -> Figures:
    """Add up a scenario's slices."""
    mine = [
        slices[spec.id] for spec in dag.slices if spec.scenario == scenario and spec.id in slices
    ]
    facts = facts_of(mine)
    reports = [record.report for record in mine if isinstance(record.report, Done | Failed)]
    reasons = tuple(row for report in reports for row in report.rejections)
    own = [record for record in mine if record.taken_from is None]
    launched = [record.launched_ms for record in own if record.launched_ms]
    ended = [record.ended_ms for record in own]
    return Figures(
        name=scenario,
        rows_in=rows_in(dag, scenario, facts),
        rows_out=rows_out(dag, scenario, facts),
        rejected=sum(row.rejected for row in facts.values()),
        seconds=(max(ended) - min(launched)) / 1000 if launched and all(ended) else 0.0,
        reasons=reasons[:REASONS_MAX],
        rows_aside=_read(facts, _counted(dag)[scenario].asides),
        drifts=tuple(row for report in reports for row in report.drifts)[:REASONS_MAX],
    )


class _Counted(NamedTuple):
    """The nodes of a scenario whose rows out are its figures: its sources, those of its side inputs that a contract checks, and its ends."""

    sources: frozenset[str]
    asides: frozenset[str]
    ends: tuple[str, ...]


def rows_in(dag: Dag, scenario: str, facts: Mapping[str, NodeFacts]) -> int:
    """Return how many rows came in: out of the sources, save for side inputs."""
    return _read(facts, _counted(dag)[scenario].sources)


def rows_out(dag: Dag, scenario: str, facts: Mapping[str, NodeFacts]) -> int:
    """Return how many rows came out: of the nodes that nothing but sinks follows, save for side inputs."""
    return _read(facts, _counted(dag)[scenario].ends)


def _read(facts: Mapping[str, NodeFacts], nodes: Iterable[str]) -> int:
    return sum(facts[name].rows_out for name in nodes if name in facts)


def _counted(dag: Dag) -> Mapping[str, _Counted]:
    """Return what is counted of each scenario. It is worked out once and stays with the pipeline, as its index does: whoever follows a run is shown its figures with every change."""
    known: dict[str, _Counted] | None = vars(dag).get(_COUNTED)
    if known is None:
        whole = joined(dag)
        asides = _asides(whole)
        known = {one.id: _counted_of(whole, one.id, asides) for one in dag.scenarios}
        vars(dag)[_COUNTED] = known
    return known


def _counted_of(dag: Dag, scenario: str, asides: set[str]) -> _Counted:
    sources = {
        node.id for node in dag.nodes if isinstance(node, Source) and node.scenario == scenario
    }
    checked = {link.source for link in dag.links if link.role == MAIN}
    ids = {node.id: node for node in dag.nodes if node.scenario == scenario}
    onward = {
        link.source
        for link in dag.links
        if link.role == MAIN and not isinstance(ids.get(link.target), Sink)
    }
    ends = (name for name, node in ids.items() if not isinstance(node, Sink))
    left_out = onward | asides
    return _Counted(
        frozenset(sources - asides),
        frozenset(sources & asides & checked),
        tuple(name for name in ends if name not in left_out),
    )


def _asides(dag: Dag) -> set[str]:
    """Return the nodes whose rows go into side inputs only, by way of contracts or not."""
    onward: dict[str, list[Link]] = {}
    for link in dag.links:
        if link.role != REJECTED:
            onward.setdefault(link.source, []).append(link)
    checks = {node.id for node in dag.nodes if isinstance(node, Check)}

    def is_aside(name: str) -> bool:
        links = onward.get(name, [])
        return bool(links) and all(
            link.role != MAIN or (link.target in checks and is_aside(link.target)) for link in links
        )

    return {node.id for node in dag.nodes if is_aside(node.id)}
