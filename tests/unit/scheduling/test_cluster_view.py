"""The view that is kept up by changes knows the same as one that is made anew, and plans the same."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from runink.herds.record import HerdRecord
from runink.names import RunId, SliceId
from runink.placement.solver import decide
from runink.runs.health import FADE_MS, TROUBLE, NodeHealth
from runink.runs.pausing import FOREVER_MS
from runink.runs.records import (
    NodeStanding,
    SliceState,
    Standing,
    Turn,
)
from runink.runs.reservations import ReservationRecord, Victim
from runink.scheduling.keeping import kept
from runink.scheduling.snapshots import Tables, snapshot_of
from runink.scheduling.view import ClusterView
from runink.scheduling.why import Decided
from runink.wants import Wants
from slice_tables import HERD, N1, N2, failed_on, node, one_slice

RUNS = [RunId("r1"), RunId("r2"), RunId("r3")]
NODES = ["n1", "n2", "n3"]


class Twins:
    """The tables, and a view that hears of each change of them."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.stores = Random(1)
        self.tables: dict[str, dict[Any, Any]] = {
            name: {} for name in ("nodes", "standings", "herds", "slices", "reservations")
        }
        self.health: dict[Any, NodeHealth] = {}
        self.view = ClusterView(Tables())
        self.now_ms = 1000

    def change(self) -> None:
        kind = self.random.choice(
            ["node", "standing", "health", "herd", *["slice"] * 8, "reservation"]
        )
        getattr(self, f"_{kind}")(is_gone=self.random.random() < 0.3)

    def _put(self, table: str, key: Any, record: Any) -> None:
        if record is None:
            self.tables[table].pop(key, None)
        else:
            self.tables[table][key] = record

    def _node(self, *, is_gone: bool) -> None:
        name = self.random.choice(NODES)
        record = node(
            name,
            cpu_m=self.random.choice([1000, 2000, 4000]),
            labels=self.random.choice([(), ("gpu",), ("eu",)]),
            streams=self.random.choice(["", "10.0.0.1:7400"]),
            near=self.stores.choice([(), ("s3://lake",), ("s3://lake", "s3://sea")]),
            herds=self.random.choice([(), (), (HERD,)]),
        )
        record = None if is_gone else record
        self._put("nodes", name, record)
        self.view.put_node(node(name).node, record)

    def _standing(self, *, is_gone: bool) -> None:
        name = node(self.random.choice(NODES)).node
        record = None if is_gone else NodeStanding(name, self.random.choice(list(Standing)), 1)
        self._put("standings", name, record)
        self.view.put_standing(name, record)

    def _health(self, *, is_gone: bool) -> None:
        name = node(self.random.choice(NODES)).node
        self.health.pop(name, None)
        if not is_gone:
            troubles = TROUBLE * self.random.choice([0, 1, 3])
            at_ms = self.now_ms - self.random.choice([0, FADE_MS])
            silent_ms = self.random.choice([*[0] * 9, 1])
            lost_ms = self.random.choice([0, 0, self.now_ms])
            self.health[name] = NodeHealth(
                name,
                silent_ms,
                lost_ms=lost_ms,
                troubles=troubles,
                troubled_ms=at_ms,
                back_ms=lost_ms and lost_ms + self.random.choice([10, FADE_MS]),
                last=self.random.choice([None, node(name, labels=("gpu", "eu"), streams="x:1")]),
            )
        self.view.put_health(name, self.health.get(name))

    def _herd(self, *, is_gone: bool) -> None:
        cpu_m, own_nodes = self.random.choice([0, 500, 5000]), self.random.random() < 0.3
        record = None if is_gone else HerdRecord(HERD, cpu_m=cpu_m, own_nodes=own_nodes)
        self._put("herds", HERD, record)
        self.view.put_herd(HERD, record)

    def _slice(self, *, is_gone: bool) -> None:
        run, name = self.random.choice(RUNS), self.random.choice("abcd")
        state = self.random.choice([SliceState.PENDING] * 3 + [SliceState.RUNNING] * 2)
        record = one_slice(
            name,
            run=run,
            gang=self.random.choice(["g", "h"]) if name in "ab" else name,
            state=self.random.choice([state] * 4 + [SliceState.SUCCEEDED]),
            cpu_m=self.random.choice([100, 900, 1500]),
            labels=self.random.choice([(), (), ("gpu",), ("eu",)]),
            part=name,
            is_rooted=self.random.random() < 0.2,
            pin=node(self.random.choice(NODES)).node if name == "c" else None,
            is_beside=name == "c",
            node=node(self.random.choice(NODES)).node if state is SliceState.RUNNING else None,
            attempt=self.random.choice([1, 2]),
            earlier=failed_on(*self.random.choice([(), (), (N1,), (N1, N2)])),
            not_before_ms=self.random.choice([0, 0, self.now_ms + 40, FOREVER_MS]),
            turn=Turn(self.random.choice([0, 5]), 3, self.now_ms, estimate_ms=700),
            wants=Wants(reads=self.stores.choice([(), ("s3://lake",), ("s3://sea", "s3://bay")])),
        )
        self._put("slices", (run, name), None if is_gone else record)
        self.view.put_slice(run, SliceId(name), None if is_gone else record)

    def _reservation(self, *, is_gone: bool) -> None:
        key = (self.random.choice(RUNS), "g")
        victims = (Victim(self.random.choice(RUNS), self.random.choice("ghcd"), 1),)
        record = None if is_gone else ReservationRecord(*key, (N1,), 9, victims, 5)
        self._put("reservations", key, record)
        self.view.reserve(key, record)

    def anew(self, revision: int) -> Tables:
        tables = (tuple(table.values()) for table in self.tables.values())
        return Tables(*tables, revision, tuple(self.health.values()))


