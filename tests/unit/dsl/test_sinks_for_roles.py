"""What sinks that are for a role hold: what the role shows and the place may hold, the rest masked; and what is refused when a pipeline is compiled."""

from __future__ import annotations

import pytest
from runink.clearances import ClearancePolicy, SinkClearance
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.hidden import Clearance
from runink.dag import Check, Dag, Sink
from runink.dsl.compiler import SourceText
from runink.dsl.difference import difference
from runink.dsl.explain import explained
from runink.dsl.recorded import compiled_again, compiled_and_recorded
from runink.errors import Finding, Invalid
from runink.identity.roles import Effect, Role, Rule
from runink.names import RoleName
from runink.testing.projects import MemoryProject, compile_text

PARTS = (
    FieldSpec("street", Kind.STR, pii="address", mask="redact"),
    FieldSpec("town", Kind.STR, access=("support",), mask="truncate(1)"),
    FieldSpec("country", Kind.STR, mask="hash"),
)
FIELDS = (
    FieldSpec("id", Kind.INT),
    FieldSpec("email", Kind.STR, pii="email", mask="hash"),
    FieldSpec("salary", Kind.INT, access=("finance", "hr"), mask="generalise(10)"),
    FieldSpec("bonus", Kind.INT, pii="pay", access=("finance",)),
    FieldSpec("home", Kind.RECORD, fields=PARTS),
)
STAFF = ContractSpec("Staff", "1.0.0", FIELDS)
ROUGH = ContractSpec("Rough", "1.0.0", (FieldSpec("id", Kind.INT), FieldSpec("bonus", Kind.INT)))


def role(name: str, *fields: str, denied: tuple[str, ...] = ()) -> Role:
    rules = (Rule(fields=fields), Rule(fields=denied, effect=Effect.DENY))
    return Role(RoleName(name), "default", rules)


ROLES = (
    role("finance", "access:finance", "pii:*"),
    role("support", "access:support", "pii:email", "pii:address"),
    role("careful", "*", denied=("pii:email", "access:hr")),
    role("nobody"),
)
ALL = ClearancePolicy("redact", {}, (SinkClearance("*", ("*",)),))
STEPS = "from runink import step\n@step(each='batch')\ndef hidden(rows): ...\n"
SOURCE = '@source("csv://a.csv")'
CHECK = '@contract("c.py:Staff")'


def sink(name: str = "", *, uri: str = "parquet://out/x.parquet") -> str:
    return f'@sink("{uri}" with "role={name}")' if name else f'@sink("{uri}")'


def project(policy: ClearancePolicy = ALL) -> MemoryProject:
    contracts = {f"c.py:{one.name}": one for one in (STAFF, ROUGH)}
    return MemoryProject({"steps/s.py": STEPS}, contracts, clearances=policy, roles=ROLES)


def text_of(*lines: str) -> str:
    return "\n".join(["Feature: F", "Scenario: S", *lines])


def compile_lines(*lines: str, policy: ClearancePolicy = ALL) -> Dag:
    return compile_text(text_of(*lines), project=project(policy)).dag


def clearance_of(dag: Dag, at: int = 0) -> Clearance:
    found = [node.clearance for node in dag.nodes if isinstance(node, Sink)][at]
    assert found is not None
    return found


