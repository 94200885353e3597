"""Versions published while a cluster runs: by several at once, and beside runs."""

from __future__ import annotations

import json

import pytest
from runi_project import Project

CONTRACT = 'class Ticket(Contract, version="1.0.0"):\n    n: Annotated[int, Field(le={limit})]\n'
TICKET = "contracts/c.py:Ticket"
HERD = '[herd]\nid = "sales"\n[contracts]\ncompatibility = "backward"\n'


@pytest.fixture
def sales(project: Project) -> Project:
    project.contract(CONTRACT.format(limit=10))
    project.write("herds/sales.toml", HERD)
    project.write("d.csv", "n\n1\n20\n")
    project.pipeline(
        f'@source("csv://d.csv")\n@contract("{TICKET}")\n@sink("jsonl://out/x.jsonl")\n@deadletter("jsonl://out/dead.jsonl")',
        herd="sales",
    )
    return project


def test_what_is_published_outlives_runs_and_what_is_cleaned(sales: Project):
    with sales.up():
        assert sales.runi("contract", "publish", TICKET).code == 0
        assert sales.runi("pipeline", "push", "features/p.dsl").code == 0
        assert sales.run()
        assert sales.runi("clean", "--keep", "0").code == 0
        (row,) = sales.runi("pipeline", "list", "-o", "json").document
        assert row["reference"] == "sales/p@1.0.0"
    # The same without a cluster that runs.
    (version,) = sales.runi("contract", "history", "sales/Ticket", "-o", "json").document
    assert version["version"] == "1.0.0"
    keys = sales.runi("barn", "get", "/", "--prefix", "--keys-only").out.split()
    assert [key for key in keys if key.startswith(("/pipelines/", "/contracts/"))] == [
        "/contracts/sales/Ticket/1.0.0",
        "/pipelines/sales/p/1.0.0",
    ]


def test_of_several_that_publish_one_version_at_once_one_wins(sales: Project):
    with sales.up():
        children = []
        for limit in range(11, 17):
            path = f"contracts/c{limit}.py"
            head = "from typing import Annotated\nfrom runink import Contract, Field\n"
            sales.write(path, head + CONTRACT.format(limit=limit))
            words = ("contract", "publish", f"{path}:Ticket", "-o", "json")
            children.append(sales.popen(*words))
        said = [(child.communicate()[0], child.returncode) for child in children]
        codes = sorted(code for _, code in said)
        assert codes == [0, 5, 5, 5, 5, 5]
        won = next(json.loads(out)["hash"] for out, code in said if code == 0)
        lost = [json.loads(out)["error"] for out, code in said if code]
        assert {error["code"] for error in lost} == {"version_taken"}
        assert all(won in error["text"] for error in lost)
        (version,) = sales.runi("contract", "history", "Ticket", "-o", "json").document
        assert version["hash"] == won


def test_of_two_that_do_not_go_together_one_is_refused(sales: Project):
    """Each gets along with 1.0.0, and neither with the other, whichever comes first."""
    with sales.up():
        assert sales.runi("contract", "publish", TICKET).code == 0
        children = []
        for version, field in (("1.1.0", "a: int = 0"), ("1.2.0", "a: str = ''")):
            path = f"contracts/v{version[2]}.py"
            text = CONTRACT.format(limit=10).replace("1.0.0", version) + f"    {field}\n"
            head = "from typing import Annotated\nfrom runink import Contract, Field\n"
            sales.write(path, head + text)
            children.append(sales.popen("contract", "publish", f"{path}:Ticket", "-o", "json"))
        said = [(child.communicate()[0], child.returncode) for child in children]
        assert sorted(code for _, code in said) == [0, 4]
        lost = next(json.loads(out)["error"] for out, code in said if code)
        assert lost["code"] == "contract_incompatible"
        assert "a: int → str" in lost["text"]
        assert len(sales.runi("contract", "history", "Ticket", "-o", "json").document) == 2
