"""Assertions: what must be true of a scenario's figures before its run publishes.

Figures of fields (`null_ratio(x)`) are counted by the slices that have the stream at its end: `watched` says which of them counts what.  How fresh a stream is goes by when
its scenario ended, so that the answer stays the same however often it is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from runink.dag import Assertion, Dag
from runink.errors import WireError
from runink.expressions import Figure, Measure, evaluate, figures_in, said
from runink.jobs import FieldFacts, Watched
from runink.runs.figures import facts_of, figures_of
from runink.runs.records import Failure, SliceRecord


def watched(dag: Dag, nodes: Collection[str]) -> dict[str, tuple[Watched, ...]]:
    """Return what assertions ask about the rows of these nodes."""
    found: dict[str, dict[str, Watched]] = {}
    for assertion in dag.assertions:
        for figure in figures_in(assertion.expression):
            for node in assertion.of:
                if node in nodes:
                    fields = found.setdefault(node, {})
                    fields[figure.field] = _asked(fields.get(figure.field), figure)
    return {node: tuple(fields.values()) for node, fields in found.items()}


def _asked(before: Watched | None, figure: Figure) -> Watched:
    return Watched(
        figure.field,
        distinct=figure.measure is Measure.DISTINCT or (before is not None and before.distinct),
        newest=figure.measure is Measure.FRESHNESS or (before is not None and before.newest),
    )


def failed_assertion(
    dag: Dag, assertion: Assertion, slices: Mapping[str, SliceRecord]
) -> Failure | None:
    """Check one assertion on the figures of its scenario, whose slices have all succeeded; return what to tell if it does not hold."""
    figures = figures_of(dag, assertion.scenario, slices)
    values: dict[str, Any] = {
        "records": figures.rows_in,
        "rows_in": figures.rows_in,
        "rows_out": figures.rows_out,
        "rejected": figures.rejected,
        "rejected_ratio": figures.rejected_ratio,
        **_of_fields(dag, assertion, slices),
    }
    if evaluate(assertion.expression, values) is True:
        return None
    told = ", ".join(f"{name} is {_told(value)}" for name, value in values.items())
    error = WireError(
        "Refused",
        "assertion_failed",
        f"scenario {assertion.scenario}: not true: {assertion.text} ({told})",
        "nothing was published; look at the rejected rows, or change the assertion",
    )
    return Failure(error, step=assertion.scenario)


def _of_fields(
    dag: Dag, assertion: Assertion, slices: Mapping[str, SliceRecord]
) -> dict[str, float | timedelta | None]:
    """Return the figures of fields that the assertion asks for, by how they are written."""
    nodes = facts_of(slices.values())
    mine = [
        slices[one.id]
        for one in dag.slices
        if one.scenario == assertion.scenario and one.id in slices
    ]
    ended_ms = max((record.ended_ms for record in mine), default=0)
    found: dict[str, float | timedelta | None] = {}
    for figure in figures_in(assertion.expression):
        facts = [
            field
            for name in assertion.of
            if name in nodes
            for field in nodes[name].fields
            if field.field == figure.field
        ]
        found[said(figure)] = _measured(figure.measure, facts, ended_ms)
    return found


def _measured(measure: Measure, facts: list[FieldFacts], ended_ms: int) -> float | timedelta | None:
    """Return one figure; nothing where no row tells, or where there were more values than are counted."""
    match measure:
        case Measure.NULL_RATIO:
            rows = sum(one.rows for one in facts)
            return sum(one.nulls for one in facts) / rows if rows else None
        case Measure.DISTINCT:
            return facts[0].distinct if facts else None
        case Measure.FRESHNESS:
            newest = [one.newest_us for one in facts if one.newest_us is not None]
            if not newest:
                return None
            return timedelta(milliseconds=ended_ms) - timedelta(microseconds=max(newest))


def _told(value: float | timedelta | None) -> str:
    match value:
        case None:
            return "not known: no row tells, or more differ than are counted"
        case timedelta():
            return str(value)
        case _:
            return f"{value:.6g}"
