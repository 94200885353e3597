"""Which homes a fork server keeps, who gets them, and when it leaves them. The files of /proc are files of the test's own."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.sandbox import homes
from runink.sandbox.homes import HOMES_MAX, IDLE_S, KEPT, LOOK_S, USES_MAX, Homes

NOTHING = {
    "sockstat": "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 1 mem 102\n",
    "dev": "    lo:       0       0\n",
}


class Street:
    """Homes whose files are in a folder, a folder for each."""

    def __init__(self, folder):
        self.homes = Homes()
        self._folder = folder
        self._folders = {}
        self._pids = itertools.count(1000)

    def cell(self, herd=1):
        """Have a cell move in where there is room, else into a new home. Return its home and its number."""
        pid = next(self._pids)
        home = self.homes.empty(herd)
        if home is None:
            home = self.homes.take_up(herd, self._made(pid))
            self._folders[home] = self._folder / str(pid)
        if home is not None:
            self.homes.moved_in(home, pid)
        return home, pid

    def say(self, home, name, text):
        (self._folders[home] / name).write_text(text)

    def is_kept(self, home):
        """Say whether anything of the home is open."""
        return any(one.parent == self._folders[home] for one in opened())

    def end(self):
        """Have all cells end, and all homes be left."""
        for pid in range(1000, next(self._pids)):
            self.homes.ended(pid, now_s=0)
        self.homes.leave_idle(now_s=1e9)
        assert len(self.homes) == 0

    def _made(self, number):
        folder = self._folder / str(number)
        folder.mkdir()
        for name in KEPT:
            path = folder / name.rpartition("/")[2]
            path.write_text(NOTHING.get(path.name, ""))
            yield os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def opened(folder=Path("/")):
    """Return what this process has open beneath a folder."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of this listing
            found.append(path.readlink())
    return [one for one in found if one.is_relative_to(folder)]


@pytest.fixture
def street(tmp_path):
    found = Street(tmp_path)
    yield found
    found.end()


def test_a_home_is_for_the_next_cell_of_its_herd_when_the_last_one_has_ended(street):
    home, pid = street.cell()
    assert street.homes.empty(1) is None
    street.homes.ended(pid, now_s=1)
    assert street.homes.empty(2) is None
    assert street.cell() == (home, pid + 1)


def test_that_which_was_lived_in_last_is_taken_first(street):
    (first, one), (second, two) = street.cell(), street.cell()
    street.homes.ended(two, now_s=1)
    street.homes.ended(one, now_s=2)
    assert street.homes.empty(1) is second
    assert first is not second


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sockstat", "sockets: used 1\n"),
        ("sockstat", "sockets: used 10\n"),
        ("dev", "    lo:     328       6\n"),
    ],
)
def test_a_home_with_traces_is_left(street, name, text):
    home, pid = street.cell()
    street.say(home, name, text)
    street.homes.ended(pid, now_s=1)
    assert street.homes.empty(1) is None
    assert not street.is_kept(home)
    assert len(street.homes) == 0


def test_what_the_machine_has_beside_is_no_trace(street):
    home, pid = street.cell()
    street.say(home, "sockstat", NOTHING["sockstat"].replace("mem 102", "mem 9999"))
    street.homes.ended(pid, now_s=1)
    assert street.homes.empty(1) is home


def test_a_home_is_left_when_it_was_used_often(street):
    home, pid = street.cell()
    for number in range(USES_MAX - 1):
        street.homes.ended(pid, now_s=1)
        assert street.is_kept(home), number
        found, pid = street.cell()
        assert found is home
    street.homes.ended(pid, now_s=1)
    assert not street.is_kept(home)


def test_a_home_is_left_when_nobody_lives_there_for_a_while(street):
    (idle, one), (used, _) = street.cell(), street.cell()
    street.homes.ended(one, now_s=5)
    street.homes.leave_idle(now_s=4 + IDLE_S)
    assert street.is_kept(idle)
    street.homes.leave_idle(now_s=4 + IDLE_S + LOOK_S)
    assert (street.is_kept(idle), street.is_kept(used)) == (False, True)


def test_no_more_are_kept_than_there_is_room_for_and_an_empty_one_gives_way(
    street, tmp_path, monkeypatch
):
    monkeypatch.setattr(homes, "HOMES_MAX", 2)
    (first, one), _ = street.cell(), street.cell()
    before = len(opened(tmp_path))
    assert street.cell()[0] is None, "that cell lives in a home that is not kept"
    assert len(opened(tmp_path)) == before
    street.homes.ended(one, now_s=1)
    home, _ = street.cell(2)
    assert home is not None
    assert not street.is_kept(first)
    assert len(street.homes) == 2


def test_a_home_that_cannot_be_kept_open_is_not_kept(street, tmp_path, monkeypatch):
    before = len(opened(tmp_path))
    monkeypatch.setattr(homes, "_FIRST", 1 << 30)  # as where there are no more descriptors
    assert street.cell()[0] is None
    assert len(street.homes) == 0
    assert len(opened(tmp_path)) == before


def test_of_what_could_not_be_opened_no_home_is_made(street):
    assert street.homes.take_up(1, []) is None


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from((1, 2)), st.booleans(), st.integers(0, 9)), max_size=60))
def test_whatever_comes_no_home_has_two_cells_or_cells_of_two_herds(tmp_path_factory, steps):
    street, living, lived, herds = Street(tmp_path_factory.mktemp("homes")), {}, [], {}
    for now_s, (herd, is_begun, which) in enumerate(steps):
        if is_begun or not lived:
            home, pid = street.cell(herd)
            assert id(home) not in map(id, living.values())
            assert herds.setdefault(id(home), herd) == herd
            living[pid] = home
            lived.append(pid)
        else:
            pid = lived.pop(which % len(lived))
            del living[pid]
            street.homes.ended(pid, now_s=now_s)
    assert len(street.homes) <= HOMES_MAX
    street.end()
