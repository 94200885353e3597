"""Parameters: filled in once, and never more than a value."""

from __future__ import annotations

import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines
from runink.dag import (
    Source,
    Sql,
    Step,
)
from runink.errors import Invalid


def test_parameters_are_filled_in_and_kept() -> None:
    head = (
        '@param("day", default="2013-01-01")\n@param("n", default=5)\n@herd("h-${n}")\nFeature: F'
    )
    lines = (
        '@source("csv://in/${day}/$${x}.csv")',
        "@step(sql=\"SELECT * FROM input WHERE d = '${day}' LIMIT ${n}\")",
        SINK,
    )
    dag = compile_lines(*lines, head=head, n="7")
    source, step = dag.node("s.source"), dag.node("s.sql")
    assert isinstance(source, Source)
    assert source.path == "in/2013-01-01/${x}.csv"
    assert isinstance(step, Step)
    assert step.action == Sql("SELECT * FROM input WHERE d = '2013-01-01' LIMIT 7")
    assert dag.parameters == {"day": "2013-01-01", "n": "7"}
    assert dag.herd == "h-7"


@pytest.mark.parametrize("value", ["../../etc", "a/../..", "*", "-\n"])
def test_a_parameters_value_leads_no_sink_out_of_its_place(value: str) -> None:
    head = '@param("p")\nFeature: F'
    assert codes(SOURCE, '@sink("csv://out/${p}/x.csv")', head=head, p=value)


@pytest.mark.parametrize(
    "value", ["'", '"', "\\", ";", "--", "/*", "a\nb", "\x00", "1; DROP TABLE x"]
)
def test_a_parameters_value_changes_no_query(value: str) -> None:
    head = '@param("p")\nFeature: F'
    lines = (SOURCE, "@step(sql=\"SELECT '${p}' FROM input\")", SINK)
    assert codes(*lines, head=head, p=value) == ["D072"]


def test_a_value_is_put_in_once_even_if_it_looks_like_a_parameter() -> None:
    head = '@param("p")\nFeature: F'
    dag = compile_lines('@source("csv://${p}.csv")', SINK, head=head, p="${p}")
    source = dag.node("s.source")
    assert isinstance(source, Source)
    assert source.path == "${p}.csv"


def test_a_mistake_behind_a_parameter_is_told_at_its_own_place() -> None:
    head = '@param("p", default="much longer than its hole")\nFeature: F'
    line = '@sink("csv://o.csv", when "a == \'${p}\' && b = 1")'
    with pytest.raises(Invalid) as caught:
        compile_lines(SOURCE, line, head=head)
    span = caught.value.findings[0].span
    assert span is not None
    assert line[span.column - 1 :].startswith("= 1")
