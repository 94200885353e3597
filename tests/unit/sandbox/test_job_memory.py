"""Memory that hands a job to its slice: what it holds, how long it stays, and that the next is made ahead."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from runink.errors import Overloaded
from runink.sandbox.job_memory import JobMemory
from runink.sandbox.kernel import content_of, is_sealed


@pytest.fixture
def memory() -> Iterator[JobMemory]:
    made = JobMemory()
    yield made
    made.close()


def open_descriptors() -> set[int]:
    return {int(one.name) for one in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("job", [b"", b"job", b"x" * 300_000], ids=["empty", "short", "long"])
def test_the_job_is_sealed_and_each_has_its_own(memory, job):
    with memory.holding(b"another before it"):
        pass
    with memory.holding(job) as descriptor:
        assert is_sealed(descriptor)
        assert content_of(descriptor) == job


def test_one_is_ready_ahead_and_no_more_however_many_are_held(memory):
    with memory.holding(b"first"):
        before = open_descriptors()
        with memory.holding(b"second"), memory.holding(b"third"):
            pass
        assert len(open_descriptors()) == len(before) + 1


def test_nothing_is_left_when_it_is_closed_also_while_a_job_is_held(memory):
    before = open_descriptors()
    with memory.holding(b"job"):
        memory.close()
    assert open_descriptors() == before
    with memory.holding(b"one more"):
        pass
    assert open_descriptors() == before


def test_want_of_descriptors_is_told_and_what_was_made_ahead_serves_once_more(memory):
    with memory.holding(b"job"):
        pass
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_descriptors()), hard))
    try:
        free = []
        while True:
            try:
                free.append(os.dup(0))
            except OSError:
                break
        with memory.holding(b"served"):
            with pytest.raises(Overloaded) as refused, memory.holding(b"refused"):
                pass
            assert refused.value.code == "no_descriptors"
    finally:
        for one in free:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
