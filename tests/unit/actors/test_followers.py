"""What those who follow a run are told: whole at first, then only what has changed; put together again it is the run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from runink.actors.followers import Followers
from runink.clients.run_parts import RunParts
from runink.clients.run_requests import RunView
from runink.dag import Resources
from runink.names import BundleHash, HerdName, PipelineName, RunId, SliceId
from runink.runs.records import RunRecord, RunState, SliceRecord, SliceState
from runink.runs.views import RunView as Stored
from runink.runtime.actor import Later
from runink.wire.codec import decode, encode

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

RUN = RunId("0" * 26)
HERD = HerdName("default")
DAG = staged_dag("a", "b", "c")
RECORD = RunRecord(
    RUN, HERD, PipelineName("p"), "v", "p", "p.dsl", "/p", BundleHash("b"), RunState.RUNNING, 1
)
NAMES = st.sampled_from([SliceId(one.id) for one in DAG.slices])
Slices = dict[str, SliceRecord]


class Told(Later):
    """An answer that the test reads."""

    view: RunView | None = None

    def answer(self, value: object) -> None:
        assert isinstance(value, RunView)
        self.view = value


def slice_of(name: SliceId, attempt: int = 1) -> SliceRecord:
    return SliceRecord(
        name, RUN, HERD, "g", SliceState.RUNNING, Resources(100, 1 << 20), attempt=attempt
    )


def told(
    followers: Followers, parts: RunParts, slices: Mapping[str, SliceRecord], now_s: float
) -> tuple[RunView, RunView | None]:
    """Ask for what is newer; return what was told, and the whole of it."""
    later = Told()
    followers.add(parts.next(wait_s=1.0), later)
    followers.tell(Stored(RECORD, DAG, dict(slices)), now_s=now_s)
    assert later.view is not None
    return later.view, parts.whole(later.view)


def test_a_follower_is_told_all_slices_at_first_and_then_only_those_that_have_changed() -> None:
    followers, parts = Followers(1), RunParts(RUN)
    slices: Slices = {name: slice_of(SliceId(name)) for name in ("a", "b", "c")}
    view, whole = told(followers, parts, slices, 0.0)
    assert view == whole
    assert [one.slice for one in view.slices] == ["a", "b", "c"]
    slices["b"] = slice_of(SliceId("b"), attempt=2)
    followers.changed(RUN)
    view, whole = told(followers, parts, slices, 1.0)
    assert [one.slice for one in view.slices] == ["b"]
    assert whole is not None
    assert [(one.slice, one.attempt) for one in whole.slices] == [("a", 1), ("b", 2), ("c", 1)]


def test_who_was_told_by_an_earlier_start_of_the_controller_is_told_all() -> None:
    parts = RunParts(RUN)
    slices: Slices = {name: slice_of(SliceId(name)) for name in ("a", "b")}
    told(Followers(1), parts, slices, 0.0)
    later = Followers(2)
    later.changed(RUN)
    later.changed(RUN)
    view, whole = told(later, parts, {"b": slice_of(SliceId("b"), attempt=2)}, 0.0)
    assert view.since == 0
    assert whole is not None
    assert [(one.slice, one.attempt) for one in whole.slices] == [("b", 2)]


def test_a_run_that_was_over_and_is_asked_about_again_is_told_whole() -> None:
    followers, parts = Followers(1), RunParts(RUN)
    slices: Slices = {"a": slice_of(SliceId("a"))}
    told(followers, parts, slices, 0.0)
    followers.changed(RUN)
    followers.tell(Stored(replace(RECORD, state=RunState.SUCCEEDED), DAG, slices), now_s=1.0)
    _, whole = told(followers, parts, slices | {"b": slice_of(SliceId("b"))}, 2.0)
    assert whole is not None
    assert [one.slice for one in whole.slices] == ["a", "b"]


def test_what_a_run_has_come_to_while_nobody_watched_it_is_told_with_its_slices() -> None:
    followers, parts = Followers(1), RunParts(RUN)
    slices: Slices = {"a": slice_of(SliceId("a"))}
    told(followers, parts, slices, 0.0)
    later = Told()
    followers.add(parts.next(wait_s=1.0), later)
    ended = replace(slices["a"], state=SliceState.SUCCEEDED)
    over = replace(RECORD, state=RunState.SUCCEEDED)
    followers.tell_anew(Stored(over, DAG, {"a": ended}), now_s=1.0)
    assert later.view is not None
    whole = parts.whole(later.view)
    assert whole is not None
    assert whole.slices == (ended,)


def test_no_answer_is_more_than_the_other_side_takes_however_many_slices_a_run_has() -> None:
    followers, parts = Followers(1), RunParts(RUN)
    slices: Slices = {
        f"s{number:05}": slice_of(SliceId(f"s{number:05}")) for number in range(15_000)
    }
    state = Stored(RECORD, DAG, slices)
    whole = None
    answers = 0
    while whole is None:  # each answer has a slice at least
        later = Told()
        followers.add(parts.next(wait_s=1.0), later)
        assert followers.due_s(RUN, now_s=0.0) == 0.0, "who has a part waits for no pause"
        followers.tell(state, now_s=0.0)
        assert later.view is not None
        decode(encode(later.view))
        answers += 1
        whole = parts.whole(later.view)
    assert whole.slices == tuple(slices.values())
    assert answers > 1


def test_a_run_that_ends_while_it_is_told_in_parts_is_told_as_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runink.actors.followers.SLICES_BYTES_MAX", 1)
    followers, parts = Followers(1), RunParts(RUN)
    slices: Slices = {name: slice_of(SliceId(name)) for name in ("a", "b")}
    view, whole = told(followers, parts, slices, 0.0)
    assert (view.more, whole) == (True, None)
    ended: Slices = {name: replace(one, state=SliceState.SUCCEEDED) for name, one in slices.items()}
    over = Stored(replace(RECORD, state=RunState.SUCCEEDED), DAG, dict(ended))
    followers.changed(RUN)
    followers.tell(over, now_s=1.0)
    while not parts.is_over:  # a few answers, as many as there are slices and again
        rest = followers.rest(parts.next(wait_s=1.0))
        if rest is None:
            later = Told()
            followers.add(parts.next(wait_s=1.0), later)
            followers.tell(over, now_s=2.0)
            rest = later.view
        assert rest is not None
        whole = parts.whole(rest)
    assert whole is not None
    assert whole.slices == tuple(ended.values())


def test_of_a_run_that_is_over_the_other_parts_are_at_hand_and_only_what_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    followers, parts = Followers(1), RunParts(RUN)
    slices: Slices = {name: slice_of(SliceId(name)) for name in ("a", "b", "c", "d")}
    told(followers, parts, slices, 0.0)
    monkeypatch.setattr("runink.actors.followers.SLICES_BYTES_MAX", 1)
    ended = slices | {
        name: replace(slices[name], state=SliceState.SUCCEEDED) for name in ("b", "d")
    }
    later = Told()
    followers.add(parts.next(wait_s=1.0), later)
    followers.changed(RUN)
    followers.tell(Stored(replace(RECORD, state=RunState.SUCCEEDED), DAG, ended), now_s=1.0)
    assert later.view is not None
    assert parts.whole(later.view) is None
    rest = followers.rest(parts.next(wait_s=1.0))
    assert rest is not None
    assert [one.slice for one in rest.slices] == ["d"]
    whole = parts.whole(rest)
    assert whole is not None
    assert whole.slices == tuple(ended.values())
    assert parts.is_over


def test_who_has_part_of_a_run_of_an_earlier_start_of_the_controller_is_told_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runink.actors.followers.SLICES_BYTES_MAX", 1)
    parts = RunParts(RUN)
    slices: Slices = {name: slice_of(SliceId(name)) for name in ("a", "b")}
    told(Followers(1), parts, slices, 0.0)
    later = Followers(2)
    _, whole = told(later, parts, {"c": slice_of(SliceId("c"))}, 0.0)
    assert whole is not None
    assert [one.slice for one in whole.slices] == ["c"]


@given(st.lists(st.lists(NAMES, max_size=4), max_size=12), st.data())
def test_what_followers_put_together_is_the_run_whoever_asks_and_whenever(
    rounds: list[list[SliceId]], data: st.DataObject
) -> None:
    followers = Followers(1)
    all_parts = [RunParts(RUN) for _ in range(3)]
    slices: Slices = {}
    for place, names in enumerate(rounds):
        for name in names:
            before = slices.get(name)
            slices[name] = slice_of(name, attempt=before.attempt + 1 if before else 1)
        if names:
            followers.changed(RUN)
        asking = [one for one in all_parts if data.draw(st.booleans())]
        for parts in asking:
            later = Told()
            followers.add(parts.next(wait_s=1.0), later)
            followers.tell(Stored(RECORD, DAG, dict(slices)), now_s=float(place))
            if later.view is None:
                continue  # it has seen all
            whole = parts.whole(later.view)
            assert whole is not None
            assert whole.slices == tuple(slices[name] for name in sorted(slices))
