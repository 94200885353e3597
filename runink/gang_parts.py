"""Which slices of a gang stay on one node, and which of them may stand on different ones.

    slices of a gang that are joined by pipes             are
    ask for the same labels, capabilities and sights      one part
    stand together because somebody says so               one part: `colocate_with`
    ask for different ones                                different parts: if no node has what all ask for, each part has a node of its own,
                                                          and the edges between them go over the wire
    write files of the machine, or read those that        one part, whatever they ask for: a run's files lie on one node (`runs/homes.py`)
    another gang of the run has prepared

It follows from the pipeline alone, so `runi explain` can say it.  Whether a gang is parted at all is decided when it is placed (`scheduling/cutting.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from runink.dag import STANDARD, Dag, Link, Node, Sink, SliceSpec, Source
from runink.topology import joined


class Marks(NamedTuple):
    """What slices are marked with: the part of each slice of a parted gang, and those that stay where the run's files are."""

    parts: dict[str, str]
    rooted: frozenset[str]


NO_MARKS: Final = Marks({}, frozenset())


def marks_of(dag: Dag) -> Marks:
    return Marks(parts_of(dag), rooted_in(dag))


def parts_of(dag: Dag) -> dict[str, str]:
    """Return the part of each slice of a parted gang, named by the first slice in it. Slices of other gangs, nearly all, have none."""
    found: dict[str, str] = {}
    for specs in dag.gangs().values():
        if len({_asked(spec) for spec in specs}) > 1:
            names = _joined(specs, dag)
            if len(set(names.values())) > 1:
                found |= names
    return found


def may_be_wires(dag: Dag) -> tuple[Link, ...]:
    """Return the pipes that may become streams between nodes because of what their slices ask for."""
    parts = parts_of(dag)
    return tuple(
        link
        for link in (dag.pipes() if parts else ())
        if parts.get(dag.slice_of(link.source).id) != parts.get(dag.slice_of(link.target).id)
    )


def at_home(dag: Dag) -> frozenset[str]:
    """Return the slices that belong where the files of a run are which writes some. Of a gang of several slices these are those that must be there: it may be cut."""
    rooted = rooted_in(dag)
    return frozenset(
        spec.id
        for specs in dag.gangs().values()
        for spec in specs
        if len(specs) == 1 or spec.id in rooted
    )


def rooted_in(dag: Dag) -> frozenset[str]:
    """Return the slices that write files of the machine, or read those that the run has prepared."""
    rooted = {node.id for node in dag.nodes if _is_rooted(node)}
    return frozenset(spec.id for spec in dag.slices if rooted.intersection(spec.nodes))


def writes_files(dag: Dag) -> bool:
    """Say whether anything of a pipeline is written to a file of the machine."""
    return any(isinstance(node, Sink) and is_file(node.path) for node in dag.nodes)


def is_file(path: str) -> bool:
    """Say whether a path is one of the machine's files, and neither elsewhere nor standard input or output."""
    return path != STANDARD and "://" not in path


def _is_rooted(node: Node) -> bool:
    if isinstance(node, Sink):
        return is_file(node.path)
    return isinstance(node, Source) and bool(node.staged_from) and is_file(node.path)


def _asked(spec: SliceSpec) -> tuple[frozenset[str], tuple[str, ...], tuple[str, ...]]:
    return frozenset(spec.labels), spec.requires, spec.wants.sees


def _joined(specs: Sequence[SliceSpec], dag: Dag) -> dict[str, str]:
    """Return for each slice of a gang the first one that it stays together with, through any number of others."""
    asked = {spec.id: _asked(spec) for spec in specs}
    roots = rooted_in(dag)
    rooted = [name for name in asked if name in roots]
    pairs = list(pairwise(rooted))
    pairs += [(spec.wants.together, spec.id) for spec in specs if spec.wants.together in asked]
    for link in dag.pipes():
        source, target = dag.slice_of(link.source).id, dag.slice_of(link.target).id
        if source in asked and target in asked and asked[source] == asked[target]:
            pairs.append((source, target))
    return joined(asked, pairs)
