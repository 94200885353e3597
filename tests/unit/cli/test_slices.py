"""What `runi slice` says of a slice."""

from __future__ import annotations

from collections.abc import Iterator

from cli_world import a_run, a_slice, a_view
from msgspec.structs import replace as changed
from runink.cli.slices import lines_of as document_lines
from runink.cli.summary import failure_lines
from runink.clients.barn import Found
from runink.clients.run_documents import run_document
from runink.clients.run_documents import slice_document as document
from runink.clients.run_requests import Used
from runink.dag import Limit, Limits
from runink.herds.admission import OF_THE_HERD
from runink.names import NodeId
from runink.runs.attempts import Earlier, Fault
from runink.runs.failures import failure_of
from runink.runs.records import (
    Exit,
    HerdLimits,
    Printed,
    RunState,
    SliceRecord,
    SliceState,
    Tries,
)
from runink.runs.traces import span_of
from runink.services.run_reading import slice_document_of

SEALED = {"isolation": "full", "cgroup.memory": "v1", "cgroup.cpu": "none", "seccomp": "on"}
EXIT = Exit(
    "oom",
    signal=9,
    oom_kills=1,
    cpu_s=1.5,
    wall_s=2.0,
    memory_bytes_max=1 << 30,
    read_bytes=2000,
    written_bytes=1000,
)


def lines_of(record: SliceRecord, used: Used | None = None) -> Iterator[tuple[str, str]]:
    """Say what the API says of a slice."""
    return document_lines(slice_document_of(Found("", record, 1, 1, 0, 1), used, str))


def a_failed() -> SliceRecord:
    return a_slice(
        "one",
        SliceState.FAILED,
        exit=EXIT,
        pid=77,
        limits=Limits(Limit(500, 3), Limit(1 << 30, 4), None, Limit(1 << 20, 4)),
        herd_limits=HerdLimits(memory_bytes=2 << 30),
        sealed=SEALED,
        shown={"/data": "ro", "/out": "rw"},
    )


def test_all_that_is_known_of_a_slice_is_told() -> None:
    lines = list(lines_of(a_failed()))
    told = dict(lines)
    assert told["state"] == "failed, attempt 1 on local"
    assert told["process"] == "77"
    assert told["ended"] == "oom with signal 9, after 2.0 s"
    assert told["used"] == "cpu 1.50 s, memory 1,024 MiB, read 2 KB, written 1 KB"
    assert told["met"] == "used 1,024 MiB of 1,024 MiB, limit from @requires in line 4"
    assert told["seccomp"] == "on"
    assert [text for what, text in lines if what == "shown"] == ["ro /data", "rw /out"]


def test_where_earlier_attempts_were_is_told() -> None:
    earlier = (Earlier(1, NodeId("w1")), Earlier(3, NodeId("w2"), Fault.LOST))
    record = a_slice("one", SliceState.RUNNING, attempt=4, earlier=earlier)
    told = [text for what, text in lines_of(record) if what == "was"]
    assert told == ["attempt 1 on w1", "attempt 3 on w2, lost"]
    assert document(record)["earlier"] == [
        {"attempt": 1, "node": "w1", "fault": ""},
        {"attempt": 3, "node": "w2", "fault": "lost"},
    ]


def test_context_switches_are_told_by_their_kind_or_not_at_all() -> None:
    assert "switches" not in dict(lines_of(a_failed()))
    counted = changed(EXIT, voluntary_switches=1234, involuntary_switches=5)
    record = a_slice("one", SliceState.FAILED, exit=counted)
    assert dict(lines_of(record))["switches"] == "1,234 voluntary, 5 involuntary"
    for found, told in [
        (document(record)["exit"], (1234, 5)),
        (document(a_failed())["exit"], (None, None)),
    ]:
        assert (found["voluntary_switches"], found["involuntary_switches"]) == told
    (row,) = run_document(a_view(slices=(record,)))["slices"]
    assert (row["voluntary_switches"], row["involuntary_switches"]) == (1234, 5)


def test_a_slice_that_had_a_limit_of_time_is_told_with_it() -> None:
    out = Exit("timeout", signal=9, wall_s=63.04, wall_time_s=60.0)
    told = dict(lines_of(a_slice("one", SliceState.FAILED, exit=out)))
    assert told["ended"] == "timeout with signal 9, after 63.0 s, allowed 60 s"


def test_the_trace_is_that_which_its_steps_were_told() -> None:
    record = a_failed()
    span = span_of(record.run, record.slice, record.attempt)
    assert dict(lines_of(record))["trace"] == span.traceparent
    found = document(record)
    assert (found["trace_id"], found["span_id"]) == (span.trace_id, span.span_id)


