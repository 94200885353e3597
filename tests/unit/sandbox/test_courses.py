"""What a cell does, written down before it is cloned."""

from __future__ import annotations

from itertools import groupby

import pytest
from runink.sandbox import courses
from runink.sandbox.birth import Fresh
from runink.sandbox.courses import LINK, SEAT, Courses, Handed
from runink.sandbox.first import WAITING
from runink.sandbox.inner_protocol import Fork
from runink.sandbox.isolation import STEPS, Seals
from runink.sandbox.namespaces import Needed
from runink.sandbox.protocol import NO_NETWORK
from runink.sandbox.seccomp import letting_all_pass
from runink.sandbox.syscalls import NUMBERS

FRESH = Fresh((2,), Needed.NOTHING)
HANDED = Handed(5, [6, 7], 0, [8, 9])


def fork(*, waits: bool = False, folder: str = "/p") -> Fork:
    return Fork(
        cell=1,
        isolated=True,
        doors=2,
        born_in=False,
        targets=["/usr", "/p/file"],
        kinds="df",
        writable=["/p/file"],
        links=[["bin", "usr/bin"]],
        folder=folder,
        scratch_bytes=1 << 20,
        waits=waits,
        herd=1,
    )


def made(end_at: str = "", *, needed: Needed = FRESH.needed, entry_reaps: bool = False) -> Courses:
    seals = Seals(letting_all_pass(), 1, has_groups=True, network=NO_NETWORK)
    found = Courses(seals, end_at=end_at)
    found.renew(Fresh((), needed), entry_reaps=entry_reaps)
    return found


def test_a_course_is_known_until_what_is_loaded_changes():
    kept = made()
    assert kept.known((b"a", 5)) is None
    course = kept.make((b"a", 5), fork(), HANDED)
    assert kept.known((b"a", 5)) is course
    assert kept.known((b"a", 6)) is None
    kept.renew(FRESH, entry_reaps=False)
    assert kept.known((b"a", 5)) is None


def test_no_more_of_them_are_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(courses, "KEPT_MAX", 2)
    kept = made()
    for number in range(3):
        kept.make((b"a", number), fork(), HANDED)
    assert [kept.known((b"a", number)) is not None for number in range(3)] == [False, False, True]


def test_every_step_of_a_cell_is_taken_in_its_order():
    course = made().make((b"a",), fork(), HANDED)
    first = [step for step, _ in groupby(call.step for call in course.first.calls)]
    worker = [call.step for one in (course.worker, course.last) for call in one.calls]
    assert first == [0, *range(7, 18), 0]  # the last: the channels
    assert list(dict.fromkeys(worker)) == [18, 19]
    assert {*first, *worker} - {0} == {step for step in STEPS if step >= 7}


@pytest.mark.parametrize("step", range(7, 20))
def test_a_process_ends_right_before_the_step_that_it_is_to_end_at_and_at_no_other(step):
    who = "first" if step < 18 else "worker"
    course = made(f"{who}:{step}").make((b"a",), fork(), HANDED)
    every = [*course.first.calls, *course.worker.calls, *course.last.calls]
    [at] = [number for number, call in enumerate(every) if call.says == "end"]
    assert every[at].arguments == (step,)
    assert every[at + 1].step == step
    assert all(call.step < step for call in every[:at])


def test_a_worker_that_is_alone_takes_the_same_steps_and_forks_nobody():
    course = made(needed=Needed.NOTHING, entry_reaps=True).make((b"a",), fork(), HANDED)
    every = [*course.first.calls, *course.worker.calls, *course.last.calls]
    steps = list(dict.fromkeys(call.step for call in every if call.step))
    assert (course.fork, course.left.calls, steps) == (None, (), list(range(7, 20)))
    assert course.last.calls[-1].arguments[1]._obj.raw == WAITING.raw, (
        "its handlers are not there yet"
    )


@pytest.mark.parametrize(
    ("needed", "entry_reaps"),
    [(Needed.NOTHING, False), (Needed.WITH_C, True), (Needed.EVERYTHING, True)],
)
def test_a_cell_has_a_first_process_where_the_entry_does_not_reap_or_a_fork_is_needed(
    needed, entry_reaps
):
    course = made(needed=needed, entry_reaps=entry_reaps).make((b"a",), fork(), HANDED)
    assert course.fork is not None


def test_nobody_ends_anywhere_unless_that_is_asked_for():
    course = made().make((b"a",), fork(), HANDED)
    assert "end" not in {call.says for call in (*course.first.calls, *course.worker.calls)}


def test_a_cell_that_waits_gets_its_slice_by_its_seat():
    kept = made()
    assert kept.make((b"a",), fork(), HANDED).source == LINK
    waiting = kept.make((b"b",), fork(waits=True), HANDED)
    assert (waiting.source, waiting.waits) == (SEAT, True)


def test_a_file_is_mounted_at_a_file_and_may_not_be_made_things_in():
    course = made().make((b"a",), fork(), HANDED)
    of_folders = [
        one.arguments[0] for one in course.first.calls if one.function.__name__ == "mkdir"
    ]
    of_files = [one.arguments[2] for one in course.first.calls if one.arguments[:1] == (NUMBERS["mknodat"],)]  # fmt: skip
    assert {b"usr", b"p"} <= set(of_folders)
    assert of_files == [b"p/file"]
