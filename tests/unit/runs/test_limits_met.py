"""What is said of a slice's limits: numbers, and who set them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace as changed
from runink.dag import Limit, Limits, Resources
from runink.errors import WireError
from runink.herds.admission import OF_THE_HERD
from runink.jobs import Failed
from runink.names import HerdName, RunId, SliceId
from runink.runs.failures import failure_of, may_pass
from runink.runs.limits import limits_met
from runink.runs.records import Exit, HerdLimits, Printed, SliceRecord, SliceState

MEMORY = Limit(512 << 20, 12)
RECORD = SliceRecord(
    SliceId("s"), RunId("r"), HerdName("h"), "g", SliceState.FAILED, Resources(), ended_ms=9
)


def told(exit_: Exit, **changes: Any) -> tuple[str, ...]:
    return limits_met(changed(RECORD, exit=exit_, **changes))


def test_memory_at_its_end_is_told_with_what_was_used_and_the_line() -> None:
    record = changed(
        RECORD,
        exit=Exit("oom", signal=9, oom_kills=1, memory_bytes_max=512 << 20),
        limits=Limits(memory=MEMORY),
    )
    failure = failure_of([record])
    assert failure is not None
    assert failure.error.code == "out_of_memory"
    assert "used 512 MiB of 512 MiB, limit from @requires in line 12" in failure.error.text
    assert "@requires(memory=" in failure.error.hint
    assert not may_pass(record)


def test_memory_that_the_herd_had_no_more_of_is_told_as_the_herds() -> None:
    exit_ = Exit("oom", oom_kills=1, memory_bytes_max=300 << 20)
    herd = HerdLimits(memory_bytes=1 << 30)
    for limits in (Limits(), Limits(memory=MEMORY)):
        assert told(exit_, limits=limits, herd_limits=herd) == (
            "used 300 MiB when herd h was at its 1,024 MiB on the node, limit from its [quotas]",
        )
    full = changed(exit_, memory_bytes_max=500 << 20)
    assert told(full, limits=Limits(memory=MEMORY), herd_limits=herd) == (
        "used 500 MiB of 512 MiB, limit from @requires in line 12",
    )


def test_memory_that_the_machine_had_no_more_of_is_no_limit() -> None:
    exit_ = Exit("signalled", signal=9, oom_kills=1, memory_bytes_max=300 << 20)
    assert told(exit_) == ("used 300 MiB, without a limit of its own: the machine had no more",)


def test_processes_that_were_refused_are_counted() -> None:
    exit_ = Exit("exited", code=1, processes_refused=64)
    assert told(exit_, limits=Limits(processes=Limit(100, 7))) == (
        "a process or thread more than it may have was refused 64 times: 100 at most, limit from @requires in line 7",
    )
    (line,) = told(exit_)
    assert "the limit that every slice has" in line


@pytest.mark.parametrize(
    ("cpu_m", "share"), [(500, "0.5 of a core"), (1000, "1 core"), (2500, "2.5 cores")]
)
def test_waiting_for_a_part_of_the_cores_is_told_as_time(cpu_m: int, share: str) -> None:
    exit_ = Exit("timeout", signal=9, throttled_s=12.34, wall_s=20.0)
    (of_herd,) = told(exit_, limits=Limits(cpu=Limit(cpu_m, OF_THE_HERD)))
    assert of_herd.endswith(", limit from [quotas.slice] of its herd")
    assert told(exit_, limits=Limits(cpu=Limit(cpu_m, 3))) == (
        f"waited 12.3 s of 20.0 s for its {share}, limit from @requires in line 3",
    )


def test_a_slice_that_hardly_waited_says_nothing_of_it() -> None:
    limits = Limits(cpu=Limit(500, 3))
    assert told(Exit("exited", throttled_s=0.5, wall_s=20.0), limits=limits) == ()
    assert told(Exit("exited", throttled_s=9.0, wall_s=20.0)) == ()  # by whom, then?


def test_what_a_step_reports_of_its_memory_is_told_with_the_limit() -> None:
    error = WireError("Unavailable", "out_of_memory", "s ran out of memory", "")
    record = changed(
        RECORD,
        exit=Exit("exited", code=1, memory_bytes_max=400 << 20),
        report=Failed(error),
        limits=Limits(memory=MEMORY),
    )
    failure = failure_of([record])
    assert failure is not None
    assert failure.limits == ("used 400 MiB of 512 MiB, limit from @requires in line 12",)
    assert not may_pass(record)
    assert may_pass(changed(record, limits=Limits()))


def test_a_full_scratch_is_told_with_its_size() -> None:
    report = Failed(WireError("Refused", "scratch_full", "s: /tmp is full", ""))
    exit_ = Exit("exited", code=1)
    assert told(exit_, report=report, limits=Limits(disk=Limit(1 << 20, 4))) == (
        "its /tmp holds 1 MiB, limit from @requires in line 4",
    )
    (line,) = told(exit_, report=report)
    assert "that every slice has" in line


def test_a_slice_that_has_not_ended_has_met_nothing() -> None:
    assert limits_met(RECORD) == ()


def test_waiting_to_print_is_told_with_the_lines_if_it_was_long() -> None:
    exit_ = Exit("exited", wall_s=20.0)
    assert told(exit_, printed=Printed(1_500_000, slowed_s=12.34)) == (
        "waited 12.3 s of 20.0 s to print: 1,500,000 lines were more than its log takes at a time",
    )
    assert told(exit_, printed=Printed(200_000, slowed_s=1.0)) == ()
