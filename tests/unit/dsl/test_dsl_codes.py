"""Every code of a finding has its long text, and every example in it gives its code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.contracts.loading import load_contract
from runink.dsl.codes import Code, codes, reference
from runink.errors import Invalid
from runink.herds import read_herd
from runink.projects import compile_file

ROOT = Path(__file__).parents[3]
STEPS = """from runink import step

@step(each="batch")
def clean(flights): ...

@step
def unsaid(flights): ...

@step(each="batch")
async def later(flights): ...

@step(each="batch", name="twice")
def one(flights): ...

@step(each="batch", name="twice")
def other(flights): ...
"""
CONTRACT = """from runink import Contract, Field

class Flight(Contract, version="1.0.0"):
    carrier: str
    dep_delay: int | None

class Plane(Contract, version="1.0.0"):
    tailnum: str
"""
CLASS = """from runink import Contract, Field

class X(Contract, version="1.0.0"):
"""


@pytest.fixture
def project(tmp_path: Path, own_modules: None) -> Path:
    for path, text in {
        "runink.toml": "",
        "steps/flights.py": STEPS,
        "contracts/flights.py": CONTRACT,
        "golden/x.csv": "carrier\nUA\n",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path


def given(code: Code, project: Path) -> set[str]:
    """Do what the example says, and return the codes that come of it."""
    with pytest.raises(Invalid) as caught:
        _try(code.kind, code.example.strip("\n"), project)
    return {finding.code for finding in caught.value.findings}


def _try(kind: str, text: str, project: Path) -> None:
    lines = "\n".join(f"    {line}" for line in text.split("\n"))
    if kind == "herd":
        read_herd(text, file="herds/analytics.toml")
    elif kind in {"contract", "class"}:
        whole = CLASS + lines if kind == "contract" else CLASS.partition("class")[0] + text
        (project / "contracts/x.py").write_text(whole + "\n")
        load_contract(project, "contracts/x.py:X")
    else:
        file = project / "features/x.dsl"
        file.parent.mkdir()
        whole = text if kind == "file" else f"Feature: F\nScenario: S\n{lines}\n"
        file.write_text(whole, encoding="latin-1" if kind == "latin" else "utf-8")
        compile_file(file, parameters={})


@pytest.mark.parametrize("name", [name for name, code in codes().items() if code.example])
def test_an_example_gives_its_code(name: str, project: Path) -> None:
    assert name in given(codes()[name], project)


def test_a_wrong_herd_is_told_with_the_code_that_has_no_example_here(project: Path) -> None:
    (project / "herds").mkdir()
    (project / "herds/default.toml").write_text(codes()["H001"].example)
    assert given(codes()["D023"], project) & {"H001", "D024"}


def test_every_code_that_can_be_told_has_its_text_and_the_other_way_round() -> None:
    used = {
        found
        for file in (ROOT / "runink").rglob("*.py")
        for found in re.findall(r'"([DCH]\d{3})"', file.read_text())
    }
    assert used - {"D1"} == set(codes())


def test_the_page_of_codes_is_made_of_the_same_table() -> None:
    assert (ROOT / "docs/reference/errors.md").read_text() == reference()


def test_a_code_is_explained_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert called(["explain", "d010"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("D010: there is no such annotation\n")
    assert "@sorce" in out


def test_a_code_that_there_is_not_is_told_with_its_neighbour(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert called(["explain", "D099"]) == 3
    assert "did you mean D0" in capsys.readouterr().err
