"""`runi lineage`: what a run read, did and wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from runink.cli.asked_runs import find_run
from runink.cli.asking import Where, asked, asks_cluster
from runink.cli.options import run_argument
from runink.cli.output import echo_documents, shown_option
from runink.cli.wording import harmless
from runink.governance.lineage import StageKind
from runink.operations.catalog import facts
from runink.operations.catalog.facts import Dataset, Edge, LineageDocument, Stage
from runink.quantities import counted

_WAYS: Final = {
    "slots": ", through slots",
    "pipe": ", through a pipe",
    "wire": ", over the wire from another node",
}


@click.command()
@run_argument
@shown_option
@asks_cluster
def lineage(run_id: str, output: str, where: Where) -> None:
    """Print what a run read, did and wrote. RUN is an id, its beginning, or `last`."""
    with asked(where) as client:
        run = find_run(client, where, run_id)
        found: LineageDocument = client.call(facts.LINEAGE, herd=run.herd, run=run.run)
    if not echo_documents(found, output, lambda one: one.run):
        click.echo("\n".join(map(harmless, lineage_lines(found))))


def lineage_lines(found: LineageDocument) -> Iterator[str]:
    """Say the graph for a terminal: every stage with what flowed into it from where."""
    yield f"{found.pipeline} · herd {found.herd} · run {found.run} · {found.state}"
    yield f"pipeline {found.version[:12]} · bundle {found.bundle[:12]}"
    if found.resumes:
        yield f"goes on from run {found.resumes}"
    names = {stage.node: stage.label for stage in found.stages}
    scenario = ""
    for stage in found.stages:
        if stage.scenario != scenario:
            scenario = stage.scenario
            yield scenario
        yield f"  {stage.kind:<11} {_described(stage)}"
        for edge in found.edges:
            if edge.target == stage.node:
                yield f"    <- {names[edge.source]}{_role(edge)}: {counted(edge.rows, 'row')}{_WAYS.get(edge.transport or '', '')}"
        for drift in stage.drifts:
            what = "drift" if drift.leaves_contract else "shape"
            yield f"    {what}: {drift.text}, {counted(drift.rows, 'row')}, first in {drift.origin}"
        if stage.staged_from:
            yield f"    <- {stage.staged_from}, staged in this run"
    for output in found.outputs:
        yield f"wrote {output.uri}{_whose(output)}: {counted(output.rows, 'row')}, {counted(output.bytes, 'byte')}, sha256 {output.sha256[:16]}"


def _described(stage: Stage) -> str:
    label = stage.contract or stage.label
    match StageKind(stage.kind):
        case StageKind.SOURCE:
            return f"{label}  {counted(stage.rows_out, 'row')}"
        case StageKind.CHECKPOINT:
            return f"{label}  {counted(max(stage.rows_in, stage.rows_out), 'row')}"
        case StageKind.SINK | StageKind.DEAD_LETTER:
            return f"{label}  {counted(stage.rows_in, 'row')}"
        case StageKind.CHECK:
            return f"{label}  {stage.rows_in:,} in, {stage.rows_out:,} out, {stage.rejected:,} rejected"
        case StageKind.STEP:
            return f"{label}  {stage.rows_in:,} in, {stage.rows_out:,} out"


def _whose(output: Dataset) -> str:
    return f" for role {output.role}" if output.role else ""


def _role(edge: Edge) -> str:
    return "" if edge.role == "main" else f" ({edge.role})"
