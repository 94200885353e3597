"""Why units wait is told once, not too often, and of not too many at a time."""

from __future__ import annotations

from runink.names import RunId
from runink.placement.demands import Unit, UnitKey
from runink.placement.plans import Plan, Unplaced
from runink.scheduling.telling import TOLD_AGAIN_MS, TOLD_MAX, Telling
from slice_tables import HERD

AT_MS = 10_000


def plan(*texts: str, is_final: bool = False) -> Plan:
    units = [Unit(RunId("r"), f"g{number}", HERD, ()) for number in range(len(texts))]
    return Plan(
        unplaced=tuple(
            Unplaced(unit, (), text, is_final) for unit, text in zip(units, texts, strict=True)
        )
    )


def nothing(key: UnitKey) -> str:
    return ""


def test_what_says_nothing_yet_is_told_at_once_and_once() -> None:
    telling = Telling()
    assert telling.news(plan("full"), now_ms=AT_MS, said=nothing).units == {("r", "g0")}
    news = telling.news(plan("full", "full"), now_ms=AT_MS, said=nothing)
    assert (news.units, news.are_more) == ({("r", "g1")}, False)
    assert telling.news(plan("full", "full"), now_ms=AT_MS + 9999, said=nothing).units == set()


def test_what_says_something_else_is_told_after_a_while() -> None:
    telling = Telling()
    telling.news(plan("full"), now_ms=AT_MS, said=nothing)
    news = telling.news(plan("fuller"), now_ms=AT_MS + TOLD_AGAIN_MS - 1, said=nothing)
    assert (news.units, news.are_more) == (set(), True)
    news = telling.news(plan("fuller"), now_ms=AT_MS + TOLD_AGAIN_MS, said=nothing)
    assert (news.units, news.are_more) == ({("r", "g0")}, False)


def test_who_comes_next_reads_what_the_slices_say() -> None:
    news = Telling().news(plan("full"), now_ms=AT_MS, said=lambda _: "full")
    assert (news.units, news.are_more) == (set(), False)


def test_so_many_are_told_of_one_plan_and_the_rest_of_the_next() -> None:
    telling = Telling()
    many = plan(*["full"] * (TOLD_MAX + 3))
    news = telling.news(many, now_ms=AT_MS, said=nothing)
    assert (len(news.units), news.are_more) == (TOLD_MAX, True)
    news = telling.news(many, now_ms=AT_MS, said=nothing)
    assert (len(news.units), news.are_more) == (3, False)


def test_what_never_fits_is_told_though_it_says_so_already() -> None:
    final = plan("too small", is_final=True)
    assert Telling().news(final, now_ms=AT_MS, said=lambda _: "too small").units


def test_what_may_not_have_come_through_is_looked_up_again() -> None:
    telling = Telling()
    telling.news(plan("full"), now_ms=AT_MS, said=nothing)
    telling.forget()
    later = telling.news(plan("full"), now_ms=AT_MS + TOLD_AGAIN_MS, said=nothing)
    assert later.units == {("r", "g0")}


def test_what_has_left_the_queue_is_forgotten() -> None:
    telling = Telling()
    telling.news(plan("full"), now_ms=AT_MS, said=nothing)
    telling.news(plan(), now_ms=AT_MS, said=nothing)
    assert telling.news(plan("full"), now_ms=AT_MS, said=nothing).units == {("r", "g0")}
