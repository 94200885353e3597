"""`runi test` in the real engine: golden inputs, several runs at once, updates, selection, JUnit, and what it leaves behind."""

from __future__ import annotations

import signal
from xml.etree import ElementTree as ET

import pytest
from runi_project import Project

PIPELINE = """
Feature: Orders

  @module(layer="silver")
  Scenario: Clean
    @source("csv://data/orders.csv")
    @contract("contracts/c.py:Order")
    @sink("parquet://out/orders.parquet")
    @golden("golden/orders.csv", key=["id"], input="golden/in/orders.csv")
    @deadletter("jsonl://out/dead.jsonl")
    @golden("golden/dead.jsonl", input="golden/in/orders.csv")
    @assert("records > 1000000")

  @module(layer="gold")
  Scenario: Totals
    @source("parquet://out/orders.parquet")
    @step(sql="SELECT customer, sum(amount) AS total FROM input GROUP BY ALL")
    @sink("csv+s3://no-such-bucket/totals.csv")
    @golden("golden/totals.csv", key=["customer"], input="golden/orders.csv", relative=1e-9)

  @module(layer="top")
  Scenario: Big
    @source("csv+s3://no-such-bucket/totals.csv")
    @step(sql="SELECT * FROM input WHERE total > 10 ORDER BY total DESC")
    @sink("csv://-")
    @golden("golden/big.csv", ordered=true, input="data/orders.csv=golden/in/orders.csv")
"""
CONTRACT = """
class Order(Contract, version="1.0.0"):
    id: int
    customer: str
    amount: Annotated[float, Field(ge=0)]
"""
ORDERS = 'id,customer,amount\n2,bo,30.5\n1,ann,10.25\n3,ann,-1\n4,"x, y",2\n'


@pytest.fixture
def orders(project: Project) -> Project:
    """Three scenarios with goldens on small inputs. There is no data beside these, and no network."""
    project.write("features/orders.dsl", PIPELINE)
    project.write(
        "features/bare.dsl",
        'Feature: B\nScenario: S\n@source("csv://x.csv")\n@sink("csv://y.csv")\n',
    )
    project.contract(CONTRACT)
    project.write("golden/in/orders.csv", ORDERS)
    written = project.runi("test", "--update")
    assert written.code == 0, written
    assert "4 written" in written.out
    return project


def test_goldens_are_made_from_small_inputs_and_then_hold(orders: Project):
    assert (
        orders.read("golden/orders.csv")
        == '"id","customer","amount"\n1,"ann",10.25\n2,"bo",30.5\n4,"x, y",2\n'
    )
    assert '"message":"amount is -1, not at least 0.0"' in orders.read("golden/dead.jsonl")
    assert "dead_run" not in orders.read("golden/dead.jsonl")
    assert orders.read("golden/big.csv") == '"customer","total"\n"bo",30.5\n"ann",10.25\n'
    said = orders.runi("test")
    assert said.code == 0, said
    lines = said.out.splitlines()
    assert [line.split(": ")[1] for line in lines[:4]] == [
        "golden/orders.csv as expected",
        "golden/dead.jsonl as expected",
        "golden/big.csv as expected",
        "golden/totals.csv as expected",
    ]
    assert lines[4:] == ["none    features/bare.dsl has no golden", "4 passed"]
    assert orders.files("out") == [], "a rehearsal publishes nothing"
    assert orders.files(".runink/aside") == [], "and leaves nothing aside"


def test_an_update_of_what_is_right_changes_no_byte(orders: Project):
    before = {path: orders.read(path) for path in orders.files("golden")}
    said = orders.runi("test", "--update", "--jobs", "3")
    assert "4 unchanged" in said.out
    assert {path: orders.read(path) for path in orders.files("golden")} == before


