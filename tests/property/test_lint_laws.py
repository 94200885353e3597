"""Laws of lint: it takes any text, what it mends stays the pipeline that it was, and mending twice is mending once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from runink.dsl.edits import edited
from runink.dsl.lint_codes import LINT_CODES
from runink.testing.linting import CONTRACT, judged, mended, pipeline

CHECK = f'@contract("{CONTRACT}")'
SOURCES = st.sampled_from(
    [
        '@source("csv://data/x.csv")',
        '@source("csv:data/x.csv", delimiter=",")',
        '@source("CSV://./data//x.csv", isolate="false")',
        '@source( "csv:./data/x.csv" ,nulls=["NA"],isolate=false )',
        '@source("csv:x.csv",\n      delimiter=",",  # why not\n      isolate=false)',
    ]
)
STEPS = st.lists(
    st.sampled_from(
        [
            '@step("clean", as=a1)',
            '@step("clean", id=b1, isolate="true")',
            '@step(name="clean",isolate=false)',
            '@step(run="./bin/p", format=jsonl)',
            '@step("clean")\n    @requires(memory="512Mi")',
            '@step("clean")\n    @requires(cpu="1", memory=1Gi)',
            '@step("clean")\n    @requires(cpu=1)',
            '@step(sql="SELECT * FROM input") @requires(cpu=1)',
        ]
    ),
    max_size=3,
    unique=True,
)
SINKS = st.sampled_from(
    [
        '@sink("parquet:out/x.parquet", mode=overwrite)',
        '@sink("parquet://out/x.parquet", mode="overwrite", isolate=false)',
        '@sink("sf:gold.x", isolate=true)',
        '@sink("jsonl://out/x.jsonl", when "delay > 1")',
    ]
)
HEADS = st.sampled_from(["", "@requires(cpu=1, memory=1Gi)", '@requires(cpu="1")'])
PIPELINES = st.builds(
    lambda head, source, steps, sink: pipeline(
        *([head] if head else []), source, CHECK, *steps, sink
    ),
    HEADS,
    SOURCES,
    STEPS,
    SINKS,
)
LINES = st.sampled_from(
    [
        *("@source(", '@step("a", as=', "@requires(cpu=1)", "Feature: x", "Scenario: y", "Given a"),
        *('@sink("sf:x" when "1 < 2")', "# lint: ignore L003 x", "# lint: ignore", "| a | b |"),
        *("Examples:", "@module(domain=)", "@param(“x”)", "must be 1", "Example: z", '"""', "---"),
    ]
)


@given(PIPELINES)
def test_what_is_mended_is_the_same_pipeline_and_has_nothing_left_to_mend(text: str) -> None:
    before, after = judged(text), mended(text)
    assert (before.dag is None) == (after.dag is None)
    if before.dag is not None and after.dag is not None:
        assert after.dag.hash == before.dag.hash
    assert not any(one.edits for one in after.found)
    assert mended(after.text).text == after.text
    told = {code for code in after.codes if code in LINT_CODES}
    left = {one.finding.code for one in before.found if not one.edits}
    assert told <= left


@given(st.one_of(st.text(max_size=200), st.lists(LINES, max_size=12).map("\n".join)))
def test_lint_takes_any_text_and_its_edits_lie_in_it(text: str) -> None:
    for one in judged(text).found:
        for edit in one.edits:
            assert 0 <= edit.start <= edit.end <= len(text)
    found = [edit for one in judged(text).found for edit in one.edits]
    assert isinstance(edited(text, found), str)
