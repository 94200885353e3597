"""Contracts that follow one another, within a scenario or through what one scenario writes and another reads, are checked field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runink.contracts.fields import ContractSpec
from runink.dag import MAIN, Check, Format, Node, Sink, Source
from runink.dsl.diagnostics import Findings
from runink.dsl.fitting import fit
from runink.dsl.parts import Parts
from runink.errors import Span


@dataclass(frozen=True, slots=True)
class Edge:
    """Rows that keep `writer` come to `check`: from the node at `span`, by a file of `format` or in memory."""

    writer: ContractSpec
    span: Span
    check: Check
    format: Format | None


def check_neighbours(
    parts: Sequence[Parts], staged: Mapping[str, str], findings: Findings
) -> tuple[str, ...]:
    """Tell which contracts no row of their neighbour can pass; return notes on those that may reject some."""
    spans = {node: span for part in parts for node, span in part.spans.items()}
    notes: list[str] = []
    for edge in _edges(parts, staged, spans):
        reader, writer = edge.check.contract, edge.writer
        if reader.hash == writer.hash:
            continue
        found = fit(writer, reader, by=edge.format, on_drift=edge.check.on_drift)
        for misfit in found.misfits:
            text = f"no row of {writer.name} can pass {reader.name}: {misfit.text}"
            labels = [(edge.span, f"what keeps {writer.name} comes from here")]
            findings.add("D042", text, spans[edge.check.id], misfit.hint, labels=labels)
        if found.doubts and not found.misfits:
            notes.append(
                f"{edge.check.id} may reject rows that keep {writer.name}: {found.doubted()}"
            )
    return tuple(notes)


def _edges(
    parts: Sequence[Parts], staged: Mapping[str, str], spans: Mapping[str, Span]
) -> Iterator[Edge]:
    nodes: dict[str, Node] = {name: node for part in parts for name, node in part.nodes.items()}
    for part in parts:
        for link in part.links:
            check, before = nodes.get(link.target), nodes.get(link.source)
            if not isinstance(check, Check) or link.role != MAIN:
                continue
            match before:
                case Check():
                    yield Edge(before.contract, spans[before.id], check, None)
                case Source() if before.id in staged:
                    sink = nodes[staged[before.id]]
                    if isinstance(sink, Sink) and sink.contract is not None:
                        yield Edge(sink.contract, spans[sink.id], check, sink.format)
                case _:
                    pass
