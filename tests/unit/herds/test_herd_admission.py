"""What of a herd holds for a run, and which pipelines it takes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from runink.clearances import ClearancePolicy
from runink.contracts.compatibility import ContractPolicy
from runink.contracts.expected import Golden
from runink.contracts.fields import ContractSpec, OnDrift
from runink.contracts.hidden import Clearance
from runink.dag import (
    UNLIMITED,
    Check,
    Dag,
    Format,
    Limit,
    Limits,
    Resources,
    Sink,
    SliceSpec,
    Sql,
    Step,
)
from runink.errors import Conflict, QuotaExceeded, Refused
from runink.herds.admission import as_run, check_agreed, check_goldens, held_within, in_force
from runink.herds.record import Declared, Deletion, HerdRecord, SliceBounds
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.names import BindingName, HerdName, PipelineName, RoleName
from runink.wants import Wants

HERD = HerdName("crm")
SAID = HerdRecord(HERD, cpu_m=1000)
DECLARED = changed(SAID, cpu_m=500, declared=Declared(1, 1, "ann"))
BOUNDS = SliceBounds(100, 2000, 64 << 20, 1 << 30, 1 << 30, 1)
BOUNDED = HerdRecord(HERD, bounds=BOUNDS)


def dag(
    *,
    resources: Resources = Resources(),  # noqa: B008 - it is frozen
    limits: Limits = UNLIMITED,
    gpus: int = 0,
    on_drift: OnDrift = OnDrift.NOTE,
) -> Dag:
    nodes = (
        Check("a.check", "a", ContractSpec("X", "1.0.0", ()), on_drift=on_drift),
        Step("a.clean", "a", Sql("select 1")),
    )
    spec = SliceSpec("a", "a", "a", ("a.check", "a.clean"), resources, limits=limits, asks=Wants(gpus=gpus))  # fmt: skip
    return Dag(PipelineName("p"), HERD, "P", "p.dsl", (), nodes, (), (spec,))


def test_without_a_declaration_the_projects_file_is_the_herd() -> None:
    assert in_force(SAID, None) == SAID
    assert in_force(SAID, HerdRecord(HERD, cpu_m=1)) == SAID


def test_a_projects_file_gives_nobody_anything() -> None:
    role = Role(RoleName("all"), HERD, (Rule(("*",), ("*",)),))
    binding = Binding(BindingName("me"), HERD, RoleName("all"), RoleOf.HERD, ("user:a:b",))
    greedy = changed(SAID, roles=(role,), bindings=(binding,))
    assert in_force(greedy, None) == SAID
    assert in_force(greedy, SAID) == SAID
    declared = changed(greedy, declared=Declared(1, 1, "ann"))
    assert in_force(SAID, declared) == declared


def test_what_was_declared_holds_whatever_a_project_says() -> None:
    assert in_force(SAID, DECLARED) == DECLARED
    assert in_force(HerdRecord(HERD), DECLARED) == DECLARED


@pytest.mark.parametrize("is_purging", [False, True])
@pytest.mark.parametrize("known", [SAID, DECLARED])
def test_nothing_new_comes_into_a_herd_that_is_deleted(known: HerdRecord, *, is_purging: bool) -> None:  # fmt: skip
    gone = changed(known, deletion=Deletion(1, 2, "ann", is_purging))
    with pytest.raises(Conflict) as caught:
        in_force(SAID, gone)
    assert caught.value.code == "herd_deleted"
    assert ("purge" if is_purging else "undelete") in caught.value.hint


def test_a_pipeline_within_the_bounds_is_run_as_it_is() -> None:
    whole = dag(resources=Resources(2000, 1 << 30), limits=Limits(disk=Limit(1 << 30, 3)), gpus=1)
    assert as_run(whole, BOUNDED) is whole
    assert as_run(dag(), BOUNDED) == dag()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (dag(resources=Resources(2001)), "step a.clean asks for cpu 2001m, 2 at most"),
        (dag(resources=Resources(50)), "step a.clean asks for cpu 50m, 100m at least"),
        (dag(resources=Resources(100, 2 << 30)), "asks for memory 2Gi, 1Gi at most"),
        (dag(resources=Resources(100, 1 << 20)), "asks for memory 1Mi, 64Mi at least"),
        (dag(limits=Limits(disk=Limit(2 << 30, 3))), "asks for disk 2Gi, 1Gi at most"),
        (dag(gpus=2), "asks for gpu 2, 1 at most"),
    ],
)
def test_a_step_that_asks_for_more_or_less_than_a_slice_may_have_is_refused(
    made: Dag, told: str
) -> None:
    with pytest.raises(QuotaExceeded, match="herd crm does not take") as caught:
        as_run(made, BOUNDED)
    assert told in caught.value.text
    assert caught.value.code == "slice_bounds"
    assert "@requires" in caught.value.hint


def test_all_that_is_out_of_bounds_is_told() -> None:
    with pytest.raises(QuotaExceeded) as caught:
        as_run(dag(resources=Resources(50, 2 << 30), gpus=2), BOUNDED)
    assert caught.value.text.count("asks for") == 3


def test_a_slice_without_limits_has_no_more_than_one_that_asks_for_the_most() -> None:
    own = Limits(cpu=Limit(300, 7))
    held = held_within(own, BOUNDS)
    assert held == Limits(cpu=Limit(300, 7), memory=Limit(1 << 30, 0))
    less = held_within(held, SliceBounds(memory_max_bytes=1 << 20))
    assert less.memory == Limit(1 << 20, 0), "what the herd says now counts at the next attempt"
    assert held_within(held, SliceBounds()) == own


def test_a_herd_that_blocks_drift_lets_none_through() -> None:
    blocking = HerdRecord(HERD, contracts=ContractPolicy(blocks_drift=True))
    run = as_run(dag(), blocking)
    assert [one.on_drift for one in run.nodes if isinstance(one, Check)] == [OnDrift.FAIL]
    assert run.hash != dag().hash
    assert as_run(dag(), SAID) == dag()
    aside = dag(on_drift=OnDrift.DEAD_LETTER)
    assert as_run(aside, blocking) == aside
    with pytest.raises(Refused, match=r"a\.check of p\.dsl would: on_drift=evolve"):
        as_run(dag(on_drift=OnDrift.EVOLVE), blocking)


def test_a_herd_may_want_goldens_that_are_there() -> None:
    wanting = HerdRecord(HERD, contracts=ContractPolicy(goldens=True))
    whole = changed(dag(), goldens=(Golden("a", "a.sink", "golden/a.csv"),))
    check_goldens(whole, wanting, lambda _: True)
    check_goldens(dag(), SAID, lambda _: False)
    with pytest.raises(Refused, match="it has none") as caught:
        check_goldens(dag(), wanting, lambda _: True)
    assert caught.value.code == "golden_required"
    with pytest.raises(Refused, match=r"there is no golden/a\.csv"):
        check_goldens(whole, wanting, lambda _: False)


def test_what_is_compiled_into_sinks_has_to_be_what_was_declared() -> None:
    sink = Sink("a.sink", "a", "csv://a", Format.CSV, "a.csv", clearance=Clearance(("email",)))
    personal = changed(dag(), nodes=(*dag().nodes, sink))
    masked = changed(DECLARED, clearances=ClearancePolicy("hash"))
    check_agreed(dag(), SAID, masked)
    check_agreed(personal, changed(SAID, clearances=ClearancePolicy("hash")), masked)
    with pytest.raises(Conflict) as caught:
        check_agreed(personal, SAID, masked)
    assert caught.value.code == "herd_differs"


def test_what_a_role_shows_has_to_be_what_was_declared_where_a_sink_is_for_it() -> None:
    def with_role(herd: HerdRecord, *fields: str) -> HerdRecord:
        role = Role(RoleName("finance"), HERD, (Rule(fields=fields),))
        return changed(herd, roles=(role,))

    sinks = (Sink("a.sink", "a", "csv://a", Format.CSV, "a.csv", role="finance"),)
    views = changed(dag(), nodes=(*dag().nodes, *sinks))
    declared = with_role(DECLARED, "access:finance")
    check_agreed(views, with_role(SAID, "access:finance"), declared)
    check_agreed(dag(), with_role(SAID, "*"), declared)
    check_agreed(views, with_role(SAID, "*"), SAID)  # the project's own, whose roles are left out
    for said in (with_role(SAID, "*"), SAID):
        with pytest.raises(Conflict, match="something else of role finance") as caught:
            check_agreed(views, said, declared)
        assert caught.value.code == "herd_differs"
