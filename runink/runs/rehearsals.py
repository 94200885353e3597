"""What a test runs of a pipeline: for each set of golden inputs the scenarios that its goldens need, on these inputs.

    a golden without inputs      its scenario and all that this one depends on, as the pipeline says
    a golden with inputs         the same, with the files in their sources' places; what only those sources depended on is left out

Goldens with the same inputs share a rehearsal.  A source that stands for another scenario's output keeps what that output keeps: its contract is
checked on the file, and a row that breaks it fails the test.  What would leave the project (standard output, object stores) is written aside in
it, and not published as nothing of a rehearsal is.  An `@assert` judges real data, so it is left out where inputs stand for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final

from msgspec.structs import replace as changed

from runink.contracts.expected import Golden, GoldenInput
from runink.dag import Check, Dag, Format, Link, Mode, Node, OnInvalid, Sink, SliceSpec, Source
from runink.gang_parts import is_file
from runink.jobs import ASIDE_FOLDER

_FORMATS: Final = {
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSON,
    ".parquet": Format.PARQUET,
    ".arrow": Format.ARROW,
}
_TEXT: Final = frozenset({Format.CSV, Format.JSONL, Format.JSON})


def rehearsals(dag: Dag) -> tuple[Dag, ...]:
    """Return what is to be run, each with the goldens that its outputs are compared with, in the order of the pipeline's goldens."""
    groups: dict[tuple[GoldenInput, ...], list[Golden]] = {}
    for golden in dag.goldens:
        groups.setdefault(golden.inputs, []).append(golden)
    return tuple(_reduced(dag, inputs, goldens) for inputs, goldens in groups.items())


def _reduced(dag: Dag, inputs: tuple[GoldenInput, ...], goldens: list[Golden]) -> Dag:
    files = {one.source: one.path for one in inputs}
    needed = _needed(dag, files, goldens)
    checks: dict[str, Check] = {}
    nodes: list[Node] = []
    for node in dag.nodes:
        if node.scenario not in needed:
            continue
        if isinstance(node, Source) and node.id in files:
            nodes.append(_replaced(node, files[node.id]))
            if (check := _kept(dag, node)) is not None:
                checks[node.id] = check
                nodes.append(check)
        else:
            nodes.append(_at_home(node) if isinstance(node, Sink) else node)
    return changed(
        dag,
        scenarios=tuple(one for one in dag.scenarios if one.id in needed),
        nodes=tuple(nodes),
        links=tuple(_links(dag, needed, checks)),
        slices=tuple(_slices(dag, nodes, needed, checks)),
        assertions=tuple(one for one in dag.assertions if one.scenario in needed and not files),
        goldens=tuple(goldens),
        prose=tuple(one for one in dag.prose if one.scenario in needed),
    )


def _needed(dag: Dag, files: Mapping[str, str], goldens: Iterable[Golden]) -> frozenset[str]:
    """Return the scenarios whose output the goldens tell of, and those that these read from."""
    found: set[str] = set()
    left = [golden.scenario for golden in goldens]
    while left:  # Ends because no scenario is looked at twice.
        scenario = left.pop()
        if scenario in found:
            continue
        found.add(scenario)
        left += [
            dag.node(node.staged_from).scenario
            for node in dag.nodes
            if isinstance(node, Source)
            and node.scenario == scenario
            and node.staged_from
            and node.id not in files
        ]
    return frozenset(found)


def _replaced(source: Source, path: str) -> Source:
    kind = _FORMATS[PurePosixPath(path).suffix]
    is_alike = kind is source.format
    return changed(
        source,
        uri=f"{kind.value}://{path}",
        format=kind,
        path=path,
        nulls=source.nulls if is_alike else ("",),
        delimiter=source.delimiter if is_alike else ",",
        staged_from="",
    )


def _kept(dag: Dag, source: Source) -> Check | None:
    """Return the check that stands behind an input because the output that it stands for keeps that contract."""
    writer = dag.node(source.staged_from) if source.staged_from else None
    if source.contract is not None or not isinstance(writer, Sink) or writer.contract is None:
        return None
    return Check(f"{source.id}-contract", source.scenario, writer.contract, OnInvalid.FAIL)


def _at_home(sink: Sink) -> Sink:
    """Return a sink that writes within the project."""
    if is_file(sink.path):
        return sink
    path = f"{ASIDE_FOLDER}/{sink.id}.{sink.format.value}"
    return changed(sink, uri=f"{sink.format.value}://{path}", path=path, mode=Mode.OVERWRITE)


def _links(dag: Dag, needed: frozenset[str], checks: Mapping[str, Check]) -> Iterable[Link]:
    for link in dag.links:
        if dag.node(link.target).scenario not in needed:
            continue
        check = checks.get(link.source)
        yield link if check is None else changed(link, source=check.id)
    for source, check in checks.items():
        yield Link(source, check.id)


def _slices(
    dag: Dag, nodes: Iterable[Node], needed: frozenset[str], checks: Mapping[str, Check]
) -> Iterable[SliceSpec]:
    places = {node.path for node in nodes if isinstance(node, (Source, Sink))}
    for spec in dag.slices:
        if spec.scenario not in needed:
            continue
        mine = [
            one
            for node in spec.nodes
            for one in ((node, checks[node].id) if node in checks else (node,))
        ]
        reaches = tuple(place for place in spec.reaches if place in places)
        yield changed(spec, nodes=tuple(mine), reaches=reaches)
