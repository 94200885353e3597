"""Rows are a list of which the beginning is dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from runink.barn.rows import BLOCK_ITEMS, Rows

counts = st.integers(0, 2 * BLOCK_ITEMS + 3)


@given(st.lists(st.tuples(counts, counts), max_size=8), st.floats(0, 1))
def test_rows_are_a_list_of_which_the_beginning_is_dropped(steps, part: float) -> None:
    rows: Rows[int] = Rows()
    model: list[int] = []
    for added, dropped in steps:
        for number in range(added):
            rows.append(number)
            model.append(number)
        gone = min(dropped, len(model))
        rows.drop(gone)
        del model[:gone]
        assert len(rows) == len(model)
        place = int(part * len(model))
        assert rows.behind(place) == model[place:]
        for at in {0, place, len(model) - 1} if model else ():
            if at < len(model):
                assert rows[at] == model[at]
