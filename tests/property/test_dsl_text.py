"""Whatever a file holds, compiling it gives a pipeline or findings, each at a place that is there; and equal meaning gives equal bytes."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.dag import Dag
from runink.dsl.diagnostics import rendered
from runink.errors import Invalid
from runink.testing.projects import MemoryProject, compile_text, contract_of

STEPS = """from runink import step
import polars as pl

@step(each="batch")
def with_planes(flights, planes): return flights

@step(each="stream")
def counted(flights): yield from flights
"""
PIPELINE = """# Departures.
@herd("analytics")
@param("day", default="2013-01-01")
Feature: On time

  @module(layer="bronze")
  Scenario: Take in
    @source("csv://data/flights.csv", nulls=["NA", ""])
    @contract("contracts/flights.py:Flight")
    @sink("parquet://out/bronze.parquet", when "carrier in ['UA', 'DL'] && dep_delay > -10.5")
    @deadletter("jsonl://out/dead.jsonl")
    @assert("rejected_ratio <= 0.03")

    Given the airport's own schedule

  @module(layer="silver", domain="ops")
  Scenario: Say who flew it
    @source("parquet://out/bronze.parquet")
    @source("csv://data/planes.csv", as=planes, delimiter=";")
    @step("with_planes", isolate=true)
    @requires(cpu=1, memory=512Mi)
    @step("counted", as=counts)
    @sink("arrow://out/silver.arrow", mode=append)
    @step(sql="SELECT * FROM input WHERE day = '${day}'", from=counts)
    @step(run="grep -v x", format="csv")
    @sink("jsonl://-")
    @golden("golden/x.csv", key=["carrier"], tolerance=1e-9)

  Scenario: In sentences
    Metadata:
      purpose: to say it
      compliance: [SOX, "GDPR"]
    Given the contract: Flight
    And source stream "Flights" from "csv:data/more.csv"
    When they come
      - good ones to "Good" (sink: out/good.parquet)
      - others to "Bad" (deadletter: out/bad.jsonl)
    Then rejected ratio must be below 5%
    Assertions:
      - records > 0
    GoldenTest:
      input: golden/y.csv
      output: golden/x.csv

  Scenario: By its properties
    @source(type=sf, schema=bronze, table=more @meta(a="b"))
    Properties:
      carrier: string
      dep_delay:
        type: int
        required: false
        minimum: -10
    @sink("sf:silver.more", after=last)
    @step("counted", id=first)
    @step(run="sort", id=last, after=first)
"""
PROJECT = MemoryProject(
    {"steps/f.py": STEPS, "golden/x.csv": ""},
    {
        "contracts/flights.py:Flight": contract_of(
            "contracts/flights.py:Flight", {"carrier": "str", "dep_delay": "int"}
        )
    },
)
SPLINTERS = [
    "Metadata:\n  contract: X",
    "Assertions:\n  - x",
    "Properties:\n  - name: x",
    "GoldenTest:\n  output: [x]",
    "must be at least 5%",
    "(sink: ",
    "after=",
    "id=",
    "sf:",
    "node x {",
    "@",
    "(",
    ")",
    "[",
    "]",
    '"',
    '"""',
    "'",
    ",",
    "=",
    "\\",
    "${",
    "${x}",
    "}",
    "#",
    "//",
    "\n",
    "\r\n",
    "\t",
    "\x00",
    "\x0b",
    "\u2028",
    "\u201c",
    "\u201d",
    "é",
    "𝛑",
    "when",
    ' when "a > 1"',
    "@source",
    "@step(",
    "Scenario:",
    "Feature:",
    "Scenario Outline:",
    "Metadata:\n  a: b\n",
    "| a | b |",
    "- x",
    "Given",
    "true",
    "1e999",
    "-1",
    "as=a",
    "from=a",
    "on=planes",
    "[[[[[[[[[[[[",
]


def outcome(text: str) -> Dag | None:
    """Compile; check what must hold of findings."""
    try:
        return compile_text(text, project=PROJECT).dag
    except Invalid as error:
        check(error, text)
        return None


def check(error: Invalid, text: str) -> None:
    assert error.findings
    lines = text.split("\n")
    for finding in error.findings:
        if finding.span is not None and finding.span.file == "features/x.dsl":
            assert 1 <= finding.span.line <= len(lines)
            assert 1 <= finding.span.column <= len(lines[finding.span.line - 1]) + 1
            assert finding.span.length >= 1
    assert rendered(error.findings)


def test_the_example_is_a_pipeline() -> None:
    assert outcome(PIPELINE) is not None


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_file_gives_a_pipeline_or_findings(data: st.DataObject) -> None:
    text = PIPELINE
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 30))
        text = text[:at] + data.draw(st.sampled_from(["", *SPLINTERS])) + text[at + cut :]
    outcome(text)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.sampled_from(SPLINTERS), st.text(max_size=5)), max_size=40))
def test_a_heap_of_splinters_gives_findings(pieces: list[str]) -> None:
    outcome("".join(pieces))


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_formatting_and_comments_change_nothing_of_the_hash(seed: int) -> None:
    chance = random.Random(seed)
    lines: list[str] = []
    for line in PIPELINE.split("\n"):
        if chance.random() < 0.3:
            lines.append(chance.choice(["", "   ", "# a note", "  // a note (", '\t# "']))
        bare = line.strip()
        if line.startswith("      ") or bare.endswith(":"):
            lines.append(line)  # in a block, what stands deeper belongs to what stands above it
            continue
        indent = chance.choice(["", "  ", "\t", "      "])
        tail = chance.choice(["", "  ", "  # why", "\t// why ("]) if bare.startswith("@") else ""
        lines.append(indent + _respaced(bare, chance) + tail if bare else line)
    text = chance.choice(["\n", "\r\n"]).join(lines)
    if chance.random() < 0.5:
        text = "\ufeff" + text
    ours, theirs = outcome(PIPELINE), outcome(text)
    assert ours is not None
    assert theirs is not None
    assert ours.hash == theirs.hash


def _respaced(line: str, chance: random.Random) -> str:
    """Put blanks and line ends where they mean nothing: behind commas between arguments."""
    if not line.startswith("@") or "SELECT" in line:
        return line
    gap = chance.choice([", ", ",  ", ",\n    ", ",\n\n\t"])
    return gap.join(line.split(", ")) if "when" not in line else line


def test_the_same_file_and_parameters_give_the_same_hash() -> None:
    one = compile_text(PIPELINE, project=PROJECT, parameters={"day": "2013-01-01"}).dag
    assert one.hash == compile_text(PIPELINE, project=PROJECT).dag.hash
    other = compile_text(PIPELINE, project=PROJECT, parameters={"day": "2013-01-02"}).dag
    assert one.hash != other.hash