@pytest.mark.parametrize("seed", range(12))
def test_after_any_changes_it_knows_and_plans_what_one_made_anew_does(seed: int) -> None:
    random = Random(seed)
    twins = Twins(random)
    placed = waiting = 0
    for revision in range(1, 40):
        for _ in range(random.randint(1, 12)):
            twins.change()
        twins.now_ms += random.choice([*[0, 5, 50] * 3, FADE_MS])
        twins.view.look(now_ms=twins.now_ms, revision=revision)
        anew = snapshot_of(twins.anew(revision), now_ms=twins.now_ms)
        assert twins.view.snapshot() == anew
        plan = twins.view.plan(revision)
        again = Decided(
            twins.anew(revision), now_ms=twins.now_ms, policy=twins.view.policy, seed=revision
        )
        assert plan.digest == again.plan.digest
        assert plan.placed == decide(anew, revision).placed
        assert twins.view.is_idle is not bool(anew.waiting or anew.reservations)
        made = ClusterView(twins.anew(revision))
        made.look(now_ms=twins.now_ms, revision=revision)
        assert made.snapshot() == anew
        placed, waiting = placed + len(plan.placed), waiting + len(plan.unplaced)
    assert placed
    assert waiting


def test_it_says_when_a_retry_is_due_that_is_held_back() -> None:
    held = one_slice("a", not_before_ms=50)
    view = ClusterView(Tables((node(),), slices=(held, one_slice("b", not_before_ms=FOREVER_MS))))
    view.look(now_ms=40, revision=1)
    assert (view.next_due_ms, view.is_idle) == (50, True)
    view.look(now_ms=50, revision=1)
    assert (view.next_due_ms, view.is_idle) == (0, False)


def test_that_what_was_placed_is_placed_and_runs_is_no_news_but_its_end_is() -> None:
    view = ClusterView(Tables((node(cpu_m=1000),), slices=(one_slice("a"), one_slice("b"))))
    view.look(now_ms=1, revision=1)
    assert view.has_news
    (placed,) = view.plan().placed
    assert placed.unit.key == ("r1", "a")
    for state in (SliceState.PLACED, SliceState.LAUNCHING, SliceState.RUNNING):
        view.put_slice(RunId("r1"), SliceId("a"), one_slice("a", state=state, node=N1))
        view.look(now_ms=2, revision=2)
        assert not view.has_news
        assert not view.plan().placed
    view.put_slice(RunId("r1"), SliceId("a"), one_slice("a", state=SliceState.SUCCEEDED, node=N1))
    view.look(now_ms=3, revision=3)
    assert view.has_news
    assert view.plan().placed


