"""Where personal data may go: what sinks get masked, what they are cleared for, and what is refused when a pipeline is compiled."""

from __future__ import annotations

import pytest
from runink.clearances import ClearancePolicy, HerdMask, SinkClearance
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.hidden import Clearance
from runink.dag import Dag, Sink
from runink.errors import Finding, Invalid
from runink.testing.projects import MemoryProject, compile_text

ADDRESS = (FieldSpec("street", Kind.STR, pii="address", mask="redact"), FieldSpec("town", Kind.STR))
PERSON = ContractSpec(
    "Person",
    "1.0.0",
    (
        FieldSpec("id", Kind.INT),
        FieldSpec("email", Kind.STR, pii="email", mask="hash"),
        FieldSpec("name", Kind.STR, pii="name"),
        FieldSpec("score", Kind.INT),
    ),
)
HASHED = ContractSpec(
    "Hashed", "1.0.0", (FieldSpec("id", Kind.INT), FieldSpec("email", Kind.STR, pii="email", mask="hash"))
)  # fmt: skip
HOME = ContractSpec("Home", "1.0.0", (FieldSpec("home", Kind.RECORD, fields=ADDRESS),))
HOMES = ContractSpec(
    "Homes", "1.0.0", (FieldSpec("homes", Kind.LIST, items=FieldSpec("", Kind.RECORD, fields=ADDRESS)),)
)  # fmt: skip
PLAIN = ContractSpec("Plain", "1.0.0", (FieldSpec("id", Kind.INT), FieldSpec("key", Kind.STR)))
BADGE = ContractSpec("Badge", "1.0.0", (FieldSpec("badge", Kind.INT, pii="badge", mask="hash"),))
BADGE_READ = ContractSpec("BadgeRead", "1.0.0", (FieldSpec("badge", Kind.INT),))
STEPS = """from runink import step

@step(each="batch")
def hidden(rows): ...

@step(each="batch", maps={"who": ["email", "name"], "id": "id"})
def named(rows): ...

@step(each="batch", maps={"*": "*", "seen": []})
def passed(rows): ...

@step(each="batch", maps={"both": ["email", "key"]})
def joined(rows, other): ...
"""
CONTRACTS = {
    f"c.py:{one.name}": one for one in (PERSON, HASHED, HOME, HOMES, PLAIN, BADGE, BADGE_READ)
}
SOURCE = '@source("csv://a.csv")'
OUT = "parquet://out/x.parquet"
SINK = f'@sink("{OUT}")'


def check(contract: str) -> str:
    return f'@contract("c.py:{contract}")'


def compile_lines(*lines: str, policy: ClearancePolicy | None = None) -> Dag:
    project = MemoryProject(
        {"steps/s.py": STEPS}, CONTRACTS, clearances=policy or ClearancePolicy()
    )
    return compile_text("\n".join(["Feature: F", "Scenario: S", *lines]), project=project).dag


def refused(*lines: str, policy: ClearancePolicy | None = None) -> tuple[Finding, ...]:
    with pytest.raises(Invalid) as caught:
        compile_lines(*lines, policy=policy)
    assert {one.code for one in caught.value.findings} == {"D080"}
    return caught.value.findings


def clearances(dag: Dag) -> list[Clearance | None]:
    return [node.clearance for node in dag.nodes if isinstance(node, Sink)]


def masks(dag: Dag) -> dict[str, str]:
    (found,) = clearances(dag)
    assert found is not None
    return {field.name: field.mask for field in found.masked}


def clear(*pii: str, sink: str = OUT) -> ClearancePolicy:
    return ClearancePolicy(sinks=(SinkClearance(sink, pii),))


def test_a_pipeline_without_personal_data_has_nothing_to_clear():
    assert clearances(compile_lines(SOURCE, check("Plain"), SINK)) == [None]


def test_a_field_is_masked_as_its_contract_says():
    dag = compile_lines(SOURCE, check("Hashed"), SINK)
    assert masks(dag) == {"email": "hash"}
    (found,) = clearances(dag)
    assert found == Clearance((), found.masked, ("id", "email"), needs_key=True)


def test_a_field_that_names_no_mask_is_refused_with_both_ways_out():
    (finding,) = refused(SOURCE, check("Person"), SINK)
    assert "column name" in finding.text
    assert "Person.name (pii=name)" in finding.text
    assert finding.span is not None
    assert finding.span.line == 5
    assert "mask=" in finding.hint
    assert f'sink = "{OUT}", pii = ["name"]' in finding.hint


