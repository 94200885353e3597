"""When pages are looked at, by a clock of the test's: a page is told as it is in the end, and no more is done for it than must be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from runink.lsp.looking import QUIET_S, Looking
from runink.lsp.project import Superseded

KEY_S = 0.1  # between two keys
JUDGING_S = 0.35  # longer than that


class Pages:
    """Pages as numbers that count their changes; what is done with them is noted with its time."""

    def __init__(self, *, is_long: bool) -> None:
        self.version = 0
        self.is_there = True
        self.done: list[tuple[str, int, float]] = []
        self._is_long = is_long

    def is_open(self, _: str) -> bool:
        return self.is_there

    def is_long(self, _: str) -> bool:
        return self._is_long

    async def read(self, _: str) -> None:
        self._note("read", self.version)

    async def judge(self, _: str, is_stale: Callable[[], bool]) -> None:
        version = self.version
        self._note("begun", version)
        for _part in range(5):
            await trio.sleep(JUDGING_S / 5)
            if is_stale():
                raise Superseded
        self._note("told", version)

    def of(self, what: str) -> list[int]:
        return [version for done, version, _ in self.done if done == what]

    def _note(self, what: str, version: int) -> None:
        self.done.append((what, version, round(trio.current_time(), 3)))


async def typed(pages: Pages, keys: int) -> Looking:
    """Type, and wait until all has been looked at."""
    looking = Looking(pages)
    async with trio.open_nursery() as nursery:
        for _ in range(keys):
            pages.version += 1
            nursery.start_soon(looking.look, "x")
            await trio.sleep(KEY_S)
    return looking


def run(pages: Pages, keys: int) -> None:
    trio.run(typed, pages, keys, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_short_page_is_judged_at_once_and_given_up_when_it_changes() -> None:
    pages = Pages(is_long=False)
    run(pages, 4)
    assert pages.of("read") == []
    assert pages.of("begun") == [1, 2, 3, 4]
    assert pages.of("told") == [4]


def test_a_long_page_is_read_at_each_key_and_judged_once_behind_the_last() -> None:
    pages = Pages(is_long=True)
    run(pages, 10)
    assert pages.of("read") == list(range(1, 11))
    assert pages.of("begun") == pages.of("told") == [10]
    begun = next(at for what, _, at in pages.done if what == "begun")
    last = max(at for what, _, at in pages.done if what == "read")
    assert begun == pytest.approx(last + QUIET_S)


def test_many_changes_during_one_look_are_one_more_look() -> None:
    class Slow(Pages):
        async def read(self, uri: str) -> None:
            await super().read(uri)
            await trio.sleep(1)

    pages = Slow(is_long=True)
    run(pages, 10)
    assert pages.of("read") == [1, 10]
    assert pages.of("told") == [10]


def test_a_page_that_is_closed_is_not_looked_at_again() -> None:
    async def close() -> None:
        looking = Looking(pages)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(looking.look, "x")
            await trio.sleep(KEY_S)
            pages.is_there = False
            nursery.start_soon(looking.look, "x")

    pages = Pages(is_long=False)
    trio.run(close, clock=trio.testing.MockClock(autojump_threshold=0))
    assert pages.of("begun") == [0]


def test_who_needs_all_waits_until_the_page_has_been_seen() -> None:
    async def ask() -> None:
        looking = Looking(pages)
        await looking.seen("x")  # nobody looks
        async with trio.open_nursery() as nursery:
            nursery.start_soon(looking.look, "x")
            await trio.sleep(KEY_S)
            await looking.seen("x")
            assert pages.of("told") == [0]

    pages = Pages(is_long=True)
    trio.run(ask, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_look_that_fails_leaves_no_page_behind_that_is_never_looked_at() -> None:
    class Broken(Pages):
        async def judge(self, uri: str, is_stale: Callable[[], bool]) -> None:
            self._note("begun", self.version)
            raise RuntimeError(uri)

    async def fail() -> None:
        looking = Looking(pages)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await looking.look("x")
        await looking.seen("x")

    pages = Broken(is_long=False)
    trio.run(fail, clock=trio.testing.MockClock(autojump_threshold=0))
    assert pages.of("begun") == [0, 0]