def test_a_difference_is_told_by_row_and_field_and_the_other_goldens_are_still_compared(
    orders: Project,
):
    orders.write("golden/orders.csv", orders.read("golden/orders.csv").replace("30.5", "31.5"))
    report = orders.root / "reports/junit.xml"
    said = orders.runi("test", "features/orders.dsl", "--junit", str(report), "-o", "json")
    assert said.code == 1, said
    tests = {test["golden"]: test for test in said.document["tests"]}
    assert {path: test["status"] for path, test in tests.items()} == {
        "golden/orders.csv": "failed",
        "golden/dead.jsonl": "passed",
        "golden/big.csv": "passed",
        "golden/totals.csv": "failed",  # its input is the golden that was changed
    }
    [row] = tests["golden/orders.csv"]["differences"]["rows"]
    assert row["values"] == {"id": 2}
    assert row["cells"] == [{"field": "amount", "expected": 31.5, "actual": 30.5, "off_by": 1.0}]
    suite = ET.parse(report).getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("4", "2")


def test_an_input_that_breaks_the_contract_of_what_it_stands_for_fails_its_test_only(
    orders: Project,
):
    orders.write("golden/orders.csv", "id,customer,amount\n1,ann,-5\n")
    said = orders.runi("test", "-k", "totals", "-o", "json")
    assert said.code == 1
    [test] = said.document["tests"]
    assert test["status"] == "error"
    assert "amount is -5, not at least 0" in test["error"]["text"]


def test_tests_are_chosen_by_their_names_and_tags(orders: Project):
    listed = orders.runi("test", "--list", "-k", "layer=gold or big")
    assert listed.out.splitlines() == [
        "features/orders.dsl gold golden/totals.csv",
        "features/orders.dsl top golden/big.csv",
    ]
    ran = orders.runi("test", "-k", "dead")
    assert ran.code == 0
    assert "1 passed" in ran.out
    none = orders.runi("test", "-k", "nobody")
    assert (none.code, "runi test --list" in none.err) == (3, True)


def test_mistakes_of_all_pipelines_are_told_before_anything_runs(orders: Project):
    orders.write("features/a.dsl", 'Feature: A\nScenario: S\n@sorce("csv://x.csv")\n')
    orders.write("features/b.dsl", 'Feature: B\nScenario: S\n@sauce("csv://x.csv")\n')
    said = orders.runi("test", "-o", "json")
    assert said.code == 8
    files = {finding["file"] for finding in said.document["error"]["findings"]}
    assert files == {"features/a.dsl", "features/b.dsl"}


def test_a_report_that_cannot_be_written_is_told(orders: Project):
    orders.write("reports", "a file")
    said = orders.runi("test", "-k", "big", "--junit", "reports/junit.xml")
    assert said.code == 1
    assert "reports/junit.xml" in said.err


def test_an_interrupt_cancels_all_runs_and_the_rest_is_not_begun(orders: Project):
    orders.step(
        "import time\n@step(each='input')\ndef slow(rows):\n    print('here', flush=True)\n    time.sleep(600)\n    return rows\n"
    )
    body = '@source("csv://golden/in/orders.csv")\n@step("slow")\n@sink("csv://out/{0}.csv")\n@golden("golden/{0}.csv")'
    for name in ("s1", "s2", "s3"):
        orders.pipeline(body.format(name), file=f"features/{name}.dsl")
    names = [f"features/{name}.dsl" for name in ("s1", "s2", "s3")]
    child = orders.popen("test", *names, "--jobs", "2")
    waits_for_runs(orders, 2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, (out, err)
    assert b"3 cancelled" in out
    assert orders.files("out") == []


def waits_for_runs(project: Project, count: int) -> None:
    """Wait until so many runs have begun: asked of the cluster that the test embeds, each question waits by itself."""
    for _ in range(200):
        said = project.runi("runs", "-o", "json")
        states = [run["state"] for run in said.document] if said.code == 0 else []
        if states.count("running") == count:
            return
    raise AssertionError(said)