@pytest.mark.parametrize(
    ("policy", "mask"),
    [
        (ClearancePolicy("redact"), "redact"),
        (ClearancePolicy("redact", {"name": "truncate(1)"}), "truncate(1)"),
        (ClearancePolicy("redact", {"name": "hash", "Person.name": "tokenise"}), "tokenise"),
    ],
)
def test_the_herd_says_how_fields_are_masked_whose_contract_does_not(policy, mask):
    assert masks(compile_lines(SOURCE, check("Person"), SINK, policy=policy)) == {
        "email": "hash",
        "name": mask,
    }


def test_a_sink_says_which_of_its_masks_are_the_herds():
    policy = ClearancePolicy("redact", {"Person.name": "tokenise", "email": "truncate(1)"})
    (found,) = clearances(compile_lines(SOURCE, check("Person"), SINK, policy=policy))
    assert found is not None
    assert found.by_herd == (HerdMask("Person", "name", "tokenise"),), "email has its contract's"


def test_a_sink_that_is_cleared_gets_the_values_and_says_what_it_relies_on():
    dag = compile_lines(SOURCE, check("Person"), SINK, policy=clear("email", "name", "iban"))
    assert clearances(dag) == [Clearance(("email", "name"))]


@pytest.mark.parametrize("sink", ["parquet://out/*", "parquet:*", "*"])
def test_a_clearance_names_sinks_by_a_pattern(sink):
    dag = compile_lines(SOURCE, check("Person"), SINK, policy=clear("*", sink=sink))
    assert clearances(dag) == [Clearance(("email", "name"))]


def test_a_sink_that_is_cleared_for_one_kind_gets_the_other_masked():
    dag = compile_lines(SOURCE, check("Person"), SINK, policy=clear("name"))
    assert masks(dag) == {"email": "hash"}
    assert clearances(dag)[0].cleared == ("name",)


def test_each_sink_is_cleared_by_itself():
    dag = compile_lines(
        SOURCE, check("Hashed"), SINK, '@sink("csv://out/y.csv")', policy=clear("email")
    )
    assert [one.masked != () for one in clearances(dag)] == [False, True]


def test_only_the_parts_of_a_record_that_are_personal_are_masked():
    (found,) = clearances(compile_lines(SOURCE, check("Home"), SINK))
    (field,) = found.masked
    assert field.mask == ""
    assert {one.name: one.mask for one in field.fields} == {"street": "redact", "town": ""}


def test_what_the_items_of_a_list_hold_is_masked_in_them():
    (found,) = clearances(compile_lines(SOURCE, check("Homes"), SINK))
    (field,) = found.masked
    assert [one.mask for one in field.items.fields] == ["redact", ""]


def test_a_query_that_takes_a_field_keeps_its_mask():
    dag = compile_lines(SOURCE, check("Hashed"), '@step(sql="SELECT email AS e FROM input")', SINK)
    assert masks(dag) == {"e": "hash"}


def test_a_query_without_the_field_writes_nothing_personal():
    dag = compile_lines(
        SOURCE, check("Person"), '@step(sql="SELECT id, count(email) AS n FROM input")', SINK
    )
    assert clearances(dag) == [None]


def test_what_a_query_makes_of_a_field_is_refused():
    (finding,) = refused(
        SOURCE, check("Hashed"), '@step(sql="SELECT upper(email) AS e FROM input")', SINK
    )
    assert "Hashed.email" in finding.text
    assert "no @contract in front of the sink names it and a mask" in finding.text


def test_a_contract_in_front_of_the_sink_masks_what_was_made():
    sql = '@step(sql="SELECT id, upper(email) AS email FROM input")'
    assert masks(compile_lines(SOURCE, check("Person"), sql, check("Hashed"), SINK)) == {
        "email": "hash"
    }


def test_a_contract_that_says_nothing_of_it_does_not_take_personal_data_away():
    sql = '@step(sql="SELECT id, upper(email) AS key FROM input")'
    (finding,) = refused(SOURCE, check("Person"), sql, check("Plain"), SINK)
    assert "Person.email" in finding.text


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, email.upper() AS key FROM input",
        "SELECT id, input.email.length().upper() AS key FROM input",
        "SELECT id AS x, id AS y FROM input UNION ALL BY NAME SELECT id AS y, email AS x FROM input",
    ],
)
def test_what_a_query_takes_another_way_is_followed_too(query):
    policy = clear("name")
    refused(SOURCE, check("Person"), f'@step(sql="{query}")', SINK, policy=policy)


