"""Which field `freshness` goes by where an assertion names none."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import pytest
from runink.contracts.contract import Contract, Field, spec_of
from runink.contracts.scopes import fields_of, rule
from runink.dsl.expressions import figures_of
from runink.expressions import said
from runink.expressions.parsing import parse
from runink.expressions.typing import UNKNOWN, Scope, Sort

EVENT_TIME = {"event_time": ""}


class Only(Contract):
    id: int
    sent: datetime | None
    born: date


class Marked(Contract):
    sent: datetime
    come: Annotated[datetime, Field(tags=EVENT_TIME)]


class MarkedDay(Contract):
    sent: datetime
    day: Annotated[date, Field(tags=EVENT_TIME)]


class MarkedTwice(Contract):
    sent: Annotated[datetime, Field(tags=EVENT_TIME)]
    come: Annotated[datetime, Field(tags=EVENT_TIME)]


class MarkedText(Contract):
    sent: datetime
    come: Annotated[str, Field(tags=EVENT_TIME)]


class Odd(Contract):
    sent: Annotated[datetime, Field(name="sent at")]


class Many(Contract):
    a: datetime
    b: datetime
    c: datetime
    d: datetime
    e: datetime
    f: datetime


class Freshness(Contract):
    freshness: datetime


def of(contract: type[Contract]) -> Scope:
    return figures_of(fields_of(spec_of(contract)))


@pytest.mark.parametrize(
    ("contract", "expected"),
    [
        (Only, "freshness(sent)"),
        (Marked, "freshness(come)"),
        (MarkedDay, "freshness(day)"),
        (Odd, "freshness(`sent at`)"),
        (Freshness, "freshness(freshness)"),
    ],
)
def test_freshness_goes_by_the_marked_field_or_the_only_timestamp(
    contract: type[Contract], expected: str
) -> None:
    parsed = parse("freshness < duration('1h')", of(contract), wanted=Sort.BOOLEAN)
    assert not parsed.mistakes
    assert parsed.expression is not None
    assert said(parsed.expression) == f"{expected} < duration('1h')"


@pytest.mark.parametrize(
    ("contract", "text", "hint"),
    [
        (MarkedTwice, "marks sent and come as its event time", "freshness(sent) or freshness(come)"),
        (MarkedText, "marks come as its event time, which is text", "freshness(sent)"),
        (Many, "freshness could go by a, b, c, d or 2 more of Many", "freshness(d) …"),
    ],
)  # fmt: skip
def test_what_is_ambiguous_is_a_mistake_that_names_the_candidates(
    contract: type[Contract], text: str, hint: str
) -> None:
    (mistake,) = parse("records > 0 && freshness < duration('1h')", of(contract)).mistakes
    assert (mistake.code, mistake.at, mistake.length) == ("D064", 15, len("freshness"))
    assert text in mistake.text
    assert hint in mistake.hint


def test_rows_that_no_contract_describes_have_no_event_time() -> None:
    (mistake,) = parse("freshness < duration('1h')", figures_of(UNKNOWN)).mistakes
    assert mistake.code == "D064"
    assert "freshness(at)" in mistake.hint


@pytest.mark.parametrize("figure", ["records", "rejected_ratio", "freshness"])
def test_a_rule_over_a_row_is_told_where_figures_of_the_run_stand(figure: str) -> None:
    (mistake,) = rule(f"{figure} == null", spec_of(Only).fields, whose="Only").mistakes[:1]
    assert mistake.code == "D061"
    assert "@assert" in mistake.hint


def test_a_field_called_like_a_figure_is_a_field_in_a_rule_over_a_row() -> None:
    found = rule("freshness > '2013-01-01'", spec_of(Freshness).fields, whose="Freshness")
    assert not found.mistakes
