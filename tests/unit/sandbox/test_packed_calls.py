"""Calls whose objects lie together: they do what those do that they were made from."""

from __future__ import annotations

import ctypes
import errno
import os

import pytest
from runink.sandbox.calls import Call, StepFailed, called, contains, ready, run, same
from runink.sandbox.packing import packed

TEXT = b"what is written"


def passing(pipe: tuple[int, int]) -> list[Call]:
    """Return calls with every kind of argument: numbers small and large, bytes, nothing, a buffer, an address."""
    source, target = pipe
    found = ctypes.create_string_buffer(len(TEXT) + 1)
    second = ctypes.c_void_p(ctypes.addressof(found) + 5)
    return [
        called("write", "write", target, TEXT, len(TEXT), wanted=len(TEXT)),
        called("read", "read", source, found, 5, wanted=5),
        called("read on", "read", source, second, 1 << 20, wanted=len(TEXT) - 5),
        same("compare", found, TEXT),
        contains("look", found, b"is written"),
        called("set no groups", "setgroups", -1, None, wanted=-1),
        called("leave", "access", b"/not there", 0, wanted=0, forgiven=(errno.ENOENT,)),
    ]


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_packed_calls_do_what_the_others_do(pipe):
    plain = ready(passing(pipe))
    run(plain)
    [again] = packed([plain])
    run(again)


def test_nothing_of_packed_calls_but_what_they_lead_to_is_shared(pipe):
    plain = ready(passing(pipe))
    [again] = packed([plain])
    for before, after in zip(plain.bare, again.bare, strict=True):
        assert after is not before
        assert after[1] is not before[1]
        assert [after[0], *after[2:]] == [before[0], *before[2:]]
    assert again.bare[0][1][1] == TEXT
    assert again.bare[0][1][1] is not TEXT


def test_a_packed_call_that_fails_is_told_of_as_before():
    failing = called("leave", "access", b"/not there", 0)._replace(step=7)
    [again] = packed([ready([failing])])
    with pytest.raises(StepFailed, match="leave: No such file") as failed:
        run(again)
    assert (failed.value.step, failed.value.errno) == (7, errno.ENOENT)
