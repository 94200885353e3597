"""Who is woken is whoever waits for a prefix of a changed key, however watches come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from runink.barn.keyvalue import Change
from runink.barn.watches import Watches
from runink.barn.watching import Interest

texts = st.text("ab/", max_size=4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(texts, max_size=3)),
        st.tuples(st.just("remove"), st.integers(0, 12)),
        st.tuples(st.just("take"), st.lists(texts, max_size=3)),
    ),
    max_size=25,
)


@given(steps)
def test_watches_wake_as_a_look_at_every_prefix_would(script) -> None:
    watches, waiting = Watches(), {}
    for number, (what, given_) in enumerate(script):
        if what == "add":
            waiting[number] = tuple(given_)
            watches.add(number, Interest(tuple(given_)))
        elif what == "remove":
            waiting.pop(given_, None)
            watches.remove(given_)
        else:
            woken = [n for n, those in waiting.items() if any(k.startswith(those) for k in given_)]
            due = watches.take([Change(1, key, None) for key in given_])
            assert sorted(watch for one in due for watch in one.watches) == woken
            for watch in woken:
                del waiting[watch]
        assert len(watches) == len(waiting)