@pytest.mark.parametrize("step", ['@step(sql="SELECT * FROM input")', '@step("passed")'])
def test_a_contract_that_takes_columns_on_takes_their_personal_data_on(step):
    lines = (SOURCE, check("Person"), step, '@contract("c.py:Plain", on_drift=evolve)')
    refused(*lines, SINK)
    dag = compile_lines(*lines, SINK, policy=ClearancePolicy(default="redact"))
    assert masks(dag) == {"email": "hash", "name": "redact"}
    (found,) = clearances(dag)
    assert found is not None
    assert found.columns is None, "columns that nobody has named may come"
    opaque = (SOURCE, check("Person"), '@step("hidden")', lines[-1], SINK)
    refused(*opaque, policy=ClearancePolicy(default="redact"))
    again = (*opaque[:-1], '@step(sql="SELECT * FROM input")', SINK)
    refused(*again, policy=ClearancePolicy(default="redact"))
    refused(*opaque[:-1], '@step("passed")', SINK, policy=ClearancePolicy(default="redact"))


def test_a_step_that_says_nothing_passes_everything_on():
    (finding,) = refused(SOURCE, check("Hashed"), '@step("hidden")', SINK)
    assert "Hashed.email" in finding.text
    assert "step hidden does not say which columns it makes of which" in finding.text


def test_a_program_passes_everything_on():
    (finding,) = refused(SOURCE, check("Hashed"), '@step(run="cat")', SINK)
    assert "cat is a program" in finding.text


def test_a_sink_that_is_cleared_takes_what_nobody_could_look_into():
    dag = compile_lines(SOURCE, check("Hashed"), '@step("hidden")', SINK, policy=clear("email"))
    assert clearances(dag) == [Clearance(("email",))]


def test_a_step_that_says_what_it_makes_of_what_is_followed():
    findings = refused(SOURCE, check("Person"), '@step("named")', SINK)
    assert "column who" in findings[0].text
    assert clearances(
        compile_lines(SOURCE, check("Person"), '@step("named")', SINK, policy=clear("*"))
    ) == [Clearance(("email", "name"))]


def test_a_step_that_passes_columns_on_keeps_their_masks():
    dag = compile_lines(SOURCE, check("Hashed"), '@step("passed")', SINK)
    assert masks(dag) == {"email": "hash"}
    assert clearances(dag)[0].columns == ("id", "email", "seen")


def test_a_side_input_is_followed():
    findings = refused(
        SOURCE,
        '@source("csv://b.csv", as=other)',
        '@contract("c.py:Hashed", on=other)',
        check("Plain"),
        '@step("joined")',
        SINK,
    )
    assert "column both" in findings[0].text


def test_a_dead_letter_gets_its_fields_masked_and_any_other_column():
    dag = compile_lines(SOURCE, check("Hashed"), SINK, '@deadletter("jsonl://out/dead.jsonl")')
    _, dead = clearances(dag)
    assert [(one.name, one.kind, one.mask) for one in dead.masked] == [("email", Kind.STR, "hash")]
    assert dead.columns is None


def test_a_dead_letter_is_refused_what_nothing_masks():
    findings = refused(
        SOURCE, check("Person"), SINK, '@deadletter("jsonl://out/dead.jsonl")', policy=clear("*")
    )
    assert [one.span.line for one in findings] == [6]


STAGED = ('@sink("parquet://out/a.parquet")', "Scenario: T", '@source("parquet://out/a.parquet")')


def test_personal_data_is_followed_from_scenario_to_scenario():
    policy = clear("*", sink="parquet://out/a.parquet")
    dag = compile_lines(SOURCE, check("Hashed"), *STAGED, SINK, policy=policy)
    first, second = clearances(dag)
    assert first == Clearance(("email",))
    assert [one.name for one in second.masked] == ["email"]


def test_what_was_masked_on_its_way_is_not_personal_any_more():
    first, second = clearances(compile_lines(SOURCE, check("Hashed"), *STAGED, SINK))
    assert [one.name for one in first.masked] == ["email"]
    assert second is None


def test_a_mask_that_makes_text_of_a_number_is_told_where_the_next_contract_reads_a_number():
    with pytest.raises(Invalid) as caught:
        compile_lines(SOURCE, check("Badge"), *STAGED, check("BadgeRead"), SINK)
    (finding,) = caught.value.findings
    assert finding.code == "D081"
    assert "tokenise" in finding.hint


def test_a_mask_of_the_herd_that_is_none_for_the_field_is_refused():
    findings = refused(
        SOURCE, check("Person"), SINK, policy=ClearancePolicy("", {"name": "generalise(10)"})
    )
    assert "generalise is none for a str" in findings[0].text
