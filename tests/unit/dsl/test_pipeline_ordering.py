"""Steps that read by name: in which order they are taken, and what no order can do."""

from __future__ import annotations

import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines, links
from runink.dag import MAIN
from runink.errors import Invalid


def test_a_step_may_read_what_stands_further_down() -> None:
    dag = compile_lines(
        '@source("csv://a.csv", as=a)',
        '@step("plain", id=last, after=first)',
        SINK,
        '@step("plain", id=first, after=a)',
    )
    assert links(dag) == [
        ("a", "plain", MAIN),
        ("plain", "plain-2", MAIN),
        ("plain-2", "sink", MAIN),
    ]


def test_id_and_after_are_other_words_for_as_and_from() -> None:
    ours = compile_lines(
        SOURCE, '@step("plain", as=x)', '@step("plain", as=y)', '@step("plain", from=[x, y])', SINK
    )
    theirs = compile_lines(
        SOURCE,
        '@step("plain", id=x)',
        '@step("plain", id=y)',
        '@step("plain", after=[x, y])',
        SINK,
    )
    assert ours == theirs


def test_fan_out_and_fan_in_are_as_written_whatever_the_order_of_the_lines() -> None:
    parts = [
        ['@step("plain", id=left, after=a)'],
        ['@step(sql="SELECT 1 FROM input", id=right, after=a)'],
        ['@step(run="cat", id=join, after=[left, right])', SINK],
    ]
    head = '@source("csv://a.csv", as=a)'
    told = {
        tuple(sorted(links(compile_lines(head, *(line for part in order for line in part)))))
        for order in (parts, parts[::-1], [parts[1], parts[2], parts[0]])
    }
    assert told == {
        (
            ("a", "plain", MAIN),
            ("a", "sql", MAIN),
            ("cat", "sink", MAIN),
            ("plain", "cat", MAIN),
            ("sql", "cat", MAIN),
        )
    }


def test_a_sink_that_reads_by_name_may_stand_above_what_it_reads() -> None:
    dag = compile_lines(
        SOURCE,
        '@sink("csv://early.csv", from=later)',
        '@golden("g.csv")',
        '@step("plain", as=later)',
        SINK,
    )
    assert ("plain", "sink-2", MAIN) in links(dag) or ("plain", "sink", MAIN) in links(dag)
    golden = dag.goldens[0]
    sink = dag.node(golden.sink)
    assert getattr(sink, "path", "") == "early.csv", "the golden stays with its sink"


def test_both_words_for_one_thing_are_too_many() -> None:
    assert codes(SOURCE, '@step("plain", as=x, id=y)', SINK) == ["D016"]
    assert codes(SOURCE, '@step("plain", as=x)', '@step("plain", from=x, after=x)', SINK) == [
        "D016"
    ]


@pytest.mark.parametrize(
    ("lines", "circle"),
    [
        (['@step("plain", id=x, after=y)', '@step("plain", id=y, after=x)'], "x reads from y"),
        (['@step("plain", id=x, after=x)'], "x reads from x"),
        (['@step("plain", after=y)', '@step("plain", id=y)'], "y reads from y"),
        (
            [
                '@step("plain", id=x, after=z)',
                '@step("plain", id=y, after=x)',
                '@step("plain", id=z, after=y)',
            ],
            "x reads from z reads from y reads from x",
        ),
    ],
)
def test_a_circle_is_told_with_the_names_in_it_and_nothing_else_is(
    lines: list[str], circle: str
) -> None:
    with pytest.raises(Invalid) as caught:
        compile_lines('@source("csv://a.csv", as=a)', *lines, '@step("plain", after=a)', SINK)
    findings = caught.value.findings
    assert [one.code for one in findings if one.code != "D023"] == ["D033"]
    assert circle in next(one.text for one in findings if one.code == "D033")


def test_a_name_that_nothing_has_is_told_with_the_nearest_wherever_that_stands() -> None:
    with pytest.raises(Invalid) as caught:
        compile_lines(SOURCE, '@step("plain", after=planez)', SINK, '@step("plain", id=planes)')
    finding = next(one for one in caught.value.findings if one.code == "D054")
    assert finding.text == "nothing is called planez"