@pytest.mark.parametrize("change", ["slice", "node", "away", "standing", "herd", "reservation"])
def test_what_plans_depend_on_is_news_once(change: str) -> None:
    view = ClusterView(Tables((node(cpu_m=1000),), slices=(one_slice("a", cpu_m=2000),)))
    view.look(now_ms=1, revision=1)
    view.plan()
    for is_news in (True, False):
        match change:
            case "slice":
                view.put_slice(RunId("r2"), SliceId("b"), one_slice("b", run="r2"))
            case "node":
                view.put_node(N1, node(cpu_m=3000))
            case "away":
                view.put_node(N1, None)
            case "standing":
                view.put_standing(N1, NodeStanding(N1, Standing.DRAINING, 1))
            case "herd":
                view.put_herd(HERD, HerdRecord(HERD, cpu_m=500))
            case _:
                view.reserve((RunId("r1"), "a"), ReservationRecord(RunId("r1"), "a", (N1,)))
        view.look(now_ms=2, revision=2)
        assert view.has_news is is_news
        view.plan()


def test_another_node_than_the_planned_one_is_news() -> None:
    view = ClusterView(Tables((node(), node("n2")), slices=(one_slice("a"),)))
    view.look(now_ms=1, revision=1)
    (placed,) = view.plan().placed
    (other,) = {N1, node("n2").node} - set(placed.nodes)
    view.put_slice(RunId("r1"), SliceId("a"), one_slice("a", state=SliceState.PLACED, node=other))
    view.look(now_ms=2, revision=2)
    assert view.has_news


def test_its_time_never_goes_back() -> None:
    view = ClusterView(Tables((node(),), slices=(one_slice("a", not_before_ms=50),)))
    view.look(now_ms=50, revision=1)
    view.look(now_ms=40, revision=2)
    assert (view.now_ms, len(view.snapshot().waiting)) == (50, 1)


def full() -> Tables:
    """A node that something of low priority fills, for which something of high priority waits."""
    low, high = Turn(priority=0), Turn(priority=5)
    return Tables(
        (node(cpu_m=1000),),
        slices=(
            one_slice("a", run="r1", state=SliceState.RUNNING, node=N1, attempt=3, turn=low),
            one_slice("b", run="r2", turn=high),
        ),
    )


def test_what_is_stopped_for_others_is_named_with_its_attempt() -> None:
    view = ClusterView(full())
    view.look(now_ms=7, revision=1)
    (record,) = kept(view.plan(), view).values()
    assert (record.key, record.nodes, record.priority) == (("r2", "b"), (N1,), 5)
    assert record.victims == (Victim(RunId("r1"), "a", 3),)


def test_what_is_kept_already_is_no_news() -> None:
    view = ClusterView(full())
    view.look(now_ms=7, revision=1)
    (first,) = kept(view.plan(), view).values()
    view.reserve(first.key, first)
    view.look(now_ms=900, revision=2)
    assert kept(view.plan(), view) == {first.key: first}


def test_the_next_attempt_of_what_was_stopped_is_not_stopped_with_it() -> None:
    view = ClusterView(full())
    view.look(now_ms=7, revision=1)
    (first,) = kept(view.plan(), view).values()
    other = replace(full(), nodes=(node(cpu_m=1000), node("n2", cpu_m=500)))
    again = one_slice("a", run="r1", state=SliceState.RUNNING, node=N1, attempt=4, cpu_m=1)
    anew = ClusterView(replace(other, slices=(again,), reservations=(first,)))
    anew.look(now_ms=8, revision=2)
    assert [one.is_leaving for one in anew.snapshot().placed] == [False]
    assert [one.victims for one in anew.snapshot().reservations] == [()]