def masks(fields: tuple[FieldSpec, ...], within: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for one in fields:
        found |= (
            {f"{within}{one.name}": one.mask} if one.mask else masks(one.fields, f"{one.name}.")
        )
    return found


def masked(name: str, policy: ClearancePolicy = ALL) -> dict[str, str]:
    return masks(clearance_of(compile_lines(SOURCE, CHECK, sink(name), policy=policy)).masked)


def refused(*lines: str, policy: ClearancePolicy = ALL) -> Finding:
    with pytest.raises(Invalid) as caught:
        compile_lines(*lines, policy=policy)
    (finding,) = caught.value.findings
    return finding


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("finance", {"home.town": "truncate(1)"}),
        ("support", {"salary": "generalise(10)", "bonus": "redact"}),
        ("careful", {"email": "hash"}),
        (
            "nobody",
            {
                "email": "hash",
                "salary": "generalise(10)",
                "bonus": "redact",
                "home.street": "redact",
                "home.town": "truncate(1)",
            },
        ),
        ("steward", {"salary": "generalise(10)", "bonus": "redact", "home.town": "truncate(1)"}),
        ("admin", {}),
    ],
)
def test_a_sink_for_a_role_masks_what_the_role_does_not_show(
    name: str, expected: dict[str, str]
) -> None:
    assert masked(name) == expected


def test_a_viewer_sees_nothing_that_is_marked() -> None:
    assert masked("viewer") == masked("nobody")


def test_a_part_that_is_seen_has_no_mask_and_one_beside_it_that_is_not_keeps_its_own() -> None:
    (home,) = clearance_of(compile_lines(SOURCE, CHECK, sink("finance"))).masked
    assert [(part.name, part.mask) for part in home.fields] == [
        ("street", ""),
        ("town", "truncate(1)"),
        ("country", ""),
    ]


def test_a_role_shows_no_more_than_the_herd_clears_the_sink_for() -> None:
    only_pay = ClearancePolicy("redact", {}, (SinkClearance("*", ("pay",)),))
    assert masked("admin", only_pay) == {"email": "hash", "home.street": "redact"}
    assert "bonus" in masked("admin", ClearancePolicy("redact"))


def test_without_a_role_what_is_for_roles_is_written_as_it_came() -> None:
    assert masked("") == {}
    nothing_cleared = masked("", ClearancePolicy("redact"))
    assert nothing_cleared == {"email": "hash", "bonus": "redact", "home.street": "redact"}


def test_a_pipeline_without_roles_is_compiled_as_if_nothing_were_for_roles() -> None:
    plain = ContractSpec("Staff", "1.0.0", (FIELDS[0], FIELDS[2]))
    asked = MemoryProject({}, {"c.py:Staff": plain}, roles=ROLES)
    dag = compile_text(text_of(SOURCE, CHECK, sink()), project=asked).dag
    (found,) = (node for node in dag.nodes if isinstance(node, Sink))
    assert (found.clearance, found.role) == (None, "")


def test_sinks_of_one_stream_have_each_their_view() -> None:
    names = ("finance", "support", "")
    lines = [sink(name, uri=f"parquet://out/{name or 'all'}.parquet") for name in names]
    dag = compile_lines(SOURCE, CHECK, *lines)
    assert [len(clearance_of(dag, at).masked) for at in range(3)] == [1, 2, 0]
    assert [node.role for node in dag.nodes if isinstance(node, Sink)] == list(names)


def test_what_a_sink_relies_on_stands_in_it_with_its_marks() -> None:
    found = clearance_of(compile_lines(SOURCE, CHECK, sink("finance")))
    assert found.cleared == ("address", "email", "pay")
    assert found.marks == ("access:finance", "pii:address", "pii:email", "pii:pay")


def test_a_role_that_the_herd_does_not_have_is_told_where_it_stands_with_the_nearest() -> None:
    finding = refused(SOURCE, CHECK, sink("finanse"))
    assert (finding.code, finding.text) == ("D082", "herd default has no role finanse")
    assert finding.hint.startswith("did you mean finance?")
    assert "herds/default.toml" in finding.hint
    assert finding.span is not None
    assert (finding.span.line, finding.span.column, finding.span.length) == (5, 44, 7)


def test_a_role_of_a_parameter_is_looked_for_by_its_value() -> None:
    text = '@param("who", default="support")\n' + text_of(SOURCE, CHECK, sink("${who}"))
    dag = compile_text(text, project=project()).dag
    assert [node.role for node in dag.nodes if isinstance(node, Sink)] == ["support"]


