"""A compiled pipeline, drawn for programs that draw: mermaid and Graphviz' dot (`runi graph`)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from runink.checkpoints import is_checkpoint
from runink.dag import (
    MAIN,
    Check,
    Dag,
    Executable,
    Function,
    Node,
    Sink,
    SliceSpec,
    Source,
    Sql,
    Step,
)

LABEL_MAX: Final = 60  # characters of a label in a picture: longer ones cover their neighbours


def as_mermaid(dag: Dag) -> str:
    """Return the pipeline as a mermaid flowchart: a box a slice, a dotted arrow where output is staged."""
    names = {node.id: f"n{place}" for place, node in enumerate(dag.nodes)}
    lines = ["flowchart LR"]
    for place, spec in enumerate(dag.slices):
        lines.append(f'  subgraph s{place}["{_mermaid(slice_caption(spec))}"]')
        lines += [f"    {names[one]}{_shape(dag.node(one))}" for one in spec.nodes]
        lines.append("  end")
    for link in dag.links:
        label = "" if link.role == MAIN else f'|"{_mermaid(link.role)}"|'
        lines.append(f"  {names[link.source]} -->{label} {names[link.target]}")
    lines += [
        f'  {names[source]} -.->|"{_how(dag, source)}"| {names[target]}'
        for source, target in stages(dag)
    ]
    return "\n".join(lines)


def _shape(node: Node) -> str:
    label = _mermaid(caption(node))
    match node:
        case Source():
            return f'[("{label}")]'
        case Check():
            return f'{{{{"{label}"}}}}'
        case Step():
            return f'["{label}"]'
        case Sink():
            return f'[("{label}")]'


def _mermaid(text: str) -> str:
    """Quotes and brackets have a meaning in labels; as entities they have none."""
    plain = "".join(f"#{ord(char)};" if char in '"#<>&`|' else char for char in text)
    return plain.replace("\n", " ")


def as_dot(dag: Dag) -> str:
    """Return the pipeline as a graph for Graphviz' dot."""
    lines = ["digraph pipeline {", "  rankdir=LR;", "  node [shape=box];"]
    for place, spec in enumerate(dag.slices):
        lines.append(f"  subgraph cluster_{place} {{")
        lines.append(f"    label={_dot(slice_caption(spec))};")
        for one in spec.nodes:
            node = dag.node(one)
            shape = {Source: ", shape=cylinder", Sink: ", shape=cylinder", Check: ", shape=hexagon"}
            lines.append(
                f"    {_dot(one)} [label={_dot(caption(node))}{shape.get(type(node), '')}];"
            )
        lines.append("  }")
    for link in dag.links:
        label = "" if link.role == MAIN else f" [label={_dot(link.role)}]"
        lines.append(f"  {_dot(link.source)} -> {_dot(link.target)}{label};")
    for source, target in stages(dag):
        lines.append(
            f"  {_dot(source)} -> {_dot(target)} [style=dashed, label={_how(dag, source)}];"
        )
    return "\n".join([*lines, "}"])


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _how(dag: Dag, sink: str) -> str:
    return "checkpoint" if is_checkpoint(dag.node(sink)) else "staged"


def stages(dag: Dag) -> Sequence[tuple[str, str]]:
    return [
        (node.staged_from, node.id)
        for node in dag.nodes
        if isinstance(node, Source) and node.staged_from
    ]


def slice_caption(spec: SliceSpec) -> str:
    """Return a slice's name, and what it asks of its node."""
    wants = spec.wants
    asked = [f"gpu {wants.gpus}"] if wants.gpus else []
    asked += [*spec.labels, *(f"sees {one}" for one in wants.sees)]
    asked += [f"apart from {one}" for one in wants.anti]
    asked += [f"where {one} was" for one in wants.beside]
    asked += [f"spread {wants.spread_by}"] if wants.domain else []
    return f"slice {spec.id}" + (f" ({', '.join(asked)})" if asked else "")


def caption(node: Node) -> str:
    match node:
        case Source() | Sink():
            told = f"{node.format.value} checkpoint" if node.checkpoint else node.uri
        case Check():
            told = f"{node.contract.name} {node.contract.version}"
        case Step():
            match node.action:
                case Function():
                    told = node.action.name
                case Sql():
                    told = "sql"
                case Executable():
                    told = shlex.join(node.action.command)
    return told if len(told) <= LABEL_MAX else f"{told[: LABEL_MAX - 1]}…"
