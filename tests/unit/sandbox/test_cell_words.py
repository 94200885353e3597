"""What the spawner understands of cells: what many say is understood once, and only as it was said."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.sandbox.cell_words import KEPT_MAX, CellWords
from runink.sandbox.codec import BadMessage, encode
from runink.sandbox.due import soonest
from runink.sandbox.inner_protocol import WORKED, Sealed, Started, Worked
from runink.sandbox.kernel import WAITED_BYTES
from runink.sandbox.packets import Packet


def sealed(name: str) -> bytes:
    return encode("sealed", Sealed({name: "on"}))


def test_what_was_said_before_is_not_understood_again():
    words = CellWords()
    first = words.of(Packet(sealed("seccomp"), [], True))
    assert first == Sealed({"seccomp": "on"})
    assert words.of(Packet(sealed("seccomp"), [], True)) is first
    assert words.of(Packet(sealed("landlock"), [], True)) == Sealed({"landlock": "on"})
    started = encode("started", Started())
    assert words.of(Packet(started, [], True)) is words.of(Packet(started, [], True))


def test_whoever_says_much_has_no_more_kept_than_others():
    words = CellWords()
    for number in range(3 * KEPT_MAX):
        words.of(Packet(sealed(f"s{number}"), [], True))
    assert len(words._known) <= KEPT_MAX


@pytest.mark.parametrize("body", [sealed("seccomp"), WORKED + bytes(WAITED_BYTES)])
def test_descriptors_that_nobody_wants_are_refused_and_closed(body):
    words = CellWords()
    words.of(Packet(body, [], True))
    descriptor = os.memfd_create("unwanted")
    with pytest.raises(BadMessage):
        words.of(Packet(body, [descriptor], True))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_was_cut_is_refused_even_if_it_was_said_whole_before():
    words = CellWords()
    words.of(Packet(sealed("seccomp"), [], True))
    with pytest.raises(BadMessage):
        words.of(Packet(sealed("seccomp"), [], False))


def test_each_word_is_understood():
    words = CellWords()
    assert words.of(Packet(encode("started", Started()), [], True)) == Started()
    how = words.of(Packet(WORKED + bytes(WAITED_BYTES), [], True))
    assert how == Worked(0, 0.0, 0.0, 0, 0, 0)


@given(st.lists(st.none() | st.floats(0, 1e9)))
def test_the_soonest_is_the_least_of_those_that_are_there(times):
    assert soonest(*times) == min((one for one in times if one is not None), default=None)
