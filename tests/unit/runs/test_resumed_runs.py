"""A run that goes on from one that failed or was cancelled: what that one keeps, for how long, and who has it then."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_world import NODE, RUN, RunWorld, prepared, staged_dag
from runink.clearances import NOT_CLEARED
from runink.errors import Conflict, NotFound, WireError
from runink.jobs import Failed, PublishJob, Ticket
from runink.names import BundleHash, RunId, SliceId
from runink.runs.clearing import DISCARD, PUBLISH
from runink.runs.jobs import Folders, closing_job
from runink.runs.lifecycle import decide
from runink.runs.records import RunRecord, RunState, SliceState
from runink.runs.resuming import Resumption, check_resumable, resumption
from runink.runs.views import RunView, World

KEEP_MS = 60_000
FAILED = Failed(WireError("Refused", "x", "x"))
WITHHELD = Failed(WireError("Refused", NOT_CLEARED, "x"))
NEW = RunId("1" * 26)


class KeepingWorld(RunWorld):
    keep_ms = KEEP_MS
    is_crowded = False

    def world(self) -> World:
        found = super().world()
        return World(
            **{name: getattr(found, name) for name in World.__slots__}
            | {"keep_ms": self.keep_ms, "is_crowded": self.is_crowded}
        )

    def discarded(self) -> list[str]:
        """Return the sinks of which the last slice that takes away is to take what was prepared."""
        return [one.sink for one in self.discarding().discard]

    def discarding(self) -> PublishJob:
        """Return what the last slice that takes away is told."""
        job = closing_job(
            self.dag,
            self.record,
            self.slices[DISCARD],
            slices=self.slices,
            folders=Folders("/bundle", "/runs/0"),
        )
        assert isinstance(job, PublishJob)
        return job


def failed(*scenarios: str, at: str) -> KeepingWorld:
    """A run whose scenarios succeeded one after the other, up to one that failed; what is to be taken away, is."""
    world = KeepingWorld(staged_dag(*scenarios))
    world.go(scenarios[: scenarios.index(at)])
    world.place()
    world.run(at)
    world.end(at, FAILED)
    world.settle()
    world.go([DISCARD])
    assert world.record.state is RunState.FAILED
    return world


def view_of(world: RunWorld) -> RunView:
    return RunView(world.record, world.dag, dict(world.slices))


def going_on(world: KeepingWorld, step: str = "") -> tuple[Resumption, KeepingWorld]:
    """Return what is written, and the world of the run that goes on."""
    record = changed(
        world.record,
        run=NEW,
        state=RunState.SUBMITTED,
        kept=(),
        kept_until_ms=0,
        ending=None,
        failure=None,
    )
    found = resumption(view_of(world), record, step=step)
    world.record = found.old
    if found.discard is not None:
        world.slices[DISCARD] = found.discard
    new = KeepingWorld(world.dag, found.record)
    new.slices = {str(one.slice): one for one in found.slices}
    return found, new


def test_a_failed_run_keeps_what_its_gangs_had_prepared_that_succeeded() -> None:
    world = failed("a", "b", "c", at="c")
    assert world.record.kept == ("a", "b")
    assert world.record.kept_until_ms > world.now_ms
    assert world.discarded() == []
    decision = world.decide()
    assert decision.is_nothing(world.record)
    assert decision.wake_ms == world.record.kept_until_ms


def test_a_cancelled_run_does_so_too() -> None:
    world = KeepingWorld(staged_dag("a", "b"))
    world.go(["a"])
    world.record = changed(world.record, cancel=True)
    world.settle()
    world.go([DISCARD])
    assert (world.record.state, world.record.kept) == (RunState.CANCELLED, ("a",))


@pytest.mark.parametrize(
    "why",
    [
        "nothing succeeded",
        "a rehearsal",
        "the herd says so",
        "its assertion",
        "its data may go nowhere",
    ],
)
def test_a_run_keeps_nothing_that_nobody_could_go_on_from(why: str) -> None:
    world = KeepingWorld(staged_dag("a", "b"))
    if why == "a rehearsal":
        world.record = changed(world.record, rehearsal=True)
    world.keep_ms = 0 if why == "the herd says so" else KEEP_MS
    world.go([] if why == "nothing succeeded" else ["a", "b"] if why == "its assertion" else ["a"])
    if why == "its assertion":
        world.record = changed(
            world.record, state=RunState.RUNNING, prepared=(), ending=RunState.FAILED
        )
        world.slices.pop(PUBLISH, None)
    else:
        world.settle()
        world.place()
        at = "a" if why == "nothing succeeded" else "b"
        world.run(at)
        world.end(at, WITHHELD if why == "its data may go nowhere" else FAILED)
    world.settle()
    assert (world.record.kept, world.record.kept_until_ms) == ((), 0)


def test_what_is_kept_goes_when_its_time_is_over() -> None:
    world = failed("a", "b", at="b")
    world.now_ms = world.record.kept_until_ms
    world.settle()
    assert world.discarded() == ["a.sink"]
    assert world.record.state is RunState.FAILED
    world.go([DISCARD])
    assert (world.record.kept, world.record.kept_until_ms) == ((), 0)
    assert world.decide().is_nothing(world.record)


def test_it_goes_sooner_where_enough_newer_runs_of_the_herd_keep_theirs() -> None:
    world = failed("a", "b", at="b")
    world.is_crowded = True
    world.settle()
    assert world.discarded() == ["a.sink"]


def test_taking_away_what_was_kept_is_tried_again_and_given_up_at_last() -> None:
    world = failed("a", "b", at="b")
    world.now_ms = world.record.kept_until_ms
    for _ in range(20):
        world.settle()
        if not world.record.kept_until_ms:
            break
        world.now_ms += 120_000
        world.place()
        world.end(DISCARD, FAILED)
    assert world.record.kept_until_ms == 0


def test_what_takes_away_and_is_lost_with_its_node_begins_anew() -> None:
    world = failed("a", "b", at="b")
    world.now_ms = world.record.kept_until_ms
    world.settle()
    world.place()
    world.run(DISCARD)
    attempt = world.slices[DISCARD].attempt
    world.nodes.remove(NODE)
    world.settle()
    assert world.slices[DISCARD].attempt == attempt + 1
    assert world.slices[DISCARD].state is SliceState.PENDING


def test_the_run_that_goes_on_does_only_the_rest_and_publishes_all_of_it_once() -> None:
    old = failed("a", "b", "c", at="c")
    found, new = going_on(old)
    assert found.old.resumed_by == NEW
    assert found.old.kept_until_ms == 0
    assert found.record.resumes == RUN
    assert {one.taken_from for one in found.slices} == {RUN}
    new.go(["c"])
    assert new.record.prepared == (prepared("a"), prepared("b"), prepared("c"))
    new.go([PUBLISH])
    assert new.record.state is RunState.SUCCEEDED
    assert new.slices["a"].attempt == 1
    old.now_ms += 10 * KEEP_MS
    assert old.decide().is_nothing(old.record), "what was taken over is not its own any more"


def test_if_that_one_fails_too_it_keeps_all_of_it_for_the_next() -> None:
    _, new = going_on(failed("a", "b", "c", "d", at="c"))
    new.go(["c"])
    new.place()
    new.run("d")
    new.end("d", FAILED)
    new.settle()
    new.go([DISCARD])
    assert new.record.kept == ("a", "b", "c")
    new.now_ms = new.record.kept_until_ms
    new.settle()
    assert new.discarded() == ["a.sink", "b.sink", "c.sink"]


def test_a_restart_does_a_step_and_all_behind_it_again_and_the_rest_of_what_was_kept_goes() -> None:
    old = failed("a", "b", "c", at="c")
    found, new = going_on(old, "b.source")
    assert [one.slice for one in found.slices] == ["a"]
    assert found.record.restarted == "b.source"
    assert old.discarded() == ["b.sink"], "what nobody took over"
    old.go([DISCARD])
    assert (old.record.kept, old.record.kept_until_ms) == (("a",), 0)
    new.go(["b", "c", PUBLISH])
    assert new.record.state is RunState.SUCCEEDED


def test_a_restart_from_the_beginning_takes_nothing_over() -> None:
    found, new = going_on(failed("a", "b", at="b"), "a.source")
    assert found.slices == ()
    new.go(["a", "b", PUBLISH])
    assert new.record.state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("step", "says"), [("a.sorce", "there is no step"), ("sink", "several steps are called")]
)
def test_a_step_that_is_not_there_or_not_one_is_told(step: str, says: str) -> None:
    with pytest.raises(NotFound, match=says):
        going_on(failed("a", "b", at="b"), step)


def test_what_lay_on_a_node_that_is_gone_is_made_anew_by_the_run_that_goes_on() -> None:
    _, new = going_on(failed("a", "b", at="b"))
    new.nodes = {NODE.__class__("other")}
    new.settle()
    new.settle()
    assert (new.slices["a"].state, new.slices["a"].attempt) == (SliceState.PENDING, 2)


def test_what_is_made_anew_has_what_it_had_taken_over_looked_for_and_taken_away() -> None:
    _, new = going_on(failed("a", "b", at="b"))
    new.nodes = {NODE.__class__("other")}
    new.settle()
    new.nodes = {NODE}  # a machine that has nothing of it any more
    new.go(["a", "b", PUBLISH, DISCARD])
    assert new.record.state is RunState.SUCCEEDED
    assert Ticket(RUN, SliceId("a"), 1) in new.discarding().tickets, "as its first run named it"
    assert new.slices["a"].taken_from is None


def record_of(**changes: object) -> RunRecord:
    world = failed("a", "b", at="b")
    return changed(world.record, **changes)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": RunState.RUNNING}, "run_alive"),
        ({"state": RunState.COMMITTING}, "run_alive"),
        ({"state": RunState.SUCCEEDED}, "run_succeeded"),
        ({"resumed_by": NEW}, "resumed_already"),
        ({"version": "other"}, "pipeline_changed"),
        ({"bundle": BundleHash("other")}, "code_changed"),
        ({"parameters": {"day": "1"}}, "parameters_changed"),
        ({"kept": ()}, "nothing_kept"),
    ],
)
def test_what_nothing_may_go_on_from_is_refused_with_the_reason(
    changes: dict[str, object], code: str
) -> None:
    with pytest.raises(Conflict) as caught:
        check_resumable(record_of(**changes), version="v", bundle=BundleHash("b"), parameters={})
    assert caught.value.code == code
    check_resumable(record_of(), version="v", bundle=BundleHash("b"), parameters={})


def test_a_run_that_was_refused_its_place_keeps_all_and_the_next_one_only_publishes() -> None:
    old = KeepingWorld(staged_dag("a"))
    old.go(["a"])
    old.place()
    old.run(PUBLISH)
    old.end(PUBLISH, Failed(WireError("Conflict", "sink_exists", "x")))
    old.settle()
    old.go([DISCARD])
    assert (old.record.state, old.record.kept) == (RunState.FAILED, ("a",))
    _, new = going_on(old)
    new.record = changed(new.record, prepared=())
    new.go([PUBLISH])
    assert new.record.state is RunState.SUCCEEDED
    assert decide(view_of(old), old.world()).is_nothing(old.record)
