"""Every code of a finding has its long text, and every example in it gives its code."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.contracts.loading import load_contract
from runink.dsl.codes import Code, codes, reference
from runink.dsl.diagnostics import rendered
from runink.errors import Invalid
from runink.herds.file import read_herd
from runink.projects import compile_file

ROOT = Path(__file__).parents[3]
TRANSCRIPT = ROOT / "tests/transcripts/codes.txt"
NEWLINE = "\n"
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


def refused(code: Code, project: Path) -> Invalid:
    """Do what the example says, and return what comes of it."""
    with pytest.raises(Invalid) as caught:
        _try(code.kind, code.example.strip("\n"), project)
    return caught.value


def given(code: Code, project: Path) -> set[str]:
    return {finding.code for finding in refused(code, project).findings}


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
        file.parent.mkdir(exist_ok=True)
        whole = text if kind == "file" else f"Feature: F\nScenario: S\n{lines}\n"
        file.write_text(whole, encoding="latin-1" if kind == "latin" else "utf-8")
        compile_file(file, parameters={})


@pytest.mark.parametrize("name", [name for name, code in codes().items() if code.example])
def test_an_example_gives_its_code(name: str, project: Path) -> None:
    assert name in given(codes()[name], project)


def test_what_a_person_reads_of_every_code(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RUNINK_REWRITE=1 accepts what comes out now."""
    told = []
    for name, code in codes().items():
        if code.example:
            monkeypatch.setitem(sys.modules, "contracts.x", None)
            findings = [one for one in refused(code, project).findings if one.code == name]
            text = rendered(findings).replace(f"{project}/", "").rstrip()
            told.append(
                f"=== {name} {code.title}\n{code.example.strip(NEWLINE)}\n--- told\n{text}\n"
            )
    whole = "\n".join(told)
    if os.environ.get("RUNINK_REWRITE"):
        TRANSCRIPT.write_text(whole)
    assert TRANSCRIPT.read_text() == whole


def test_a_wrong_herd_is_told_with_the_code_that_has_no_example_here(project: Path) -> None:
    (project / "herds").mkdir()
    (project / "herds/default.toml").write_text(codes()["H001"].example)
    assert given(codes()["D023"], project) & {"H001", "D024"}


def test_every_code_that_can_be_told_has_its_text_and_the_other_way_round() -> None:
    used = {
        found
        for file in (ROOT / "runink").rglob("*.py")
        for found in re.findall(r'"([DCHI]\d{3})"', file.read_text())
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
