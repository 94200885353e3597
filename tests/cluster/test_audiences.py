"""Views for several audiences in a real run: docs/audiences.md's own example, and what becomes of a view when its herd is declared, and changes its mind."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from runi_project import Project

PAGE = (Path(__file__).parents[2] / "docs/audiences.md").read_text()
INVALID, FAILED, CONFLICT = 8, 1, 5
VIEWS = ("finance", "support", "everybody")


def block(kind: str) -> str:
    (found,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture
def staff(project: Project) -> Project:
    """The page's example, as it stands there."""
    for path, kind in (
        ("contracts/staff.py", "python"),
        ("herds/people.toml", "toml"),
        ("features/staff.dsl", "dsl"),
        ("data/staff.csv", "csv"),
    ):
        project.write(path, block(kind))
    return project


def test_each_view_holds_what_the_page_says(staff: Project) -> None:
    said = staff.run("features/staff.dsl")
    assert said.code == 0, said
    table = re.findall(r"^\| 1 \| (\w+) \| (.+?) \| (.+?) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert [name for name, *_ in table] == list(VIEWS)
    for name, *shown in table:
        row = staff.rows(f"out/{name}.jsonl")[0]
        assert [str(row[key]) for key in ("name", "town", "salary")] == [
            one.replace("\\", "") for one in shown
        ]


def test_no_file_of_the_run_holds_what_it_must_not(staff: Project) -> None:
    assert staff.run("features/staff.dsl").code == 0
    allowed = {
        "52300": {"data/staff.csv", "out/finance.jsonl"},
        "48900": {"data/staff.csv", "out/finance.jsonl"},
        "Bonn": {"data/staff.csv", "out/support.jsonl"},
        "Bob": {"data/staff.csv", "out/support.jsonl"},
    }
    for path in staff.files("."):
        content = (staff.root / path).read_bytes()
        found = [one for one, paths in allowed.items() if one.encode() in content and path not in paths]  # fmt: skip
        assert not found, path


def test_reasons_hold_no_value_that_is_marked(staff: Project) -> None:
    staff.write("data/staff.csv", "id,name,town,salary\n1,Ann,Ulm,ninety\n")
    said = staff.run("features/staff.dsl")
    assert said.code == 0, said
    assert "ninety" not in said.out
    (dead,) = staff.rows("out/dead.jsonl")
    assert dead["dead_reasons"][0]["message"] == "salary is a value, not an int"


LATER = """
  Scenario: Later
    @source("jsonl://out/all.jsonl")
    @contract("contracts/staff.py:Short")
    @sink("jsonl://out/later.jsonl" with "role=admin")
    @deadletter("jsonl://out/short.jsonl")
"""
SHORT = """

class Short(Contract):
    id: int
    town: Annotated[str, Field(max_length=2, min_length=1)]
"""


def test_reasons_of_a_later_contract_hold_no_value_that_the_first_one_marks(staff: Project) -> None:
    staff.write("contracts/staff.py", block("python") + SHORT)
    text = block("dsl").replace('finance.jsonl" with "role=finance"', 'all.jsonl"')
    staff.write("features/staff.dsl", text + LATER)
    said = staff.run("features/staff.dsl")
    assert said.code == 0, said
    assert "Ulm" not in said.out
    told = [row["dead_reasons"][0]["message"] for row in staff.rows("out/short.jsonl")]
    assert told == ["town is a value, not at most 2 characters long"] * 2


def test_lineage_says_for_which_role_each_output_was_written(staff: Project) -> None:
    assert staff.run("features/staff.dsl").code == 0
    lineage = staff.runi("lineage", "last", "-o", "json").document
    roles = {one["uri"]: one.get("role", "") for one in lineage["outputs"]}
    assert roles == {
        "jsonl://out/finance.jsonl": "finance",
        "jsonl://out/support.jsonl": "support",
        "jsonl://out/everybody.jsonl": "viewer",
        "jsonl://out/dead.jsonl": "",
    }
    assert "wrote jsonl://out/finance.jsonl for role finance: 2 rows" in staff.runi("lineage", "last").out  # fmt: skip


def test_a_role_that_is_not_there_is_told_as_the_page_says(staff: Project) -> None:
    staff.write("features/staff.dsl", block("dsl").replace("finance", "finanse"))
    said = staff.run("features/staff.dsl")
    assert said.code == INVALID, said
    (finding,) = said.error["findings"]
    assert f"error[{finding['code']}]: {finding['text']}" in PAGE


def test_a_declared_herd_is_asked_when_a_run_is_submitted_and_before_each_slice(
    staff: Project,
) -> None:
    with staff.up():
        assert staff.runi("herd", "create", "-f", "herds/people.toml").code == 0
        assert staff.run("features/staff.dsl").code == 0
        staff.write("herds/people.toml", block("toml").replace('"pii:pay"', '"pii:*"'))
        said = staff.run("features/staff.dsl")
        assert said.code == CONFLICT, said
        assert said.error["code"] == "herd_differs"
        assert "something else of role finance" in said.error["text"]


def test_a_view_by_roles_that_were_taken_back_while_a_run_waits_is_not_written(
    staff: Project,
) -> None:
    """The run's second scenario waits for its first, which waits for its input."""
    os.mkfifo(staff.root / "data/gate")
    text = block("dsl").replace("data/staff.csv", "data/gate").replace('jsonl" with "role=finance"', 'jsonl"')  # fmt: skip
    second = '\n  Scenario: Later\n    @source("jsonl://out/finance.jsonl")\n    @contract("contracts/staff.py:Staff")\n    @sink("jsonl://out/later.jsonl" with "role=finance")\n    @deadletter("jsonl://out/dead2.jsonl")\n'
    staff.write("features/staff.dsl", text + second)
    with staff.up():
        assert staff.runi("herd", "create", "-f", "herds/people.toml").code == 0
        with staff.popen("run", "features/staff.dsl", "-o", "json") as waiting:
            with (staff.root / "data/gate").open("w") as gate:
                staff.write("herds/people.toml", block("toml").replace(', "pii:pay"', ""))
                assert staff.runi("herd", "update", "-f", "herds/people.toml").code == 0
                gate.write("id,name,town,salary\n1,Ann,Ulm,52300\n")
            out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == FAILED, err
    error = json.loads(out)["error"]
    assert error["code"] == "not_cleared"
    assert "role finance, for which jsonl://out/later.jsonl is, does not see pii:pay any more" in error["text"]  # fmt: skip
    assert staff.files("out") == []
