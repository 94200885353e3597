"""No line silently means nothing: it is compiled, listed for people, or told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines
from runink.dag import Check, Dag
from runink.errors import Invalid, Refused
from runink.expressions import said
from runink.projects import compile_file
from runink.testing.projects import compile_text

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").rglob("*.dsl"))
# What may go and leave the same: it says again what holds anyhow.
SAID_AGAIN = {"---", "contract_version: 1.0.0", "validation: exact match", "after=safe,"}


def compiled(file: Path, text: str) -> Dag | None:
    try:
        return compile_file(file, parameters={}, text=text).dag
    except Refused:
        return None


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_without_one_of_its_lines_is_another_pipeline_or_none(file: Path) -> None:
    lines = file.read_text().split("\n")
    whole = compiled(file, "\n".join(lines))
    assert whole is not None
    for at, line in enumerate(lines):
        bare = line.strip()
        if bare and not bare.startswith("#") and bare not in SAID_AGAIN:
            less = compiled(file, "\n".join([*lines[:at], "", *lines[at + 1 :]]))
            assert less is None or msgspec.json.encode(less) != msgspec.json.encode(whole), line


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("Metadata:", "  purpose: a", "    more: b"), "D011"),
        (("Metadata:", "  tags: [a]", "    - b"), "D011"),
        (("GoldenTest:", "  output: g.csv", "    more: b"), "D011"),
        (("GoldenTest:", "  output: g.csv", "  key: [id]", "    - name"), "D011"),
        (("GoldenTest:", "  output: g.csv", "  key:", "    - id: x"), "D011"),
        (("GoldenTest:", "  output: g.csv", "  key:", "    id: x"), "D011"),
        (("GoldenTest:", "  output: g.csv", "  key:", "    - id", "      - x"), "D011"),
        (("GoldenTest:", "  output: g.csv", "  tolerance:"), "D014"),
        (("GoldenTest:", "  output: g.csv", "  key: []"), "D014"),
        (("GoldenTest:", "  output: g.csv", "  tolerance: [1, 2]"), "D015"),
        (("GoldenTest:", "  output: g.csv", "  ordered: [true, false]"), "D015"),
        (("GoldenTest:", "  output: g.csv", "  validation:"), "D014"),
        (("Properties:", "  id: int", "    type: str"), "D016"),
        (("Properties:", "  id:", "    type: int", "    type: str"), "D016"),
        (("Properties:", "  id:", "    type: int", "    - a bullet"), "D011"),
        (("Properties:", "  id:", "    type: int", "      deep: x"), "D011"),
        (("Properties:", "  - name: id", "    type: int", "    - a bullet"), "D011"),
        (("Properties:", "  id:", "    type: int", "    description:"), "D014"),
        (("Properties:", "  id:", "    type: str", "    enum: []"), "D014"),
    ],
)
def test_what_a_block_makes_nothing_of_is_told(lines: tuple[str, ...], code: str) -> None:
    assert codes(SOURCE, SINK, *lines) == [code]


def test_choices_may_stand_below_their_key() -> None:
    lines = ("Properties:", "  kind:", "    type: str", "    enum:", "      - a", "      - b")
    check = compile_lines(SOURCE, SINK, *lines).node("s.contract")
    assert isinstance(check, Check)
    assert check.contract.fields[0].choices == ("a", "b")


def test_a_parameter_has_its_value_in_every_block() -> None:
    dag = compile_lines(
        SOURCE,
        SINK,
        "Metadata:",
        "  tags: [of, '${day}']",
        "  slo:",
        "    day: ${day}",
        "Properties:",
        "  day:",
        "    type: str",
        "    default: ${day}",
        "Assertions:",
        "  - records > ${least}",
        "  - rejected must be at most ${least}",
        "GoldenTest:",
        "  output: golden/${day}.csv",
        "Then rows_out must be at least ${least}",
        head='@param("day", default="mon")\n@param("least", default="3")\nFeature: F',
    )
    assert dag.scenarios[0].metadata == {"tags": "of, 'mon'", "slo": "day: mon"}
    check = dag.node("s.contract")
    assert isinstance(check, Check)
    assert check.contract.fields[0].default == "mon"
    promised = [said(one.expression) for one in dag.assertions]
    assert promised == ["records > 3", "rejected <= 3", "rows_out >= 3"]
    assert dag.goldens[0].path == "golden/mon.csv"


@pytest.mark.parametrize(
    "block", ["Assertions:\n- records > ${x}", "GoldenTest:\n output: ${x}.csv"]
)
def test_a_parameter_that_there_is_not_is_told_in_a_block(block: str) -> None:
    assert "D070" in codes(SOURCE, SINK, *block.split("\n"))


OUTLINE = """Feature: F

  Scenario Outline: Take in <n>
    @source("csv://<n>.csv")
    @sink("csv://out/<n>.csv")
    Given <m>
    Examples: of the coast
      as they came
      | n | m |
      | a | b |
