"""The ordered map is a sorted dict, and a view of it never changes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.barn import ordered
from runink.barn.keyvalue import KeyValue, Span
from runink.barn.ordered import OrderedMap

numbers = st.integers(0, 60)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), numbers, st.integers(0, 9)),
        st.tuples(st.just("pop"), numbers, st.just(0)),
        st.tuples(st.just("pop_span"), numbers, numbers),
        st.tuples(st.just("freeze"), st.just(0), st.just(0)),
    ),
    max_size=120,
)


def item(number: int, value: int) -> KeyValue:
    return KeyValue(f"{number:02}", bytes([value]), 1, 1, 1)


def span(begin: int, end: int) -> Span:
    return Span(f"{begin:02}", f"{end:02}" if end else "")


def within(model: dict[str, KeyValue], where: Span) -> list[KeyValue]:
    return [
        model[key]
        for key in sorted(model)
        if where.start <= key and (not where.end or key < where.end)
    ]


@settings(max_examples=300)
@given(steps, numbers, numbers)
def test_an_ordered_map_is_a_sorted_dict(script, begin: int, end: int) -> None:
    chunk_items, merged_items = ordered.CHUNK_ITEMS, ordered.MERGED_ITEMS
    ordered.CHUNK_ITEMS, ordered.MERGED_ITEMS = 4, 2
    try:
        check(script, span(begin, end))
    finally:
        ordered.CHUNK_ITEMS, ordered.MERGED_ITEMS = chunk_items, merged_items


def check(script, where: Span) -> None:
    model: dict[str, KeyValue] = {}
    tested: OrderedMap[KeyValue] = OrderedMap()
    views = []
    for what, number, other in script:
        if what == "set":
            one = item(number, other)
            assert tested.set(one) == model.get(one.key)
            model[one.key] = one
        elif what == "pop":
            assert tested.pop(f"{number:02}") == model.pop(f"{number:02}", None)
        elif what == "pop_span":
            gone = within(model, span(number, other))
            assert tested.pop_span(span(number, other)) == gone
            for one in gone:
                del model[one.key]
        else:
            views.append((tested.freeze(), [model[key] for key in sorted(model)]))
        assert list(tested) == [model[key] for key in sorted(model)]
        assert len(tested) == len(model)
    expected = within(model, where)
    assert list(tested.walk(where)) == expected
    assert list(tested.walk(where, descending=True)) == expected[::-1]
    assert tested.count(where) == len(expected)
    for most in (0, 2, 20):
        assert (tested.count(where, most=most) > most) == (len(expected) > most)
    assert [tested.get(f"{number:02}") for number in range(61)] == [
        model.get(f"{number:02}") for number in range(61)
    ]
    for view, was in views:
        assert list(view) == was
        assert len(view) == len(was)
    again = OrderedMap.of_sorted(list(tested))
    assert list(again.walk(where)) == expected
