"""Assertions about fields, in a real run: the slice counts, the run publishes or not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from runi_project import Project

PIPELINE = """
@source("csv://in.csv")
@contract("contracts/c.py:Order")
{step}
@assert("{condition}")
@sink("jsonl://out/o.jsonl")
@deadletter("jsonl://out/dead.jsonl")
"""
CONTRACT = """
from datetime import datetime
class Order(Contract):
    id: int
    customer: str | None = None
    at: datetime
"""
MARKED = """
from datetime import datetime
class Order(Contract):
    id: int
    at: datetime
    seen: Annotated[datetime | None, Field(tags={"event_time": ""})]
"""
ROWS = "id,customer,at\n1,ann,2013-01-31T06:00:00Z\n2,,2013-01-31T07:00:00Z\n3,ann,2013-01-30T07:00:00Z\nx,bo,2013-01-30T07:00:00Z\n"


@pytest.mark.parametrize("step", ["", '@step(sql="SELECT * FROM input WHERE id > 0")'])
@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("null_ratio(customer) <= 0.34 && distinct(customer) == 1 && distinct(id) == 3", ""),
        ("null_ratio(customer) < 0.3", "null_ratio(customer) is 0.333333"),
        ("distinct(id) == 4", "distinct(id) is 3"),
        ("freshness(at) > duration('365d')", ""),
        ("freshness(at) < duration('1h')", "freshness(at) is "),
    ],
)
def test_a_run_publishes_only_what_its_assertions_say_of_fields(
    project: Project, condition: str, told: str, step: str
) -> None:
    project.write("in.csv", ROWS)
    project.contract(CONTRACT)
    said = project.run(project.pipeline(PIPELINE.format(step=step, condition=condition)))
    assert (said.code == 0) is (told == ""), said
    if told:
        assert said.error["code"] == "assertion_failed"
        assert told in said.error["text"]
        assert not (project.root / "out/o.jsonl").exists()
    else:
        assert len(project.rows("out/o.jsonl")) == 3


def test_freshness_goes_by_when_the_run_is_made_and_by_the_field_that_is_marked(
    project: Project,
) -> None:
    # No step stands behind the contract: what a query gives, no contract describes.
    now = datetime.now(UTC).isoformat()
    project.write("in.csv", f"id,at,seen\n1,2013-01-31T06:00:00Z,{now}\n2,2013-01-30T06:00:00Z,\n")
    project.contract(MARKED)
    pipeline = PIPELINE.replace("{step}", "").replace("{condition}", "freshness < duration('1h')")
    assert project.run(project.pipeline(pipeline)).code == 0
    project.write("in.csv", "id,at,seen\n1,2013-01-31T06:00:00Z,2013-01-31T06:00:00Z\n")
    said = project.run(project.pipeline(pipeline))
    assert said.error["code"] == "assertion_failed"
    assert "freshness(seen) is " in said.error["text"]
    assert len(project.rows("out/o.jsonl")) == 2  # what the first run has published stays


def test_a_field_that_there_is_not_is_told_when_it_is_compiled(project: Project) -> None:
    project.write("in.csv", ROWS)
    project.contract(CONTRACT)
    condition = (
        "null_ratio(custmer) < 0.3 && freshness(customer) < duration('1h') && nul_ratio(id) > 1"
    )
    said = project.run(project.pipeline(PIPELINE.format(step="", condition=condition)))
    findings = [(one["code"], one["text"]) for one in said.error["findings"]]
    assert findings == [
        ("D061", "Order has no field custmer"),
        ("D063", "freshness() does not take text; customer is that"),
        ("D061", "there is no function nul_ratio"),
    ]
