"""What the documentation shows compiles, and it leaves nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runink.dsl.checker import outlined
from runink.dsl.diagnostics import Findings, rendered
from runink.dsl.parser import parsed
from runink.dsl.vocabulary import ANNOTATIONS, ELSEWHERE, PARAMETERS_NOT_YET, Where
from runink.testing.projects import MemoryProject, compile_text, contract_of

ROOT = Path(__file__).parents[3]
PAGES = [
    ROOT / f"docs/{page}.md"
    for page in ("reference/dsl", "pipelines", "schedules", "testing-pipelines")
]
REFERENCE = PAGES[0].read_text()
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{place}")
    for page in PAGES
    for place, block in enumerate(re.findall(r"```dsl\n(.*?)```", page.read_text(), re.DOTALL))
]
HEADS = ("@herd", "@param", "@feature", "@priority")
STEPS = """from runink import step

@step(each="batch")
def with_plane(flights, planes): ...

@step(each="batch")
def clean(flights): ...

@step(each="batch")
def with_plane_and_mean(flights, planes, means): ...
"""
FIELDS = {"carrier": "str", "tailnum": "str", "dep_delay": "int", "delay": "float"}
PROJECT = MemoryProject(
    {"steps/flights.py": STEPS, "bin/mask": "", "golden/delays.csv": ""},
    {
        reference: contract_of(reference, FIELDS)
        for reference in (
            "contracts/flights.py:Flight",
            "contracts/flights.py:Plane",
            "contracts/flights.py:Delay",
        )
    },
)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_is_right(block: str) -> None:
    if "Feature:" in block:
        assert compile_text(block, project=PROJECT).dag.nodes
        return
    heads = [line for line in block.split("\n") if line.startswith(HEADS)]
    rest = [line for line in block.split("\n") if line not in heads]
    text = "\n".join([*heads, "Feature: x", "Scenario: y", *rest])
    findings = Findings("x.dsl", text)
    outlined(parsed(text, findings), {}, findings)
    assert not findings.told(), rendered(findings.told())


def test_every_annotation_and_parameter_is_documented() -> None:
    sections = dict(re.findall(r"### @(\w+)\n(.*?)(?=\n##|\Z)", REFERENCE, re.DOTALL))
    assert set(sections) == {name for name, kind in ANNOTATIONS.items() if not kind.later}
    for name, section in sections.items():
        assert "```dsl" in section, name
        for parameter in ANNOTATIONS[name].parameters:
            assert parameter in section, f"@{name}({parameter})"


def test_every_code_is_documented_and_every_documented_code_is_there() -> None:
    places = ("runink/dsl", "runink/expressions")
    files = [
        *(one for place in places for one in (ROOT / place).glob("*.py")),
        ROOT / "runink/projects.py",
    ]
    used = {code for file in files for code in re.findall(r'"(D[09]\d\d)"', file.read_text())}
    table = REFERENCE.partition("## Codes")[2]
    assert used == set(re.findall(r"D[09]\d\d", table))


def test_every_annotation_has_an_example_that_is_right() -> None:
    for name, kind in ANNOTATIONS.items():
        assert kind.example.startswith(f"@{name}(")


def _section(title: str) -> str:
    return REFERENCE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_what_is_not_there_yet_is_documented_as_such() -> None:
    rows = dict(re.findall(r"\| `@(\w+)(.*)", _section("Not there yet")))
    later = {name: kind for name, kind in ANNOTATIONS.items() if kind.later}
    assert set(rows) == set(later)
    for name, kind in later.items():
        assert kind.example.removeprefix(f"@{name}") in rows[name]
        for parameter in kind.parameters:
            assert f"`{parameter}`" in rows[name], f"@{name}({parameter})"


@pytest.mark.parametrize("name", [name for name, kind in ANNOTATIONS.items() if kind.later])
def test_what_is_not_there_yet_is_right_but_for_that(name: str) -> None:
    kind = ANNOTATIONS[name]
    head, body = ("", kind.example) if kind.where is not Where.FILE else (kind.example, "Given x")
    text = f"{head}\nFeature: x\nScenario: y\n{body}\n"
    findings = Findings("x.dsl", text)
    outlined(parsed(text, findings), {}, findings)
    assert [one.code for one in findings.told()] == ["D012"], rendered(findings.told())


def test_nothing_is_both_there_and_not_there() -> None:
    assert not set(ELSEWHERE) & set(ANNOTATIONS)
    for annotation, parameter in PARAMETERS_NOT_YET:
        assert parameter not in ANNOTATIONS[annotation].parameters
