"""What a reader sees of the rows that a run's sinks hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runink.clearances import ClearancePolicy, SinkClearance
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.messages import RULE_PREFIX
from runink.dag import Dag, Sink
from runink.dsl.readings import OURS, RULE, Reading, readings_of
from runink.identity.roles import Clearances
from runink.pipes.dead_letter import COLUMNS
from runink.testing.projects import MemoryProject, compile_text

PARTS = (FieldSpec("street", Kind.STR, pii="address"), FieldSpec("town", Kind.STR))
STAFF = ContractSpec(
    "Staff",
    "1.0.0",
    (
        FieldSpec("id", Kind.INT),
        FieldSpec("email", Kind.STR, pii="email", mask="hash"),
        FieldSpec("name", Kind.STR, pii="name", mask="truncate(1)"),
        FieldSpec("salary", Kind.INT, access=("finance",)),
        FieldSpec("home", Kind.RECORD, fields=PARTS),
    ),
)
CLEAR = ClearancePolicy("redact", {}, (SinkClearance("*", ("*",)),))
ROW = {
    "id": 1,
    "email": "ann@x.org",
    "name": "Ann",
    "salary": 52300,
    "home": {"street": "Elm", "town": "Ulm"},
}
STEPS = "from runink import step\n@step(each='batch')\ndef hidden(rows): ...\n"
LINES = ('@source("jsonl://a.jsonl")', '@contract("c.py:Staff")')
DEAD = '@deadletter("jsonl://out/dead.jsonl")'
SINK = '@sink("jsonl://out/x.jsonl")'


def compile_lines(*lines: str, policy: ClearancePolicy = CLEAR) -> Dag:
    project = MemoryProject({"steps/s.py": STEPS}, {"c.py:Staff": STAFF}, clearances=policy)
    return compile_text("\n".join(["Feature: F", "Scenario: S", *lines]), project=project).dag


def seeing(*marks: str) -> Clearances:
    return Clearances(frozenset(marks))


def reading(dag: Dag, *marks: str, policy: ClearancePolicy = CLEAR, dead: bool = False) -> Reading:
    found = readings_of(dag, policy, seeing(*marks))
    (node,) = (one for one in dag.nodes if isinstance(one, Sink) and one.dead_letter is dead)
    return found[node.id]


def dead_row(*reasons: tuple[str, str, str]) -> dict[str, Any]:
    told = [dict(zip(("field", "rule", "message"), one, strict=True)) for one in reasons]
    own = {name: value if name == "home" else str(value) for name, value in ROW.items()}
    ours = {"dead_contract": "Staff", "dead_version": "1.0.0", "dead_run": "01", "dead_step": "s"}
    return {**own, **ours, "dead_reasons": told, "dead_origin": "a.jsonl", "dead_row": 7}


def test_the_names_that_a_dead_letter_adds_are_known() -> None:
    assert frozenset(COLUMNS.names) == OURS
    assert RULE == RULE_PREFIX


def test_who_sees_everything_reads_rows_as_they_are() -> None:
    found = reading(compile_lines(*LINES, SINK), "*")
    assert found.sees_all
    assert found.row(ROW) == ROW


def test_each_mark_opens_its_field_and_no_other() -> None:
    dag = compile_lines(*LINES, SINK)
    hidden = {**ROW, "email": "***", "name": "A", "salary": None}
    hidden["home"] = {"street": "***", "town": "Ulm"}
    assert reading(dag).row(ROW) == hidden
    assert reading(dag, "pii:email").row(ROW) == {**hidden, "email": "ann@x.org"}
    assert reading(dag, "access:finance").row(ROW) == {**hidden, "salary": 52300}
    assert reading(dag, "access:hr", "pii:other").row(ROW) == hidden
    assert reading(dag, "pii:address").row(ROW) == {**hidden, "home": ROW["home"]}


def test_what_nothing_says_how_to_mask_is_left_out() -> None:
    dag = compile_lines(*LINES, SINK)
    found = reading(dag, policy=ClearancePolicy()).row(ROW)
    assert found["salary"] is None
    assert found["home"] is None
    assert found["email"] == "***"


def test_what_a_sink_has_masked_is_read_as_it_stands_there() -> None:
    dag = compile_lines(*LINES, SINK, policy=ClearancePolicy("redact"))
    stands = {**ROW, "email": "f00d", "name": "A", "home": {"street": "***", "town": "Ulm"}}
    assert reading(dag).row(stands) == {**stands, "salary": None}
    assert reading(dag, "access:finance").row(stands) == stands


def test_what_the_herd_masks_in_another_way_since_then_is_masked_by_both() -> None:
    spec = ContractSpec("Staff", "1.0.0", (FieldSpec("town", Kind.STR, pii="town"),))
    then = MemoryProject({}, {"c.py:Staff": spec}, clearances=ClearancePolicy("truncate(3)"))
    dag = compile_text("\n".join(["Feature: F", "Scenario: S", *LINES, SINK]), project=then).dag
    stands = {"town": "Ber"}

    def seen(mask: str, *marks: str) -> dict[str, Any]:
        return reading(dag, *marks, policy=ClearancePolicy(mask)).row(stands)

    assert seen("redact") == {"town": "***"}
    assert seen("truncate(1)") == {"town": "B"}
    assert seen("truncate(9)") == stands
    assert seen("truncate(3)") == stands
    assert seen("") == stands
    assert seen("redact", "pii:town") == stands


def test_a_record_of_which_the_herd_masks_a_part_in_another_way_now_is_left_out() -> None:
    dag = compile_lines(*LINES, SINK, policy=ClearancePolicy("truncate(3)"))
    stands = {**ROW, "email": "f00d", "name": "A", "home": {"street": "Elm", "town": "Ulm"}}
    assert reading(dag, policy=ClearancePolicy("redact")).row(stands)["home"] is None
    assert reading(dag, policy=ClearancePolicy("truncate(3)")).row(stands)["home"] == stands["home"]
    assert (
        reading(dag, "pii:*", policy=ClearancePolicy("redact")).row(stands)["home"]
        == stands["home"]
    )


def test_what_the_herd_clears_today_says_nothing_of_what_was_written_then() -> None:
    cleared_then = compile_lines(*LINES, SINK)
    assert reading(cleared_then, policy=ClearancePolicy("redact")).row(ROW)["email"] == "***"


def test_of_what_a_step_gives_that_nobody_can_look_into_nothing_is_seen() -> None:
    dag = compile_lines(*LINES, '@step("hidden")', SINK)
    assert reading(dag, "pii:*").row({"any": 1, "other": "Ann"}) == {"any": None, "other": None}
    assert reading(dag, "pii:*", "access:finance").row({"any": 1}) == {"any": 1}


def test_names_are_compared_without_regard_to_case() -> None:
    assert reading(compile_lines(*LINES, SINK)).row({"EMAIL": "ann@x.org"}) == {"EMAIL": "***"}


def test_a_dead_letter_shows_rows_as_they_came_but_for_what_is_not_seen() -> None:
    dag = compile_lines(*LINES, SINK, DEAD)
    row = dead_row(("id", "ge", "id is 0, not at least 1"))
    found = reading(dag, "pii:name", dead=True).row(row)
    assert found == {**row, "email": "***", "salary": "***", "home": None}
    assert reading(dag, "*", dead=True).row(row) == row


def test_of_a_column_in_a_dead_letter_that_no_contract_names_only_who_sees_all_sees_something() -> (
    None
):
    dag = compile_lines(*LINES, SINK, DEAD)
    reason = ("extra", "drift", "extra is 'Ann', not …")
    row = {**dead_row(reason), "extra": "Ann"}
    found = reading(dag, "pii:*", dead=True).row(row)
    assert found["extra"] is None
    assert found["dead_reasons"][0]["message"] == "extra breaks drift"
    assert reading(dag, "pii:*", "access:finance", dead=True).row(row) == row


def test_a_reason_about_what_is_not_seen_tells_the_rule_alone() -> None:
    dag = compile_lines(*LINES, SINK, DEAD)
    row = dead_row(
        ("salary", "le", "salary is 52300, not at most 1"),
        ("home.street", "pattern", "home.street is 'Elm', not …"),
        ("id", "ge", "id is 0, not at least 1"),
        ("", "rule:fair", "the row breaks 'fair' (salary > 1): salary is 52300"),
    )
    messages = [one["message"] for one in reading(dag, dead=True).row(row)["dead_reasons"]]
    assert messages == [
        "salary breaks le",
        "home.street breaks pattern",
        "id is 0, not at least 1",
        "the row breaks 'fair'",
    ]
    assert reading(dag, "*", dead=True).row(row)["dead_reasons"] == row["dead_reasons"]


@pytest.mark.parametrize("said", ["[", "7", '["x"]', None, "null"])
def test_reasons_that_cannot_be_read_are_left_out(said: str | None) -> None:
    found = reading(compile_lines(*LINES, SINK, DEAD), dead=True).row({"dead_reasons": said})
    assert found["dead_reasons"] in (None, [])


def test_reasons_of_a_csv_file_are_read_from_their_text() -> None:
    row = dead_row(("salary", "le", "salary is 52300, not at most 1"))
    row["dead_reasons"] = json.dumps(row["dead_reasons"])
    (reason,) = reading(compile_lines(*LINES, SINK, DEAD), dead=True).row(row)["dead_reasons"]
    assert reason["message"] == "salary breaks le"


def test_what_is_kept_at_a_checkpoint_is_read_by_the_same_rule() -> None:
    first = '@step(sql="SELECT id, email FROM input")'
    second = '@step(sql="SELECT id, email FROM input WHERE id > 0")'
    dag = compile_lines(*LINES, first, "@checkpoint", second, SINK, DEAD)
    found = readings_of(dag, CLEAR, seeing())
    kept = [one.id for one in dag.nodes if isinstance(one, Sink) and one.checkpoint]
    assert kept
    for name in kept:
        assert found[name].row({"email": "ann@x.org"}) == {"email": "***"}
    assert reading(dag, dead=True).row(dead_row())["email"] == "***"


def test_a_column_with_the_name_of_a_dead_letters_is_an_ordinary_one_elsewhere() -> None:
    dag = compile_lines(*LINES, '@step("hidden")', SINK)
    assert reading(dag).row({"dead_row": 1}) == {"dead_row": None}
