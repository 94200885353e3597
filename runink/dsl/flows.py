"""What each stream of a pipeline holds: its nodes gone through so that each comes behind all that it reads (`carried.py`, `queries.py`).

What a sink gets of it is not for the flow to say: whoever goes through a pipeline gives `at_sink`, which is told what came to a sink, and says what the sink holds of that.
"""

from __future__ import annotations

from collections.abc import Callable

from runink.dag import (
    MAIN,
    REJECTED,
    Check,
    Dag,
    Executable,
    Function,
    Link,
    Node,
    Sink,
    Source,
    Sql,
    Step,
)
from runink.dsl.carried import (
    NONE,
    NOTHING,
    Carried,
    Inputs,
    Origins,
    as_came,
    checked,
    mapped,
    merged,
    opaque,
)
from runink.dsl.queries import queried
from runink.topology import topological

AtSink = Callable[[Sink, Carried], Carried]


class Flow:
    """A pipeline that has been gone through. With `pii_only` what is for roles is not followed. `came` is what came to each node, `behind` what it gives or holds."""

    def __init__(self, dag: Dag, at_sink: AtSink, *, pii_only: bool = False) -> None:
        self._dag = dag
        self._at_sink = at_sink
        self._pii_only = pii_only
        self._nodes = {node.id: node for node in dag.nodes}
        self._into: dict[str, list[Link]] = {node.id: [] for node in dag.nodes}
        for link in dag.links:
            self._into[link.target].append(link)
        self.came: dict[str, Carried] = {}
        self.behind: dict[str, Carried] = {}
        for name in self._ordered():
            self.behind[name] = self._behind(self._nodes[name])

    def _ordered(self) -> tuple[str, ...]:
        needs = {
            name: frozenset(link.source for link in links) for name, links in self._into.items()
        }
        for node in self._dag.nodes:
            if isinstance(node, Source) and node.staged_from:
                needs[node.id] |= {node.staged_from}
        ordered = topological(tuple(self._nodes), needs)
        assert ordered is not None, "circles are told before"
        return ordered

    def reaching(self, name: str) -> Origins:
        """Return all that comes to a node, or is in what it gives."""
        came = NONE.union(*(self.behind[link.source].origins for link in self._into[name]))
        return came | self.behind[name].origins

    def _behind(self, node: Node) -> Carried:
        match node:
            case Source():
                came = self.behind[node.staged_from] if node.staged_from else NOTHING
            case Sink(dead_letter=True):
                came = self._rejected(node)
            case _:
                came = self._main(node)
        self.came[node.id] = came
        match node:
            case Source():
                return came
            case Check():
                return checked(came, node.contract, node.on_drift, pii_only=self._pii_only)
            case Step():
                return _done(node, self._inputs(node, came))
            case Sink(checkpoint=True):
                return came
            case Sink():
                return self._at_sink(node, came)

    def _main(self, node: Node) -> Carried:
        links = self._into[node.id]
        return merged(self.behind[link.source] for link in links if link.role in (MAIN, REJECTED))

    def _inputs(self, node: Step, main: Carried) -> Inputs:
        sides: dict[str, list[Carried]] = {}
        for link in self._into[node.id]:
            if link.role != MAIN:
                sides.setdefault(link.role, []).append(self.behind[link.source])
        return Inputs(main, {name: merged(found) for name, found in sides.items()})

    def _rejected(self, node: Sink) -> Carried:
        """Return what a dead letter gets: rows as they came to a check, in which the contract's fields are personal already."""
        found = []
        for link in self._into[node.id]:
            check = self._nodes[link.source]
            if not isinstance(check, Check):  # what was kept of it, at a checkpoint
                found.append(self.behind[link.source])
                continue
            came = self.came[check.id]
            behind = checked(came, check.contract, pii_only=self._pii_only).columns or {}
            named = {name: as_came(held) for name, held in behind.items()}
            # Columns that the contract does not name are set aside, too.
            others = {
                name: held for name, held in (came.columns or {}).items() if name not in behind
            }
            found.append(Carried(others | named, came.rest))
        return merged(found)


def _done(node: Step, inputs: Inputs) -> Carried:
    """Return what a step gives."""
    match node.action:
        case Sql(query=query):
            return queried(inputs, query)
        case Function(maps=dict() as maps, name=name):
            return mapped(inputs, maps, f"step {name} passes on columns that are not known")
        case Function(name=name):
            return opaque(inputs, f"step {name} does not say which columns it makes of which")
        case Executable(command=command):
            return opaque(inputs, f"{command[0]} is a program, which nobody can look into")