@pytest.mark.parametrize("said", ["role=", "role", "finance", "role = finance", "role=a b", ""])
def test_with_names_a_role_and_nothing_else(said: str) -> None:
    finding = refused(SOURCE, CHECK, f'@sink("csv://x.csv" with "{said}")')
    assert (finding.code, finding.hint) == ("D015", 'as in with "role=finance"')


def test_a_field_that_nothing_masks_is_refused_with_what_the_role_would_have_to_show() -> None:
    finding = refused(SOURCE, CHECK, sink("support"), policy=ClearancePolicy("", {}, ALL.sinks))
    assert finding.code == "D080"
    assert "Staff.bonus (pii=pay, access=finance), which role support does not see" in finding.text
    assert 'role support show it: fields = ["access:finance", "pii:pay"]' in finding.hint


def test_a_step_that_nobody_can_look_into_is_refused_in_front_of_a_role_that_does_not_see_all() -> (
    None
):
    finding = refused(SOURCE, CHECK, '@step("hidden")', sink("finance"))
    assert (
        "may hold Staff.home.town (access=support), which role finance does not see" in finding.text
    )
    compile_lines(SOURCE, CHECK, '@step("hidden")', sink("admin"))


def test_a_query_is_followed_for_roles_as_well() -> None:
    query = '@step(sql="SELECT id, salary AS pay, bonus + 1 AS more FROM input")'
    finding = refused(SOURCE, CHECK, query, sink("support"))
    assert "column more" in finding.text
    dag = compile_lines(SOURCE, CHECK, query.replace(", bonus + 1 AS more", ""), sink("support"))
    assert masks(clearance_of(dag).masked) == {"pay": "generalise(10)"}


def test_what_one_role_was_given_masked_stays_masked_for_whoever_reads_it_next() -> None:
    again = '@source("parquet://out/x.parquet")'
    lines = [SOURCE, CHECK, sink("support"), "Scenario: Two", again]
    dag = compile_lines(*lines, sink("finance", uri="parquet://out/y.parquet"))
    assert masks(clearance_of(dag, 1).masked) == {"home.town": "truncate(1)"}


def test_a_check_of_what_another_one_marks_shows_no_value_of_it_either() -> None:
    dag = compile_lines(SOURCE, CHECK, '@step("hidden")', '@contract("c.py:Rough")', sink("admin"))
    assert [node.hides for node in dag.nodes if isinstance(node, Check)] == [(), ("id", "bonus")]


def test_what_was_recorded_says_what_roles_show_when_it_is_compiled_again() -> None:
    source = SourceText(text_of(SOURCE, CHECK, sink("finance")), "x.dsl", "x.dsl")
    compilation, recipe = compiled_and_recorded(source, {}, {}, project())
    assert compiled_again(recipe, {}) == compilation.dag


def test_explain_says_whom_a_sink_is_for_and_what_they_see() -> None:
    said = explained(compile_lines(SOURCE, CHECK, sink("support")))
    assert "writes parquet://out/x.parquet for role support" in said
    assert (
        "for role support at s.sink: as it is: access:support, pii:address, pii:email; masked: salary by generalise(10), bonus by redact"
        in said
    )


def test_who_a_sink_is_for_is_a_difference_that_breaks() -> None:
    plain, role_ = (compile_lines(SOURCE, CHECK, sink(name)) for name in ("", "support"))
    (found,) = [one for one in difference(plain, role_) if "is for role support" in one.text]
    assert found.breaking


def test_a_check_shows_values_of_what_a_query_made_of_nothing_that_is_marked() -> None:
    query = '@step(sql="SELECT id, bonus FROM input")'
    dag = compile_lines(SOURCE, CHECK, query, '@contract("c.py:Rough")', sink("admin"))
    assert [node.hides for node in dag.nodes if isinstance(node, Check)] == [(), ("bonus",)]
