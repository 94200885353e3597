"""Which part of a pipeline has become which of another one.

Scenarios are found again by their ids, and then by what they do; nodes within a scenario by what they are (a sink by its URI, a contract by its name, a
function by its file and name), and then by their ids. So a line put in above renames nothing, and a scenario with another title is still the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from runink.dag import Check, Dag, Executable, Function, Node, Sink, Source, Sql, Step

T = TypeVar("T")


def scenarios_again(old: Dag, new: Dag) -> dict[str, str]:
    """Map scenarios of the old pipeline to those of the new one: by their ids, and then the one whose nodes do most of the same."""
    ids = [one.id for one in new.scenarios]
    found = {one.id: one.id for one in old.scenarios if one.id in ids}
    for scenario in old.scenarios:
        if scenario.id in found:
            continue
        mine = {_essence(node) for node in old.nodes if node.scenario == scenario.id}
        alike = {
            name: len(mine & {_essence(node) for node in new.nodes if node.scenario == name})
            for name in ids
            if name not in found.values()
        }
        best = max(alike, key=lambda name: alike[name], default="")
        if alike.get(best):
            found[scenario.id] = best
    return found


def nodes_again(old: Dag, new: Dag, homes: Mapping[str, str]) -> dict[str, str]:
    """Map nodes of the old pipeline to those of the new one that they have become."""
    left = [(homes.get(node.scenario, ""), node) for node in old.nodes]
    right = [(node.scenario, node) for node in new.nodes]
    found, _, _ = matched(left, right, (_whole, _home_and_essence, _identity))
    return {one.id: other.id for (_, one), (_, other) in found}


def matched(
    left: Sequence[T], right: Sequence[T], keys: Sequence[Callable[[T], Any]]
) -> tuple[list[tuple[T, T]], list[T], list[T]]:
    """Return which belong together, by the first key that any two share, and then by the next; and what is left of each."""
    found: list[tuple[T, T]] = []
    ours, theirs = list(left), list(right)
    for key in keys:
        waiting: dict[Any, list[T]] = {}
        for other in theirs:
            waiting.setdefault(key(other), []).append(other)
        pairs = [(one, waiting[key(one)].pop(0)) for one in ours if waiting.get(key(one))]
        found += pairs
        ours = [one for one in ours if all(one is not was for was, _ in pairs)]
        theirs = [one for one in theirs if all(one is not now for _, now in pairs)]
    return found, ours, theirs


def _whole(placed: tuple[str, Node]) -> Any:
    return *_identity(placed), _essence(placed[1])


def _home_and_essence(placed: tuple[str, Node]) -> Any:
    return placed[0], _essence(placed[1])


def _identity(placed: tuple[str, Node]) -> Any:
    home, node = placed
    return type(node), home, node.id.partition(".")[2]


def _essence(node: Node) -> Any:
    """Return what a node is, wherever it stands."""
    match node:
        case Source():
            what: Any = (node.uri, node.alias)
        case Check():
            what = node.contract.name
        case Sink():
            what = node.uri
        case Step(action=Function(file, name)):
            what = (file, name)
        case Step(action=Sql(query)):
            what = " ".join(query.split())
        case Step(action=Executable(command)):
            what = command
    return type(node), what
