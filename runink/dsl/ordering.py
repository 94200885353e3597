"""In which order a scenario's lines are taken where steps read by name what stands further down.

    unit     a step that reads by name (from=, after=), with the lines below it up to the next such step: they hang on it
             a sink that reads by name, with its goldens: it hangs on nothing, and the lines below go on without it
    order    as written; but a unit comes behind those that give the names it reads

What nobody can order goes round in a circle, which is told with the names in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runink.dsl.clauses import (
    Clause,
    ContractClause,
    GoldenClause,
    SinkClause,
    StepClause,
)
from runink.dsl.diagnostics import Findings
from runink.dsl.syntax import Text
from runink.topology import topological


@dataclass(frozen=True, slots=True)
class Order:
    """A scenario's clauses as they are to be read; `circling` are names that could not be had because of a circle, which is told; `names` all that steps are given."""

    clauses: tuple[Clause, ...]
    names: tuple[str, ...]
    circling: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Unit:
    """Clauses that stay together. `early` are names that it reads before, in itself, they are given."""

    clauses: list[Clause] = field(default_factory=list)
    gives: set[str] = field(default_factory=set)
    reads: dict[str, Text] = field(default_factory=dict)
    early: dict[str, Text] = field(default_factory=dict)

    def take(self, clause: Clause) -> None:
        self.clauses.append(clause)
        for name in _read_by(clause):
            if name.value not in self.gives:
                self.reads.setdefault(name.value, name)
        if isinstance(clause, StepClause) and clause.alias is not None:
            self.gives.add(clause.alias.value)
            if clause.alias.value in self.reads:
                self.early.setdefault(clause.alias.value, self.reads[clause.alias.value])


def ordered(clauses: Sequence[Clause], findings: Findings) -> Order:
    """Return the clauses in an order in which every name is given before it is read, where there is one."""
    units = _units(clauses)
    givers: dict[str, int] = {}
    for place, unit in enumerate(units):
        for name in unit.gives:
            givers.setdefault(name, place)
    early = {name: text for unit in units for name, text in unit.early.items()}
    for text in early.values():
        _tell((text,), findings)
    names = tuple(str(place) for place in range(len(units)))
    needs = {
        str(place): frozenset(
            str(givers[name]) for name in unit.reads if name in givers and givers[name] != place
        )
        for place, unit in enumerate(units)
    }
    placed = topological(names, needs)
    circling = frozenset(early)
    if placed is None:
        circling |= _circle(units, givers, needs, findings)
        placed = names
    in_order = tuple(one for name in placed for one in units[int(name)].clauses)
    return Order(in_order, tuple(givers), circling)


def _units(clauses: Sequence[Clause]) -> list[_Unit]:
    chain = _Unit()
    units = [chain]
    aside: _Unit | None = None  # the sink that the last line belongs to
    for clause in clauses:
        match clause:
            case StepClause() if clause.inputs:
                chain, aside = _Unit(), None
                units.append(chain)
            case SinkClause() if clause.inputs:
                aside = _Unit()
                units.append(aside)
            case GoldenClause() if aside is not None:
                pass
            case _:
                aside = None
        (aside or chain).take(clause)
    return units


def _read_by(clause: Clause) -> tuple[Text, ...]:
    match clause:
        case StepClause(inputs=inputs) | SinkClause(inputs=inputs):
            return inputs
        case ContractClause(on=Text() as name):
            return (name,)
        case _:
            return ()


def _circle(
    units: Sequence[_Unit],
    givers: Mapping[str, int],
    needs: Mapping[str, frozenset[str]],
    findings: Findings,
) -> frozenset[str]:
    """Tell one circle, and return the names that units of any circle read of each other."""
    rest = {name: set(found) for name, found in needs.items()}
    while free := [name for name, found in rest.items() if not found & rest.keys()]:
        for name in free:
            del rest[name]
    path = [min(rest, key=int)]
    while True:  # Every unit left needs another one that is left, so the path comes back to itself.
        following = min(rest[path[-1]] & rest.keys(), key=int)
        if following in path:
            break
        path.append(following)
    path = path[path.index(following) :]
    around = [int(place) for place in path]
    read = [
        next(text for name, text in units[place].reads.items() if givers.get(name) == behind)
        for place, behind in zip(around, [*around[1:], around[0]], strict=True)
    ]
    _tell(read, findings)
    left = {int(name) for name in rest}
    return frozenset(
        name for place in left for name in units[place].reads if givers.get(name) in left
    )


def _tell(read: Sequence[Text], findings: Findings) -> None:
    """Tell that each of these names is read by what the one before it names, and the first by what the last one names."""
    names = [read[-1].value, *(text.value for text in read)]
    labels = [
        (text.span, f"{reader} reads from {text.value}")
        for reader, text in zip(names[1:], read[1:], strict=False)
    ]
    told = f"steps wait for each other in a circle: {' reads from '.join(names)}"
    hint = "one of them must read something else"
    findings.add("D033", told, read[0].span, hint, labels=labels)