def test_a_limit_that_nothing_keeps_is_said_to_be_that() -> None:
    limits = [text for what, text in lines_of(a_failed()) if what == "limit"]
    assert limits == [
        "cpu 500m, from @requires in line 3, which nothing enforces",
        "memory 1Gi, from @requires in line 4",
        "disk 1Mi, from @requires in line 4",
        "memory 2Gi for all of herd default",
    ]
    plain = a_slice(
        "one",
        SliceState.RUNNING,
        limits=Limits(disk=Limit(1 << 20, 4)),
        sealed={"isolation": "none"},
    )
    assert ("limit", "disk 1Mi, from @requires in line 4, which nothing enforces") in list(
        lines_of(plain)
    )


def test_a_limit_that_its_herd_has_set_is_said_to_be_that() -> None:
    held = a_slice("one", SliceState.RUNNING, limits=Limits(memory=Limit(1 << 30, OF_THE_HERD)))
    (text,) = [text for what, text in lines_of(held) if what == "limit"]
    assert text.startswith("memory 1Gi, from [quotas.slice] of its herd")


def test_the_document_has_limits_what_is_in_force_and_the_totals() -> None:
    found = document(a_failed())
    assert found["limits"] == {
        "cpu": {"amount": 500, "line": 3},
        "memory": {"amount": 1 << 30, "line": 4},
        "processes": None,
        "disk": {"amount": 1 << 20, "line": 4},
        "io": None,
        "wall_time": None,
    }
    assert found["herd_limits"] == {"cpu_m": 0, "memory_bytes": 2 << 30}
    assert found["sealed"] == SEALED
    assert found["shown"] == {"/data": "ro", "/out": "rw"}
    assert (found["exit"]["cause"], found["exit"]["oom_kills"]) == ("oom", 1)
    waiting = document(a_slice("one", SliceState.PENDING))
    assert (waiting["exit"], waiting["error"], waiting["limits_met"]) == (None, None, [])


def test_a_runs_document_says_how_far_its_slices_were_closed_off() -> None:
    full = a_slice("a", SliceState.SUCCEEDED, sealed={"isolation": "full"})
    plain = a_slice("b", SliceState.SUCCEEDED, sealed={"isolation": "none"})
    pending = a_slice("c", SliceState.PENDING)
    for slices, said in [
        ((full, pending), "full"),
        ((full, plain), "none"),
        ((pending,), None),
    ]:
        assert run_document(a_view(slices=slices))["isolation"] == said


def test_a_failure_tells_each_limit_once() -> None:
    failure = failure_of([a_failed()])
    assert failure is not None
    lines = "\n".join(failure_lines(failure))
    assert lines.count("limit from @requires in line 4") == 1
    view = a_view(a_run(RunState.FAILED, failure=failure))
    assert run_document(view)["error"]["limits"] == list(failure.limits)


def test_what_a_slice_printed_is_told_with_what_was_lost_and_how_long_it_was_held_up() -> None:
    quiet = a_slice("one", SliceState.SUCCEEDED)
    assert "printed" not in dict(lines_of(quiet))
    some = a_slice("one", SliceState.SUCCEEDED, printed=Printed(1, 70))
    assert dict(lines_of(some))["printed"] == "1 line, 70 B kept"
    flood = a_slice(
        "one", SliceState.SUCCEEDED, printed=Printed(2_000_000, 64_000_000, 9000, 12.34)
    )
    assert dict(lines_of(flood))["printed"] == (
        "2,000,000 lines, 64 MB kept, 9 KB lost, held up for 12.3 s"
    )
    assert document(flood)["printed"]["slowed_s"] == 12.34


def test_what_a_slice_that_runs_has_used_so_far_is_told() -> None:
    used = Used(7, 1.5, 0.25, 512 << 20, 12, 2000, 1000)
    running = a_slice("one", SliceState.RUNNING)
    assert dict(lines_of(running, used))["used"] == (
        "cpu 1.50 s, throttled 0.25 s, memory now 512 MiB, 12 processes and threads, read 2 KB, written 1 KB"
    )
    assert document(running, used)["used"]["memory_bytes"] == 512 << 20
    assert document(running)["used"] is None
    assert "used" not in dict(lines_of(running))


def test_what_came_of_the_attempts_before_is_told_and_when_the_next_begins() -> None:
    tries = Tries(1, {"one.work": 2}, "step_raised", "step work raised \x1b[2JKeyError")
    record = a_slice(
        "one",
        SliceState.PENDING,
        attempt=4,
        tries=tries,
        not_before_ms=1_000,
        waits_for="attempt 4, because …",
    )
    told = dict(lines_of(record))
    assert told["state"].startswith("pending, attempt 4")
    assert told["begins"].endswith(" at the soonest")
    assert told["before"].startswith(
        "one.work failed 2 times, lost 1 time; the last: [step_raised]"
    )
    assert "\x1b" not in told["before"]
    assert document(record)["not_before_ms"] == 1_000
    assert document(record)["tries"]["failures"] == {"one.work": 2}
