"""Strangers: who gives way to whom, and how often that is told."""

from __future__ import annotations

from runink.wire.strangers import TOLD_S, Seldom, Strangers, address_of


class Hall:
    def __init__(self, **limits: int) -> None:
        self.turned_away: list[str] = []
        self.told: list[tuple[int, str]] = []
        self.strangers = Strangers(lambda *one: self.told.append(one), **limits)

    def came(self, name: str, host: str, now: float = 0.0):
        return self.strangers.came(host, lambda: self.turned_away.append(name), now=now)


def test_the_oldest_of_an_address_gives_way_to_its_newest():
    hall = Hall(of_address=2)
    for name in "abcd":
        hall.came(name, "10.0.0.1")
    assert hall.turned_away == ["a", "b"]
    assert len(hall.strangers) == 2


def test_a_crowd_takes_no_place_of_another_address():
    hall = Hall(of_address=2, most=4)
    hall.came("good", "10.0.0.2")
    for number in range(20):
        hall.came(f"bad {number}", "10.0.0.1")
    assert "good" not in hall.turned_away


def test_of_many_addresses_the_one_with_most_gives_way():
    hall = Hall(of_address=3, most=4)
    for name, host in [("a", "1.1.1.1"), ("b", "2.2.2.2"), ("c", "2.2.2.2"), ("d", "3.3.3.3")]:
        hall.came(name, host)
    hall.came("e", "4.4.4.4")
    assert hall.turned_away == ["b"]


def test_who_has_said_hello_or_gone_counts_no_more():
    hall = Hall(of_address=1)
    for name in "abc":
        one = hall.came(name, "10.0.0.1")
        hall.strangers.left(one)
        hall.strangers.left(one)
    assert hall.turned_away == []
    assert len(hall.strangers) == 0


def test_what_is_turned_away_is_told_seldom_and_counted():
    hall = Hall(of_address=1)
    for number in range(6):
        hall.came(str(number), "10.0.0.1", now=float(number))
    hall.came("later", "10.0.0.1", now=1 + TOLD_S)
    assert hall.told == [(1, "10.0.0.1"), (5, "10.0.0.1")]


def test_so_many_lines_are_told_in_a_while():
    seldom = Seldom(lines=2)
    assert [seldom.count(now) for now in (0, 1, 2, 3, TOLD_S)] == [1, 1, 0, 0, 3]


def test_neighbours_of_a_household_are_one_address():
    assert address_of("2001:db8::1") == address_of("2001:db8::2:1") == "2001:db8::/64"
    assert address_of("fe80::1%eth0") == "fe80::/64"
    assert address_of("::ffff:10.0.0.1") == address_of("10.0.0.1") == "10.0.0.1"
    assert address_of("") == ""
