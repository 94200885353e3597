"""Assertions about a stream's fields: who counts what, and what the figures are."""

from __future__ import annotations

import pytest
from run_world import staged_dag
from runink.dag import Assertion, Dag
from runink.expressions.parsing import parse
from runink.expressions.typing import UNKNOWN, Scope, Sort
from runink.jobs import Done, FieldFacts, NodeFacts, Watched
from runink.names import HerdName, RunId, SliceId
from runink.runs.assertions import failed_assertion, watched
from runink.runs.records import SliceRecord, SliceState

ENDED_MS = 1_359_612_000_000  # 2013-01-31T06:00:00Z
FIGURES = Scope({"records": Sort.INT}, what="figure", stream=UNKNOWN)


def dag_of(text: str) -> Dag:
    expression = parse(text, FIGURES, wanted=Sort.BOOLEAN).expression
    assert expression is not None
    return staged_dag("a", assertions=(Assertion("a", text, expression, ("a.source",)),))


def told(text: str, *fields: FieldFacts) -> str:
    """Return what is told of an assertion that does not hold; nothing if it holds."""
    dag = dag_of(text)
    record = SliceRecord(
        SliceId("a"),
        RunId("0" * 26),
        HerdName("default"),
        "a",
        SliceState.SUCCEEDED,
        dag.slices[0].resources,
        ended_ms=ENDED_MS,
        report=Done((NodeFacts("a.source", rows_out=10, fields=fields),)),
    )
    failure = failed_assertion(dag, dag.assertions[0], {"a": record})
    return "" if failure is None else failure.error.text


def test_each_slice_counts_what_is_asked_of_its_own_nodes() -> None:
    dag = dag_of("null_ratio(x) < 0.1 && distinct(x) > 2 && freshness(at) < duration('1h')")
    assert watched(dag, {"a.source"}) == {
        "a.source": (Watched("x", distinct=True), Watched("at", newest=True))
    } or watched(dag, {"a.source"}) == {
        "a.source": (Watched("at", newest=True), Watched("x", distinct=True))
    }
    assert watched(dag, {"a.sink"}) == {}


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("null_ratio(x) <= 0.1", [FieldFacts("x", 10, 1)], ""),
        ("null_ratio(x) < 0.1", [FieldFacts("x", 10, 1)], "null_ratio(x) is 0.1"),
        ("null_ratio(x) < 0.1", [], "null_ratio(x) is not known"),
        ("records == 10 || null_ratio(x) < 0.1", [FieldFacts("x", 0, 0)], ""),
        ("distinct(`dep delay`) == 3", [FieldFacts("dep delay", 10, 0, 3)], ""),
        ("distinct(x) > 5", [FieldFacts("x", 10, 0, None)], "more differ than are counted"),
        ("freshness(at) <= duration('1h')", [FieldFacts("at", 1, 0, 0, (ENDED_MS - 3_600_000) * 1000)], ""),
        ("freshness(at) < duration('1h')", [FieldFacts("at", 1, 0, 0, (ENDED_MS - 3_600_000) * 1000)], "is 1:00:00"),
        ("freshness(at) < duration('1h')", [FieldFacts("at", 1, 1)], "freshness(at) is not known"),
    ],
)  # fmt: skip
def test_an_assertion_goes_by_what_the_slices_have_counted(
    text: str, fields: list[FieldFacts], expected: str
) -> None:
    found = told(text, *fields)
    assert bool(found) is bool(expected)
    assert expected in found
