"""Assertions: what must be true of a scenario's figures before its run publishes."""

from __future__ import annotations

from collections.abc import Mapping

from runink.dag import Assertion, Dag
from runink.errors import WireError
from runink.expressions import evaluate
from runink.runs.figures import figures_of
from runink.runs.records import Failure, SliceRecord


def failed_assertion(
    dag: Dag, assertion: Assertion, slices: Mapping[str, SliceRecord]
) -> Failure | None:
    """Check one assertion on the figures of its scenario, whose slices have all succeeded; return what to tell if it does not hold."""
    figures = figures_of(dag, assertion.scenario, slices)
    values = {
        "records": figures.rows_in,
        "rows_in": figures.rows_in,
        "rows_out": figures.rows_out,
        "rejected": figures.rejected,
        "rejected_ratio": figures.rejected_ratio,
    }
    if evaluate(assertion.expression, values) is True:
        return None
    said = ", ".join(f"{name} is {value:.6g}" for name, value in values.items())
    error = WireError(
        "Refused",
        "assertion_failed",
        f"scenario {assertion.scenario}: not true: {assertion.text} ({said})",
        "nothing was published; look at the rejected rows, or change the assertion",
    )
    return Failure(error, step=assertion.scenario)
