"""What an agent is launching, by gang and by placement."""

from __future__ import annotations

from runink.actors.launching import Launching
from runink.actors.under_way import UnderWay
from runink.names import RunId

FIRST = (RunId("r"), "g", 1)
SECOND = (RunId("r"), "g", 2)


def launching(*keys: str) -> Launching:
    return Launching(frozenset(keys))


def test_a_placement_is_taken_back_from_every_attempt_that_is_being_launched_for_it() -> None:
    under_way = UnderWay()
    first, second, other = launching("a", "b"), launching("a"), launching("c")
    under_way.begin(FIRST, first)
    under_way.begin(SECOND, second)
    under_way.begin((RunId("r"), "other", 1), other)
    under_way.take_back("a")
    under_way.take_back("unknown")
    assert [one.unwanted for one in (first, second, other)] == [{"a"}, {"a"}, set()]
    assert first.taken_back.is_set()
    assert not other.taken_back.is_set()


def test_a_launch_that_is_over_is_forgotten_and_another_of_the_same_placements_is_not() -> None:
    under_way = UnderWay()
    first, second = launching("a", "b"), launching("a")
    under_way.begin(FIRST, first)
    under_way.begin(SECOND, second)
    under_way.end(FIRST)
    assert FIRST not in under_way
    assert SECOND in under_way
    assert list(under_way.keys()) == ["a"]
    under_way.take_back("a")
    under_way.take_back("b")
    assert (first.unwanted, second.unwanted) == (set(), {"a"})
    under_way.end(SECOND)
    assert not under_way
    assert not list(under_way.keys())
