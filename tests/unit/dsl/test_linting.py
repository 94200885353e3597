"""Lint: each rule finds what it is for and nothing else, and what it mends leaves the pipeline what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runink.dsl.codes import told_at_length
from runink.dsl.lint_codes import LINT_CODES, Severity
from runink.dsl.lint_conditions import verdict
from runink.testing.linting import GOOD, judged, mended, pipeline

SOURCE, CHECK, SINK, GOLDEN = GOOD
STEP_PIPELINE = (SOURCE, CHECK, '@step("clean")', SINK, GOLDEN)
CASES = {
    "L001": pipeline(SOURCE, CHECK, '@step("clean", as=cleaned)', SINK, GOLDEN),
    "L002": pipeline(*GOOD, head='@param("day", default="1")\n'),
    "L003": pipeline(SOURCE, SINK, GOLDEN),
    "L004": pipeline(SOURCE, CHECK, SINK),
    "L005": pipeline(*GOOD, "Then the number of records must be greater than zero 0"),
    "L006": pipeline('@source("csv:./data//x.csv")', CHECK, SINK, GOLDEN),
    "L007": pipeline(*STEP_PIPELINE[:3], '@requires(memory="512Mi")', *STEP_PIPELINE[3:]),
    "L008": pipeline(
        "@requires(cpu=1, memory=1Gi)",
        *STEP_PIPELINE[:3],
        "@requires(memory=1Gi)",
        *STEP_PIPELINE[3:],
    ),
    "L009": pipeline(*GOOD, f"# {'x' * 170}"),
    "L010": pipeline(*GOOD) + pipeline(*(one.replace("/x", "/z") for one in GOOD[:3]), GOLDEN.replace("/z", "/x")).removeprefix("Feature: x\n"),
    "L011": pipeline(*GOOD, '@assert("1 < 2")'),
    "L012": pipeline(SOURCE, '@source("csv://data/p.csv", as=planesTable)', CHECK, '@step(sql="SELECT * FROM input, planesTable")', '@sink("csv://out/x.csv")', GOLDEN),
    "L013": pipeline(SOURCE, CHECK, '@sink("parquet://out/x.parquet", mode=overwrite)', GOLDEN),
    "L014": pipeline(SOURCE, CHECK, '@step("clean", id=a)', '@sink("parquet://out/x.parquet", after=a)', GOLDEN),
    "L015": pipeline(*GOOD, "# lint: ignore L003"),
}  # fmt: skip


def test_a_pipeline_in_order_has_nothing_to_be_told() -> None:
    assert judged(pipeline(*GOOD)).codes == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Given contract: X",
        "Given the contract is X",
        'Then late ones go to "late" (sinks: out/x.csv)',
        'Then wrong ones go to "wrong" (dead-letters: out/x.csv)',
        "Then records should be at least 10",
        "Then freshness must be below 36 hours",
        "Then no schema drift is detected",
        'Given source "flights" from data/x.csv',
    ],
)
def test_a_sentence_that_is_almost_one_that_is_enforced_is_told(sentence: str) -> None:
    assert judged(pipeline(*GOOD, sentence)).codes == ["L005"]


@pytest.mark.parametrize(
    "sentence", ["Then somebody should be told", "Given the contract of last year"]
)
def test_a_sentence_for_people_is_left_alone(sentence: str) -> None:
    assert judged(pipeline(*GOOD, sentence)).codes == []


def test_every_code_has_a_case() -> None:
    assert CASES.keys() == LINT_CODES.keys()


@pytest.mark.parametrize("code", CASES)
def test_a_rule_finds_what_it_is_for(code: str) -> None:
    found = judged(CASES[code])
    assert found.dag is not None, [one.finding for one in found.found]
    assert set(found.codes) == {code}
    assert {one.severity for one in found.found} == {LINT_CODES[code].severity}
    assert all(one.finding.hint and one.finding.source_line for one in found.found)


@pytest.mark.parametrize("code", CASES)
def test_what_is_mended_is_gone_and_the_pipeline_is_the_same(code: str) -> None:
    before, after = judged(CASES[code]), mended(CASES[code])
    assert bool(before.found[0].edits) is LINT_CODES[code].is_mended
    assert before.dag is not None
    assert after.dag is not None
    assert after.dag.hash == before.dag.hash
    assert (code in after.codes) is not LINT_CODES[code].is_mended


@pytest.mark.parametrize(
    ("line", "behind"),
    [
        ('@step("clean", as=a, isolate=true)', '@step("clean", isolate=true)'),
        ('@step("clean", as=a)', '@step("clean")'),
        ('@step(as=a, name="clean")', '@step(name="clean")'),
        ('@step("clean", as = a, # why\n      isolate=true)', '@step("clean", isolate=true)'),
    ],
)
def test_an_argument_goes_with_its_comma(line: str, behind: str) -> None:
    after = mended(pipeline(SOURCE, CHECK, line, SINK, GOLDEN))
    assert behind in after.text


def test_a_request_that_shares_its_line_is_told_and_left() -> None:
    text = pipeline(
        "@requires(cpu=1)", SOURCE, CHECK, '@step("clean") @requires(cpu=1)', SINK, GOLDEN
    )
    (found,) = judged(text).found
    assert (found.finding.code, found.edits) == ("L008", ())


def test_typographic_quotes_are_mistakes_that_are_mended() -> None:
    text = pipeline("@source(“csv://data/x.csv”)", *GOOD[1:])
    before, after = judged(text), mended(text)
    assert before.dag is None
    assert (set(before.codes), {one.severity for one in before.found}) == (
        {"D006"},
        {Severity.ERROR},
    )
    assert after.codes == []
    assert after.text == pipeline(*GOOD)


def test_a_parameter_without_a_value_is_a_mistake_that_is_mended() -> None:
    text = pipeline("@module(layer=bronze, domain=)", *GOOD)
    assert judged(text).codes == ["D017"]
    assert mended(text).text == text.replace(", domain=", "")


def test_a_byte_order_mark_moves_no_edit() -> None:
    text = "\ufeff" + CASES["L013"].replace("Feature: x", '@herd("default")\nFeature: x')
    after = mended(text)
    assert after.text == text.replace(", mode=overwrite", "")


def test_a_reason_silences_a_code_in_its_line_or_the_next() -> None:
    text = pipeline(f"{SOURCE}  # lint: ignore L003 our own file", SINK, GOLDEN)
    assert judged(text).codes == []
    text = pipeline("# lint: ignore L003 our own file", SOURCE, SINK, GOLDEN)
    assert judged(text).codes == []
    text = "// lint: ignore-file L003, L004 a sketch\n" + pipeline(SOURCE, SINK)
    assert judged(text).codes == []


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("# lint: ignore", "names no code"),
        ("# lint: ignore L003", "gives no reason"),
        ("# lint: ignore L999 because", "there is no code L999"),
        ("# lint: ignore L010 because", "there is no L010 here"),
        ("# lint: ignore D030 because", "there is no code D030"),
    ],
)
def test_a_note_that_silences_nothing_is_told(note: str, told: str) -> None:
    found = [one for one in judged(pipeline(*GOOD, note)).found if one.finding.code == "L015"]
    assert any(told in one.finding.text for one in found)


def test_a_mistake_cannot_be_silenced() -> None:
    text = pipeline('@sorce("x") # lint: ignore D010 it is fine', *GOOD)
    assert "D010" in judged(text).codes


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("1 < 2", "always true"),
        ("'a' == 'b'", "always false"),
        ("x == x", "compares x with itself"),
        ("y > 1 && x <= x", "compares x with itself"),
        ("x > 5 && x < 3", "no x is all"),
        ("5 < x && 5 >= x", "no x is all"),
        ("x >= 5 && x < 5", "no x is all"),
        ("x == 1 && x == 2", "no x is all"),
        ("c == 'a' && c == 'b'", "c cannot be 'a' and 'b'"),
        ("x > 5 && x < 7", ""),
        ("x >= 5 && x <= 5", ""),
        ("x == 5 && x >= 5", ""),
        ("x > 5 || x < 3", ""),
        ("x > y && x < y", ""),
        ("c == 'a' || c == 'b'", ""),
        ("x > ${limit}", ""),
        ("x >", ""),
        ("x != null", ""),
    ],
)
def test_a_condition_that_is_the_same_for_every_row_is_seen_through(
    condition: str, said: str
) -> None:
    found = verdict(condition)
    assert said in found
    assert bool(said) is bool(found)


def test_a_name_that_a_query_or_a_function_takes_is_used() -> None:
    text = pipeline(
        SOURCE,
        '@source("csv://data/p.csv", as=planes)',
        CHECK,
        '@step("joined", as=all)',
        '@step(sql="SELECT * FROM all", from=all)',
        '@sink("csv://out/x.csv")',
        GOLDEN,
    )
    assert "L001" not in judged(text).codes


def test_the_table_of_codes_is_one() -> None:
    for code, one in LINT_CODES.items():
        assert code == one.code
        assert one.title
        assert one.text.endswith(".")


def test_the_page_lists_every_code() -> None:
    page = (Path(__file__).parents[3] / "docs/linting.md").read_text()
    rows = re.findall(r"^\| (L\d{3}) \| (\w+) \| (.*?) \| (yes)? ?\|$", page, re.MULTILINE)
    assert rows == [
        (one.code, one.severity.name.lower(), one.title, "yes" if one.is_mended else "")
        for one in LINT_CODES.values()
    ]


def test_the_page_shows_how_to_silence() -> None:
    page = (Path(__file__).parents[3] / "docs/linting.md").read_text()
    (block,) = re.findall(r"```dsl\n(.*?)```", page, re.DOTALL)
    assert judged(block).codes == ["L004"]


@pytest.mark.parametrize("code", LINT_CODES)
def test_a_code_is_explained_at_length(code: str) -> None:
    assert (
        told_at_length(code.lower())
        == f"{code}: {LINT_CODES[code].title}\n\n{LINT_CODES[code].text}"
    )
