"""What is known of each node before it runs, and what names a pipeline."""

from __future__ import annotations

from dsl_world import SINK, SOURCE, compile_lines
from runink.clearances import ClearancePolicy, SinkClearance
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dag import Dag, Facts, Resources
from runink.needs import Need, Resource, Verb
from runink.testing.projects import MemoryProject, compile_text

PERSON = ContractSpec(
    "Person",
    "2.1.0",
    (
        FieldSpec("id", Kind.INT),
        FieldSpec("mail", Kind.STR, pii="email"),
        FieldSpec("home", Kind.RECORD, fields=(FieldSpec("street", Kind.STR, pii="address"),)),
    ),
    where="contracts/p.py",
)
STEPS = 'from runink import step\n@step(each="batch")\ndef clean(rows, extra=None): ...\n'
PROJECT = MemoryProject(
    {"steps/s.py": STEPS},
    {"contracts/p.py:Person": PERSON},
    clearances=ClearancePolicy(sinks=(SinkClearance("*", ("*",)),)),
)
TEXT = """@herd("crm")
Feature: People
  Scenario: One
    @source("csv://people.csv")
    @contract("contracts/p.py:Person")
    @step("clean")
    @requires(cpu=2, memory=1Gi)
    @affinity(label="gpu")
    @sink("sf:people")
    @deadletter("jsonl://out/dead.jsonl")
  Scenario: Two
    @source("sf:people")
    @step(sql="SELECT count(*) FROM input")
    @sink("csv://out/count.csv")
  Scenario: Apart
    @source("csv://planes.csv")
    @sink("csv://out/planes.csv")
"""


def facts(dag: Dag, node: str) -> Facts:
    return next(one for one in dag.facts if one.node == node)


def test_every_node_has_its_facts_in_the_order_of_the_nodes() -> None:
    dag = compile_text(TEXT, project=PROJECT).dag
    assert [one.node for one in dag.facts] == [node.id for node in dag.nodes]


def test_a_node_says_which_rights_it_needs() -> None:
    dag = compile_text(TEXT, project=PROJECT).dag
    run = Need(Verb.RUN, Resource.PIPELINE, "crm/x")
    assert facts(dag, "one.source").needs == (
        run,
        Need(Verb.READ, Resource.DATASET, "csv://people.csv"),
    )
    assert facts(dag, "one.contract").needs == (
        run,
        Need(Verb.USE, Resource.CONTRACT, "Person@2.1.0"),
    )
    assert facts(dag, "one.clean").needs == (run,)
    assert facts(dag, "one.sink").needs == (
        run,
        Need(Verb.WRITE, Resource.DATASET, "parquet://out/people.parquet"),
    )


def test_personal_data_reaches_all_that_is_behind_its_contract_and_nothing_else() -> None:
    dag = compile_text(TEXT, project=PROJECT).dag
    reached = {one.node for one in dag.facts if one.clearances == ("address", "email")}
    assert reached == {
        "one.contract",
        "one.clean",
        "one.sink",
        "one.deadletter",
        "two.source",
        "two.sql",
    }
    for free in ("one.source", "two.sink", "apart.sink"):  # a count shows nothing of what it counts
        assert facts(dag, free).clearances == ()


def test_a_node_says_what_it_asks_for_what_it_runs_and_what_it_stands_between() -> None:
    found = facts(compile_text(TEXT, project=PROJECT).dag, "one.clean")
    assert found.resources == Resources(2000, 1 << 30)
    assert found.labels == ("gpu",)
    assert found.code == "steps/s.py:clean"
    assert found.inputs == ("one.contract",)
    assert found.outputs == ("one.sink",)


def test_where_a_line_stands_is_no_part_of_what_names_a_pipeline() -> None:
    plain = compile_text(TEXT, project=PROJECT).dag
    text = "# A note.\n\n" + TEXT.replace("    @", "\n  @").replace("Scenario", "\nScenario")
    moved = compile_text(text, project=PROJECT).dag
    assert moved.scenarios != plain.scenarios
    assert moved.hash == plain.hash
    assert compile_lines(SOURCE, SINK).hash != compile_lines(SOURCE, '@sink("csv://c.csv")').hash
