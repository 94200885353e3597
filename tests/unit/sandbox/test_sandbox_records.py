"""The register of slices: whose wall time is over when, and what is kept of it."""

from __future__ import annotations

from runink.sandbox.client import SliceWanted
from runink.sandbox.inner_protocol import Ended
from runink.sandbox.protocol import GRACE_S
from runink.sandbox.records import DEADLINES_SPARE, Asker, Record, Register


def begin(register: Register, name: str, *, pid: int, wall_time_s: float, now_s: float) -> Record:
    launch = SliceWanted(name, 1, "herd", b"", "/", wall_time_s=wall_time_s).message()
    record = Record(launch, Asker(1, 1), owner=(0, 0), handed=[], meant=[], now_s=now_s)
    register.admit(record)
    register.has_cell(record, pid)
    assert register.started(name, pid=pid, now_s=now_s) is record
    return record


def end(register: Register, record: Record, *, now_s: float) -> None:
    register.first_ended(record.pid, Ended(record.pid, 0, 0.0, 0.0, 0), now_s=now_s)
    register.all_ended(record, survivors=0)
    register.remove(record)


def test_a_slice_that_runs_long_keeps_nothing_of_those_that_came_and_went():
    register = Register()
    begin(register, "long", pid=1, wall_time_s=3600.0, now_s=0.0)
    later = begin(register, "later", pid=2, wall_time_s=7200.0, now_s=0.0)
    for number in range(2000):
        record = begin(register, str(number), pid=3 + number, wall_time_s=9000.0, now_s=1.0)
        end(register, record, now_s=2.0)
        assert register.deadline_count <= DEADLINES_SPARE + 2 * 3
    assert list(register.overdue(now_s=3599.0)) == []
    assert [one.name for one in register.overdue(now_s=3600.0)] == ["long"]
    assert register.next_deadline_s() == 3600.0 + GRACE_S
    assert [one.name for one in register.overdue(now_s=3600.0 + GRACE_S)] == ["long"]
    assert register.next_deadline_s() == 7200.0
    end(register, later, now_s=3601.0)
    assert register.next_deadline_s() is None


def test_wall_times_end_in_their_order_and_once_before_their_grace_is_over():
    register = Register()
    times = {"c": 30.0, "a": 10.0, "b": 20.0}
    for pid, (name, wall_time_s) in enumerate(times.items(), 1):
        begin(register, name, pid=pid, wall_time_s=wall_time_s, now_s=0.0)
    assert [one.name for one in register.overdue(now_s=25.0)] == ["a", "b"]
    assert [one.name for one in register.overdue(now_s=25.0)] == []
    assert [one.name for one in register.overdue(now_s=25.0 + GRACE_S)] == ["a", "b"]
    assert [one.name for one in register.overdue(now_s=30.0)] == ["c"]
    assert [one.name for one in register.overdue(now_s=99.0)] == ["c"]
    assert register.next_deadline_s() is None


def test_who_looks_late_gives_the_whole_grace_all_the_same():
    register = Register()
    begin(register, "a", pid=1, wall_time_s=10.0, now_s=0.0)
    assert [one.name for one in register.overdue(now_s=500.0)] == ["a"]
    assert list(register.overdue(now_s=500.0 + GRACE_S - 0.1)) == []
    assert [one.name for one in register.overdue(now_s=500.0 + GRACE_S)] == ["a"]


def test_a_slice_that_ends_within_its_grace_leaves_no_deadline():
    register = Register()
    record = begin(register, "a", pid=1, wall_time_s=10.0, now_s=0.0)
    assert [one.name for one in register.overdue(now_s=10.0)] == ["a"]
    end(register, record, now_s=11.0)
    begin(register, "b", pid=1, wall_time_s=10.0, now_s=11.0)
    assert list(register.overdue(now_s=20.0)) == [], "its number is another's by now"
    assert [one.name for one in register.overdue(now_s=21.0)] == ["b"]
