"""What is to be known of each node before it runs, derived from the compiled pipeline alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from runink.checkpoints import is_checkpoint
from runink.contracts.fields import ContractSpec
from runink.dag import (
    Check,
    Dag,
    Executable,
    Facts,
    Function,
    Node,
    Sink,
    Source,
    Sql,
    Step,
)
from runink.needs import Need, Resource, Verb


def facts_of(dag: Dag, meta: Mapping[str, Mapping[str, str]]) -> tuple[Facts, ...]:
    """Return the facts of each node, in the order of the nodes; `meta` is what people have said of some. Where personal data goes is `clearing.py`'s."""
    before: dict[str, list[str]] = {node.id: [] for node in dag.nodes}
    behind: dict[str, list[str]] = {node.id: [] for node in dag.nodes}
    for source, target in _ways(dag):
        before[target].append(source)
        behind[source].append(target)
    found: list[Facts] = []
    for node in dag.nodes:
        spec = dag.slice_of(node.id)
        is_end = not is_checkpoint(node)
        is_source, is_sink = is_end and isinstance(node, Source), is_end and isinstance(node, Sink)
        uri = node.uri if isinstance(node, Source | Sink) else ""
        found.append(
            Facts(
                node=node.id,
                resources=spec.resources,
                labels=spec.labels,
                network=spec.network,
                needs=_needs(dag, node),
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
