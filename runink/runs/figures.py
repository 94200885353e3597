"""A run's figures: what its slices report, added up by scenario. What assertions are about, and what people are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from runink.dag import MAIN, Check, Dag, Sink, Source
from runink.jobs import Done, Failed, NodeFacts, Rejections
from runink.runs.records import SliceRecord, Task

REASONS_MAX = 100  # of a scenario; a contract has that many rules only when it is generated


class Figures(msgspec.Struct, frozen=True):
    """One scenario, added up. `seconds` is from its first slice's launch to its last one's end, 0 while it runs."""

    name: str
    rows_in: int
    rows_out: int
    rejected: int
    seconds: float
    reasons: tuple[Rejections, ...] = ()

    @property
    def rejected_ratio(self) -> float:
        return self.rejected / self.rows_in if self.rows_in else 0.0


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
    launched = [record.launched_ms for record in mine if record.launched_ms]
    ended = [record.ended_ms for record in mine]
    return Figures(
        name=scenario,
        rows_in=rows_in(dag, scenario, facts),
        rows_out=rows_out(dag, scenario, facts),
        rejected=sum(row.rejected for row in facts.values()),
        seconds=(max(ended) - min(launched)) / 1000 if launched and all(ended) else 0.0,
        reasons=reasons[:REASONS_MAX],
    )


def rows_in(dag: Dag, scenario: str, facts: Mapping[str, NodeFacts]) -> int:
    """Return how many rows came in: out of the main sources, or into the steps that begin the scenario."""
    ids = {node.id: node for node in dag.nodes if node.scenario == scenario}
    feeds = {link.source for link in dag.links if link.role == MAIN}
    sources = [name for name, node in ids.items() if isinstance(node, Source) and name in feeds]
    return sum(facts[name].rows_out for name in sources if name in facts)


def rows_out(dag: Dag, scenario: str, facts: Mapping[str, NodeFacts]) -> int:
    """Return how many rows came out: of the nodes that feed sinks, or that nothing follows."""
    ids = {node.id: node for node in dag.nodes if node.scenario == scenario}
    onward = {
        link.source
        for link in dag.links
        if link.role == MAIN and not isinstance(ids.get(link.target), Sink)
    }
    ends = [name for name, node in ids.items() if not isinstance(node, Sink) and name not in onward]
    side = {link.source for link in dag.links if link.role != MAIN} - {
        link.source for link in dag.links if link.role == MAIN
    }
    checks = {name for name, node in ids.items() if isinstance(node, Check)}
    return sum(
        facts[name].rows_out
        for name in ends
        if name in facts and (name not in side or name in checks)
    )
