"""Personal data in real runs: what sinks hold of it on the disk, and what ends a run before anything is published."""

from __future__ import annotations

import json
import os
import stat
from typing import Any

import pytest
from runi_project import Project

INVALID = 8
FAILED = 1
CONTRACT = """class Trade(Contract, version="1.0.0"):
    id: Annotated[int, Field(ge=1)]
    email: Annotated[str, Field(pii="email", mask="hash")]
    phone: Annotated[int, Field(pii="phone", mask="tokenise")]
    name: Annotated[str | None, Field(pii="name", mask="truncate(1)")] = None
    amount: float
"""
ROWS = (
    "id,email,phone,name,amount\n"
    "1,ann@example.org,4912345,Zora,10.5\n"
    "2,bob@example.org,4954321,,20\n"
    "3,ann@example.org,4912345,Zora,1\n"
    "0,eve@example.org,4999999,Eve,1\n"
)
SECRETS = ("example.org", "4912345", "4954321", "4999999", "Zora", "Eve")
HERD = '[herd]\nid = "crm"\n'
CLEAR = '[[clearances]]\nsink = "jsonl://out/secure/*"\npii = ["*"]\n'
BODY = """
@source("csv://data/in.csv")
@contract("contracts/c.py:Trade")
@sink("jsonl://out/o.jsonl")
@sink("jsonl://out/secure/o.jsonl")
@deadletter("jsonl://out/dead.jsonl")
"""


@pytest.fixture
def trades(project: Project) -> Project:
    project.write("data/in.csv", ROWS)
    project.write("herds/crm.toml", HERD + CLEAR)
    project.contract(CONTRACT)
    project.pipeline(BODY, herd="crm")
    return project


def rows_of(project: Project, path: str) -> list[dict[str, Any]]:
    said = project.run()
    assert said.code == 0, said
    return project.rows(path)


def test_a_sink_holds_what_masks_leave_and_one_that_is_cleared_the_values(trades: Project):
    first, second, third = rows_of(trades, "out/o.jsonl")
    assert first["email"] == third["email"] != second["email"]
    assert first["phone"] == third["phone"] != second["phone"]
    assert [row["name"] for row in (first, second, third)] == ["Z", None, "Z"]
    assert [row["amount"] for row in (first, second, third)] == [10.5, 20, 1]
    secure = trades.rows("out/secure/o.jsonl")
    assert [row["email"] for row in secure] == ["ann@example.org", "bob@example.org", "ann@example.org"]  # fmt: skip
    assert [row["phone"] for row in secure] == [4912345, 4954321, 4912345]


def test_nothing_personal_is_on_the_disk_but_where_it_was_and_where_it_is_cleared(trades: Project):
    assert len(rows_of(trades, "out/dead.jsonl")) == 1
    allowed = ("data/in.csv", "out/secure/o.jsonl")
    for path in trades.files("."):
        content = (trades.root / path).read_bytes()
        if path not in allowed:
            assert not [one for one in SECRETS if one.encode() in content], path


def test_a_dead_letter_says_why_without_showing_the_values(trades: Project):
    (dead,) = rows_of(trades, "out/dead.jsonl")
    assert dead["id"] == "0"
    assert len(dead["email"]) == 64
    assert dead["name"] == "E"
    assert [one["field"] for one in dead["dead_reasons"]] == ["id"]


def test_equal_values_are_masked_alike_in_every_run_with_the_herds_key(trades: Project):
    before = rows_of(trades, "out/o.jsonl")
    key = trades.root / ".runink/keys/crm.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert rows_of(trades, "out/o.jsonl") == before
    key.unlink()
    assert rows_of(trades, "out/o.jsonl")[0]["email"] != before[0]["email"]


def test_the_key_stands_in_no_record_and_no_log(trades: Project):
    rows_of(trades, "out/o.jsonl")
    text = (trades.root / ".runink/keys/crm.key").read_text().strip()
    for path in trades.files(".runink"):
        if path != ".runink/keys/crm.key":
            content = (trades.root / path).read_bytes()
            assert text.encode() not in content, path
            assert bytes.fromhex(text) not in content, path


def test_a_pipeline_that_writes_what_nothing_masks_is_refused(trades: Project):
    trades.contract(CONTRACT.replace(', mask="hash"', ""))
    said = trades.run()
    assert said.code == INVALID, said
    assert {one["code"] for one in said.error["findings"]} == {"D080"}
    assert "Trade.email (pii=email)" in said.out
    assert not (trades.root / "out").exists()


def test_a_key_that_was_damaged_ends_the_run_with_what_to_do(trades: Project):
    trades.write(".runink/keys/crm.key", "not a key").chmod(0o600)
    said = trades.run()
    assert said.code == FAILED, said
    assert said.error["code"] == "mask_key"
    assert "64 hexadecimal digits" in said.error["text"]
    assert trades.files("out") == []


MORE = '''
@step(each="batch", maps={"*": "*", "score": ["amount"]})
def more(rows):
    """Gives a column of which it said nothing."""
    import pyarrow as pa

    said = rows.append_column("score", rows["amount"])
    return said.append_column("copied", rows["email"])
'''


def test_a_step_that_gives_a_column_of_which_it_said_nothing_ends_the_run(trades: Project):
    trades.step(MORE)
    trades.pipeline(BODY.replace("@sink(", '@step("more")\n@sink(', 1), herd="crm")
    said = trades.run()
    assert said.code == FAILED, said
    assert said.error["code"] == "not_cleared"
    assert "column copied" in said.error["text"]
    assert trades.files("out") == [] or not trades.files("out/secure")


TWO = """@herd("crm")
Feature: two

  Scenario: one
    @source("csv://data/gate")
    @contract("contracts/c.py:Trade")
    @sink("jsonl://out/secure/a.jsonl")

  Scenario: two
    @source("jsonl://out/secure/a.jsonl")
    @sink("jsonl://out/secure/b.jsonl")
"""


def test_a_clearance_that_the_herd_takes_back_while_a_run_waits_ends_it(trades: Project):
    os.mkfifo(trades.root / "data/gate")
    trades.write("features/two.dsl", TWO)
    trades.pipeline('@source("csv://data/in.csv")\n@sink("jsonl://out/all.jsonl")', herd="crm")
    with trades.up(), trades.popen("run", "features/two.dsl", "-o", "json") as waiting:
        with (trades.root / "data/gate").open("w") as gate:
            trades.write("herds/crm.toml", HERD)
            assert trades.run().code == 0
            gate.write(ROWS.replace("0,eve", "4,eve"))
        out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == FAILED, err
    error = json.loads(out)["error"]
    assert error["code"] == "not_cleared"
    assert (
        "jsonl://out/secure/b.jsonl is not cleared for email, name, phone any more" in error["text"]
    )
    assert trades.files("out") == ["out/all.jsonl"]
