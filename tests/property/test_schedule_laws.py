"""Keepers come and go, clocks are put forward and back, runs take their time: each tick is decided on once, and none is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from runink.calendars import Missed, Overlap, Schedule, ticks_between
from runink.runs.schedules import ON_TIME_MS, due

BEGIN_MS = 1_793_000_000_000  # some days before Berlin's clocks are put back
HOUR_MS = 3_600_000
STEPS = st.one_of(
    st.tuples(st.just("wait"), st.integers(0, 90 * 60_000)),
    st.tuples(st.just("jump"), st.integers(-10 * HOUR_MS, 30 * HOUR_MS)),
    st.tuples(st.just("away"), st.integers(0, 30 * HOUR_MS)),  # nobody looks for so long
    st.tuples(st.just("end"), st.just(0)),  # the oldest run ends
    st.tuples(st.just("twice"), st.just(0)),  # two keepers decide on the same sight
)


@dataclass
class Kept:
    """A schedule's record, and what keepers make of it."""

    schedule: Schedule
    now_ms: int = BEGIN_MS
    seen_ms: int = BEGIN_MS
    newest_ms: int = BEGIN_MS  # the latest that the clock has ever shown to somebody who looked
    made: list[int] = field(default_factory=list)
    living: list[int] = field(default_factory=list)
    passed: list[tuple[int, int]] = field(default_factory=list)

    def look(self, keepers: int = 1) -> None:
        self.newest_ms = max(self.newest_ms, self.now_ms)
        while True:  # ends: each round moves seen_ms, and never beyond what has come
            sights = [
                due(
                    self.schedule,
                    seen_ms=self.seen_ms,
                    now_ms=self.now_ms,
                    living=len(self.living),
                )
                for _ in range(keepers)
            ]
            what = sights[0]  # the others' transactions compare a revision that is gone
            assert all(sight == what for sight in sights)
            if what.seen_ms == self.seen_ms:
                assert what.tick is None
                assert what.wake_ms is None or what.wake_ms > self.now_ms
                return
            assert self.seen_ms < what.seen_ms <= self.now_ms
            assert what.tick in {None, what.seen_ms}
            self.passed.append((self.seen_ms, what.seen_ms))
            self.seen_ms = what.seen_ms
            if what.tick is not None:
                self.living = [*([] if what.replaces else self.living), what.tick]
                self.made.append(what.tick)


@given(
    st.sampled_from(["0 * * * *", "30 2 * * *", "*/20 * * * *", "15 1-4 * * 0"]),
    st.sampled_from(list(Missed)),
    st.sampled_from(list(Overlap)),
    st.lists(STEPS, max_size=25),
)
def test_each_tick_is_decided_on_once_and_none_is_forgotten(
    cron: str, missed: Missed, overlap: Overlap, steps: list[tuple[str, int]]
) -> None:
    kept = Kept(Schedule(cron=cron, zone="Europe/Berlin", missed=missed, overlap=overlap))
    for what, amount in steps:
        match what:
            case "wait" | "away" | "jump":
                kept.now_ms = max(kept.now_ms + amount, BEGIN_MS)
                kept.look()
            case "end":
                kept.living = kept.living[1:]
                kept.look()
            case _:
                kept.look(keepers=2)
    while kept.living:
        kept.living = []
        kept.look()
    kept.now_ms = kept.newest_ms
    kept.look()
    ticks = list(ticks_between(kept.schedule, BEGIN_MS, kept.newest_ms))
    decided = [
        at for after, until in kept.passed for at in ticks_between(kept.schedule, after, until)
    ]
    # Every one that has come was decided on, in order, once; a run that is still under way holds the rest back.
    assert decided == ticks[: len(decided)]
    assert kept.living or len(decided) == len(ticks)
    assert kept.made == sorted(set(kept.made))
    if missed is Missed.ALL and overlap is not Overlap.REPLACE:
        assert kept.made == decided
    if missed is Missed.LAST and not kept.living and ticks:
        assert kept.made[-1] == ticks[-1]


@given(st.integers(0, 3 * HOUR_MS), st.sampled_from(list(Overlap)))
def test_what_is_skipped_was_missed_by_more_than_what_counts_as_on_time(
    late_ms: int, overlap: Overlap
) -> None:
    schedule = Schedule(cron="0 * * * *", missed=Missed.SKIP, overlap=overlap)
    tick = next(ticks_between(schedule, BEGIN_MS, BEGIN_MS + HOUR_MS))
    found = due(schedule, seen_ms=tick - 1, now_ms=tick + late_ms, living=0)
    assert (found.tick is not None) == (late_ms % HOUR_MS <= ON_TIME_MS)