"""


def test_what_stands_above_the_table_of_examples_is_for_people() -> None:
    dag = compile_text(OUTLINE).dag
    told = [(one.text, one.line) for one in dag.prose if not one.became]
    assert told == [("of the coast", 7), ("as they came", 8), ("Given b", 6)]


def test_all_examples_of_an_outline_have_the_same_columns() -> None:
    for more in ("    | n |\n    | c |\n", "    | n | m | o |\n    | c | d | e |\n"):
        with pytest.raises(Invalid) as caught:
            compile_text(f"{OUTLINE}    Examples:\n{more}")
        assert "D019" in [one.code for one in caught.value.findings]


def test_a_name_of_two_words_that_is_almost_a_columns_is_told() -> None:
    text = OUTLINE.replace("<n>", "<the name>").replace("| n |", "| the name |")
    assert compile_text(text).dag.nodes
    with pytest.raises(Invalid) as caught:
        compile_text(text.replace("Given <m>", "Given <m> <the nmae>"))
    assert [one.code for one in caught.value.findings] == ["D019"]
    assert compile_text(text.replace("Given <m>", "Given <m> of a <b and c> d")).dag.nodes


def test_a_column_goes_into_quotes_where_a_bare_value_stands() -> None:
    with pytest.raises(Invalid) as caught:
        compile_text(OUTLINE.replace("    Given <m>", "    @requires(memory=<m>)"))
    assert caught.value.findings[0].hint == 'put it in quotes: "<name>"'


def test_a_background_that_no_scenario_has_is_told() -> None:
    rule = ("Rule: R", "  Background:", "    @requires(cpu=1)")
    assert codes(SOURCE, SINK, *rule) == ["D020"]
    assert compile_lines(SOURCE, SINK, "Rule: R").prose


def test_a_golden_is_said_once() -> None:
    golden = '@golden("g.csv", input="g.csv")'
    assert codes(SOURCE, SINK, golden, golden) == ["D016"]
    assert len(compile_lines(SOURCE, SINK, golden, '@golden("g.csv")').goldens) == 2


def test_a_lines_kind_is_listed_as_it_stands() -> None:
    dag = compile_lines(
        SOURCE, SINK, "Then:", "  a: b", "  - c: d", "Given x", '"""json', "{}", '"""'
    )
    assert [one.text for one in dag.prose] == ["a: b", "- c: d", "Given x", "json", "{}"]


def metas(dag: Dag) -> dict[str, dict[str, str]]:
    return {one.node: one.meta for one in dag.facts if one.meta}


def test_what_is_kept_of_a_line_is_kept_wherever_the_line_is_put() -> None:
    check = '@contract("contracts/x.py:X")'
    dead = '@deadletter("jsonl://out/d.jsonl")'
    dag = compile_lines(SOURCE, check, SINK, dead, "@meta(a=1)")
    assert metas(dag) == {"s.deadletter": {"a": "1"}}
    dag = compile_lines(dead, "@meta(a=1)", SOURCE, check, SINK)
    assert metas(dag) == {"s.deadletter": {"a": "1"}}
    dag = compile_lines("Given the contract: X", "@meta(a=1)", SOURCE, "@meta(b=2)", SINK)
    assert metas(dag) == {"s.contract": {"a": "1"}, "s.source": {"b": "2"}}
    dag = compile_lines("Metadata:", "  contract: X", SOURCE, "@meta(b=2)", SINK)
    assert metas(dag) == {"s.source": {"b": "2"}}


@pytest.mark.parametrize(
    "line",
    [
        '@meta(a="")',
        "@meta(a=[])",
        "@module()",
        '@module(layer="")',
        "@affinity(label=[])",
        '@golden("g.csv", key="")',
        '@step("")',
    ],
)
def test_what_says_nothing_is_told(line: str) -> None:
    assert codes(SOURCE, SINK, line) == ["D014"]
