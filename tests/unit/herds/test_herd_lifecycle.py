"""A herd's life: what each command makes of its record, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace as changed
from runink.clearances import ClearancePolicy, SinkClearance
from runink.errors import Conflict, NotFound, Refused
from runink.herds.lifecycle import (
    KEPT_MS,
    By,
    created,
    deleted,
    differences,
    is_due,
    purging,
    state_of,
    undeleted,
    updated,
)
from runink.herds.record import Declared, Deletion, HerdRecord
from runink.identity.roles import Binding, RoleOf
from runink.names import BindingName, HerdName, RoleName, RunId

CRM = HerdName("crm")
SAID = HerdRecord(CRM, cpu_m=1000, description="Customers")
ANN, BOB = By("ann", 10), By("bob", 20)
DECLARED = changed(SAID, declared=Declared(10, 10, "ann"))
DELETED = changed(DECLARED, deletion=Deletion(20, 20 + KEPT_MS, "bob"))
PURGING = changed(DELETED, deletion=Deletion(20, 20 + KEPT_MS, "bob", is_purging=True))


def code(decide: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        decide()
    return caught.value.code


def test_a_herd_is_declared_whether_a_project_has_named_it_or_nobody() -> None:
    assert created(SAID, None, ANN) == DECLARED
    assert created(SAID, HerdRecord(CRM, cpu_m=7), ANN) == DECLARED


def test_a_name_is_taken_as_long_as_its_herd_is_not_purged() -> None:
    assert code(lambda: created(SAID, DECLARED, BOB)) == "herd_exists"
    assert code(lambda: created(SAID, DELETED, BOB)) == "herd_deleted"
    assert code(lambda: created(SAID, PURGING, BOB)) == "herd_deleted"


def test_who_changes_a_herd_stands_in_it() -> None:
    more = changed(SAID, cpu_m=2000)
    assert updated(more, DECLARED, BOB) == changed(more, declared=Declared(10, 20, "bob"))
    assert updated(more, SAID, BOB) == changed(more, declared=Declared(20, 20, "bob"))


def test_a_binding_says_who_made_it_for_as_long_as_it_is_the_same() -> None:
    one, other = (
        Binding(BindingName(name), "crm", RoleName("viewer"), RoleOf.BUILT_IN, ("user:x:ann",))
        for name in ("one", "other")
    )
    made = created(changed(SAID, bindings=(one,)), None, ANN)
    assert made.bindings == (changed(one, made_by="ann", made_ms=10),)
    more = updated(changed(SAID, bindings=(other, one)), made, BOB)
    assert [(one.name, one.made_by, one.made_ms) for one in more.bindings] == [
        ("other", "bob", 20),
        ("one", "ann", 10),
    ]
    assert updated(changed(SAID, bindings=(other, one)), more, ANN) is more
    wider = updated(changed(SAID, bindings=(changed(one, subjects=("user:x:bob",)),)), more, BOB)
    assert wider.bindings[0].made_by == "bob"


def test_what_says_nothing_new_changes_nothing() -> None:
    assert updated(SAID, DECLARED, BOB) is DECLARED


def test_only_a_herd_that_is_there_is_changed() -> None:
    with pytest.raises(NotFound):
        updated(SAID, None, BOB)
    assert code(lambda: updated(SAID, DELETED, BOB)) == "herd_deleted"


def test_a_herd_with_living_runs_is_not_deleted_and_says_which() -> None:
    runs = [RunId(f"01K{number}") for number in range(8)]
    with pytest.raises(Conflict) as caught:
        deleted(DECLARED, runs, BOB)
    assert caught.value.code == "herd_in_use"
    assert "8 runs" in caught.value.text
    assert "01K0, 01K1, 01K2, 01K3, 01K4 and 3 more" in caught.value.text


def test_a_deleted_herd_is_kept_for_a_time_and_comes_back_as_it_was() -> None:
    assert deleted(DECLARED, [], BOB) == DELETED
    assert undeleted(DELETED) == DECLARED
    assert code(lambda: deleted(DELETED, [], BOB)) == "herd_deleted"
    assert code(lambda: undeleted(DECLARED)) == "herd_not_deleted"
    assert code(lambda: undeleted(PURGING)) == "herd_purging"


def test_it_is_purged_when_its_time_has_come_or_somebody_insists() -> None:
    early, due = 20 + KEPT_MS - 1, 20 + KEPT_MS
    assert code(lambda: purging(DELETED, now_ms=early)) == "herd_kept"
    assert purging(DELETED, now_ms=early, at_once=True) == PURGING
    assert purging(DELETED, now_ms=due) == PURGING
    assert purging(PURGING, now_ms=early) == PURGING, "what was begun is ended"
    assert code(lambda: purging(DECLARED, now_ms=due, at_once=True)) == "herd_not_deleted"
    assert [is_due(one, early) for one in (DECLARED, DELETED, PURGING)] == [False, False, True]
    assert is_due(DELETED, due)


def test_how_a_herd_stands_is_said_in_a_word() -> None:
    words = [state_of(one) for one in (SAID, DECLARED, DELETED, PURGING)]
    assert words == ["project", "declared", "deleted", "purging"]


def test_what_would_change_is_told_as_the_file_says_it() -> None:
    after = changed(DECLARED, cpu_m=2500, description="", slices=4, labels={"team": "x"})
    assert differences(DECLARED, after) == (
        "herd.description: no longer Customers",
        "quotas.cpu: 1 becomes 2500m",
        "herd.labels.team: x",
        "quotas.slices: 4",
    )
    assert differences(SAID, DECLARED) == ()


def test_two_clearances_of_one_sink_are_told_apart() -> None:
    before, after = (
        changed(
            SAID,
            clearances=ClearancePolicy(
                sinks=(SinkClearance("a", (kind,)), SinkClearance("a", ("x",)))
            ),
        )
        for kind in ("email", "name")
    )
    assert differences(before, after) == ("clearances.a.pii: ['email'] becomes ['name']",)
    assert (
        updated(after, changed(before, declared=DECLARED.declared), BOB).clearances
        == after.clearances
    )
