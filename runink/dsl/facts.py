"""What is to be known of each node before it runs, derived from the compiled pipeline alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from runink.contracts.fields import ContractSpec, FieldSpec
from runink.dag import (
    Check,
    Dag,
    Executable,
    Facts,
    Function,
    Need,
    Node,
    Resource,
    Sink,
    Source,
    Sql,
    Step,
    Verb,
)


def facts_of(dag: Dag, meta: Mapping[str, Mapping[str, str]]) -> tuple[Facts, ...]:
    """Return the facts of each node, in the order of the nodes; `meta` is what people have said of some."""
    personal = _personal(dag)
    before: dict[str, list[str]] = {node.id: [] for node in dag.nodes}
    behind: dict[str, list[str]] = {node.id: [] for node in dag.nodes}
    for source, target in _ways(dag):
        before[target].append(source)
        behind[source].append(target)
    home = {name: spec for spec in dag.slices for name in spec.nodes}
    found: list[Facts] = []
    for node in dag.nodes:
        spec = home[node.id]
        is_source, is_sink = isinstance(node, Source), isinstance(node, Sink)
        uri = node.uri if isinstance(node, Source | Sink) else ""
        found.append(
            Facts(
                node=node.id,
                resources=spec.resources,
                labels=spec.labels,
                network=spec.network,
                needs=_needs(dag, node),
                clearances=tuple(sorted(personal[node.id])),
                inputs=(uri,) if is_source else tuple(dict.fromkeys(before[node.id])),
                outputs=(uri,) if is_sink else tuple(dict.fromkeys(behind[node.id])),
                contract=_contract(node),
                code=_code(node),
                meta=dict(meta.get(node.id, {})),
            )
        )
    return tuple(found)


def named(spec: ContractSpec) -> str:
    """Return a contract's name and version as one word."""
    return f"{spec.name}@{spec.version}"


def _needs(dag: Dag, node: Node) -> tuple[Need, ...]:
    run = Need(Verb.RUN, Resource.PIPELINE, f"{dag.herd}/{dag.pipeline}")
    match node:
        case Source():
            return run, Need(Verb.READ, Resource.DATASET, node.uri)
        case Check():
            return run, Need(Verb.USE, Resource.CONTRACT, named(node.contract))
        case Sink():
            return run, Need(Verb.WRITE, Resource.DATASET, node.uri)
        case Step():
            return (run,)


def _contract(node: Node) -> str:
    return "" if isinstance(node, Step) or node.contract is None else named(node.contract)


def _code(node: Node) -> str:
    match node:
        case Step(action=Function(file, name)):
            return f"{file}:{name}"
        case Step(action=Sql()):
            return "sql"
        case Step(action=Executable(command)):
            return shlex.join(command)
        case _:
            return ""


def _ways(dag: Dag) -> Iterator[tuple[str, str]]:
    """Yield who hands rows to whom, through files of this run, too."""
    for link in dag.links:
        yield link.source, link.target
    for node in dag.nodes:
        if isinstance(node, Source) and node.staged_from:
            yield node.staged_from, node.id


def _personal(dag: Dag) -> dict[str, set[str]]:
    """Return the kinds of personal data that may reach each node.

    Ends, because a node's kinds only grow, and there are finitely many.
    """
    found = {node.id: set(_own(node)) for node in dag.nodes}
    ways = list(_ways(dag))
    behind: dict[str, list[str]] = {}
    for source, target in ways:
        behind.setdefault(source, []).append(target)
    waiting = [name for name, kinds in found.items() if kinds]
    while waiting:
        name = waiting.pop()
        for target in behind.get(name, ()):
            if not found[name] <= found[target]:
                found[target] |= found[name]
                waiting.append(target)
    return found


def _own(node: Node) -> Iterator[str]:
    if not isinstance(node, Step) and node.contract is not None:
        for field in node.contract.fields:
            yield from _kinds(field)


def _kinds(field: FieldSpec) -> Iterator[str]:
    """Yield the kinds of personal data in a field and in what it holds."""
    if field.pii:
        yield field.pii
    for inner in (*field.fields, *((field.items,) if field.items is not None else ())):
        yield from _kinds(inner)
