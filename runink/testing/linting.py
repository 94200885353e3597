"""Pipelines for tests of lint, compiled in a project in memory."""

from __future__ import annotations

from dataclasses import dataclass

from runink.dag import Dag
from runink.dsl.linting import Lint, fixed, linted
from runink.errors import Finding, Invalid
from runink.testing.projects import MemoryProject, compile_text, contract_of

STEPS = """from runink import step

@step(each="batch")
def clean(rows): ...

@step(each="batch")
def joined(rows, planes): ...
"""
CONTRACT = "contracts/flights.py:Flight"
PROJECT = MemoryProject(
    {"steps/flights.py": STEPS, "golden/x.csv": ""},
    {CONTRACT: contract_of(CONTRACT, {"carrier": "str", "delay": "int"})},
)
FILE = "features/x.dsl"


@dataclass(frozen=True)
class Judged:
    text: str
    dag: Dag | None
    found: tuple[Lint, ...]

    @property
    def codes(self) -> list[str]:
        return [one.finding.code for one in self.found]


def judged(text: str) -> Judged:
    """Return what lint says about a text, and its Dag if it compiles."""
    dag: Dag | None = None
    mistakes: tuple[Finding, ...] = ()
    try:
        dag = compile_text(text, project=PROJECT, file=FILE).dag
    except Invalid as error:
        mistakes = error.findings
    return Judged(text, dag, linted(text, FILE, dag, mistakes))


def mended(text: str) -> Judged:
    """Mend what can be mended until nothing more can be."""
    last = judged(text)
    for _ in range(5):
        if not any(one.edits for one in last.found):
            return last
        last = judged(fixed(last.text, last.found))
    raise AssertionError("mending comes to no end")


def pipeline(*lines: str, head: str = "") -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"{head}Feature: x\n\n  Scenario: y\n{body}\n"


GOOD = (
    '@source("csv://data/x.csv")',
    f'@contract("{CONTRACT}")',
    '@sink("parquet://out/x.parquet")',
    '@golden("golden/x.csv")',
)
