"""What the spawner is asked to hold a slice to."""

from __future__ import annotations

import os
import socket

import pytest
from msgspec.structs import replace as changed
from runink.actors.limiting import begun, held_to, limits_of, showing
from runink.barn.keyvalue import KeyValue
from runink.capabilities import IsolationPolicy
from runink.clients.barn import encode_value
from runink.dag import Limit, Limits, Resources
from runink.herds.record import HerdRecord, SliceBounds
from runink.names import HerdName, RunId, SliceId
from runink.runs.records import HerdLimits, SliceRecord, SliceState, Task
from runink.sandbox.client import SCRATCH_BYTES, LaunchedSlice, SliceWanted

RECORD = SliceRecord(SliceId("s"), RunId("r"), HerdName("h"), "g", SliceState.PLACED, Resources())


def test_what_nobody_asks_for_is_no_limit_but_has_a_weight() -> None:
    assert limits_of(RECORD) == {
        "cpu_m": 0,
        "cpu_weight": 10,
        "memory_bytes": 0,
        "processes": 0,
        "scratch_bytes": SCRATCH_BYTES,
        "io_bytes_per_s": 0,
        "herd_cpu_m": 0,
        "herd_memory_bytes": 0,
    }


def test_what_is_asked_for_is_put_into_the_request() -> None:
    limits = Limits(Limit(2000, 1), Limit(1 << 30, 1), Limit(64, 2), Limit(1 << 20, 3))
    record = changed(
        RECORD,
        resources=Resources(2000, 1 << 30),
        limits=limits,
        herd_limits=HerdLimits(4000, 2 << 30),
    )
    asked = SliceWanted("n", 1, "h", b"", "/", **limits_of(record)).message()
    assert (asked.cpu_m, asked.cpu_weight, asked.memory_bytes) == (2000, 200, 1 << 30)
    assert (asked.processes, asked.scratch_bytes) == (64, 1 << 20)
    assert (asked.herd_cpu_m, asked.herd_memory_bytes) == (4000, 2 << 30)


@pytest.mark.parametrize(("cpu_m", "weight"), [(0, 10), (1, 1), (1000, 100), (999_000, 10_000)])
def test_the_weight_follows_the_request_as_far_as_the_kernel_goes(cpu_m: int, weight: int) -> None:
    record = changed(RECORD, resources=Resources(cpu_m, 0))
    assert limits_of(record)["cpu_weight"] == weight


def test_the_herds_limits_stand_in_the_record_as_they_are_at_the_launch() -> None:
    herd = HerdRecord(HerdName("h"), cpu_m=4000, memory_bytes=2 << 30)
    item = KeyValue("k", encode_value(herd), 1, 1, 1)
    record = held_to(RECORD, [item])
    assert record.herd_limits == HerdLimits(4000, 2 << 30)
    assert held_to(record, []).herd_limits == HerdLimits()


def test_a_slice_whose_pipeline_sets_no_limit_is_held_to_the_most_that_one_of_its_herd_asks_for() -> None:  # fmt: skip
    herd = HerdRecord(HerdName("h"), bounds=SliceBounds(cpu_max_m=2000, memory_max_bytes=1 << 30))
    free = changed(RECORD, limits=Limits())
    asked = limits_of(held_to(free, [KeyValue("k", encode_value(herd), 1, 1, 1)]))
    assert (asked["cpu_m"], asked["memory_bytes"]) == (2000, 1 << 30)
    ending = changed(free, task=Task.PUBLISH)
    asked = limits_of(held_to(ending, [KeyValue("k", encode_value(herd), 1, 1, 1)]))
    assert (asked["cpu_m"], asked["memory_bytes"]) == (0, 0)


def test_what_the_herd_does_without_stands_in_the_record_as_it_is_at_the_launch() -> None:
    herd = HerdRecord(HerdName("h"), isolation=IsolationPolicy(("seccomp",), ("landlock",)))
    record = held_to(RECORD, [KeyValue("k", encode_value(herd), 1, 1, 1)])
    assert record.without == ("seccomp",)
    assert held_to(record, []).without == ()


def test_a_running_record_says_what_is_in_force_and_what_is_shown() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pidfd = os.pidfd_open(os.getpid())
        try:
            launched = LaunchedSlice("n", 1, {"isolation": "full"}, ours, 1, 2, pidfd)
            record = begun(showing(RECORD, {"/a": True, "/b": False}), launched, now_ms=5)
        finally:
            os.close(pidfd)
    assert (record.state, record.launched_ms) == (SliceState.RUNNING, 5)
    assert record.sealed == {"isolation": "full"}
    assert record.shown == {"/a": "rw", "/b": "ro"}
