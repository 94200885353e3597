"""The client puts together what came in parts: pages of a read, and a revision that was too large for an answer."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import anyio.lowlevel
import pytest
from runink.barn.commands import By, Range
from runink.barn.history import Watched
from runink.barn.keyvalue import Change, KeyValue, Page, Span
from runink.barn.watching import Interest
from runink.clients.barn import BarnClient
from runink.clients.barn_admin import BarnAdmin
from runink.clients.barn_requests import Backup, BackupPart, Pages
from runink.errors import LinkLost

pytestmark = pytest.mark.trio


class Scripted:
    address = "barn"

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.asked: list[Any] = []

    async def ask(self, request: Any, *, within: float) -> Any:
        await anyio.lowlevel.checkpoint()
        self.asked.append(request)
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def page(*keys: str, more: bool = False, count: int = 9) -> Page:
    return Page(tuple(KeyValue(key, b"", 1, 1, 1) for key in keys), 7, count, more)


def gone(revision: int, key: str) -> Change:
    return Change(revision, key, None)


async def test_a_read_goes_on_behind_the_last_key_at_the_revision_of_the_first_page() -> None:
    barn = Scripted(
        Pages((page("/a", "/b", more=True), page("/x")), 7),
        Pages((page("/c", more=True),), 9),
        Pages((page("/d"),), 9),
    )
    pages = await BarnClient(barn).read(Span("/a", "/e"), Span("/x", ""))
    assert [[item.key for item in one.items] for one in pages.pages] == [
        ["/a", "/b", "/c", "/d"],
        ["/x"],
    ]
    assert pages.revision == 7
    assert [(one.spans, one.revision) for one in barn.asked[1:]] == [
        ((Span("/b\0", "/e"),), 7),
        ((Span("/c\0", "/e"),), 7),
    ]


async def test_a_read_with_a_limit_asks_for_what_is_left_of_it() -> None:
    barn = Scripted(Pages((page("/a", "/b", more=True),), 7), Pages((page("/c", more=True),), 7))
    pages = await BarnClient(barn).read(Span("/a", ""), limit=3)
    assert [item.key for item in pages.pages[0].items] == ["/a", "/b", "/c"]
    assert pages.pages[0].more
    assert barn.asked[1].limit == 1


async def test_a_first_page_without_room_is_asked_for_again_from_its_beginning() -> None:
    barn = Scripted(Pages((page("/a"), page(more=True)), 7), Pages((page("/x"),), 7))
    pages = await BarnClient(barn).read(Span("/a", "/b"), Span("/x", ""))
    assert [item.key for item in pages.pages[1].items] == ["/x"]
    assert barn.asked[1].spans == (Span("/x", ""),)


async def test_parts_of_a_revision_are_one_to_who_watches() -> None:
    barn = Scripted(
        Watched((gone(1, "/a"),), 1),
        Watched((gone(2, "/a"), gone(2, "/b")), 1, part=2),
        LinkLost("the link broke"),
        Watched((gone(2, "/c"),), 1, part=3),
        Watched((gone(2, "/d"),), 2),
    )
    told = []
    async with aclosing(BarnClient(barn).watch("/", after_revision=0)) as changes:
        async for watched in changes:
            told.append(([change.key for change in watched.changes], watched.revision))
            if len(told) == 2:
                break
    assert told == [(["/a"], 1), (["/a", "/b", "/c", "/d"], 2)]
    assert [(one.after_revision, one.part) for one in barn.asked] == [
        (0, 0),
        (1, 0),
        (1, 2),
        (1, 2),
        (1, 3),
    ]


async def test_who_asks_for_parts_and_progress_is_told_them() -> None:
    barn = Scripted(Watched((), 5), Watched((gone(6, "/a"),), 5, part=1))
    told = []
    async with aclosing(BarnClient(barn).polls(Interest(("/",)), 0)) as answers:
        async for watched in answers:
            told.append((watched.revision, watched.part))
            if len(told) == 2:
                break
    assert told == [(5, 0), (5, 1)]


async def test_pages_from_the_end_go_on_before_the_last_key() -> None:
    barn = Scripted(Pages((page("/d", "/c", more=True),), 7), Pages((page("/b"),), 7))
    query = Range("/a", "/e", descending=True)
    async with aclosing(BarnAdmin(BarnClient(barn)).pages(query)) as pages:
        keys = [item.key async for one in pages for item in one.items]
    assert keys == ["/d", "/c", "/b"]
    assert barn.asked[1].queries == (Range("/a", "/c", revision=7, descending=True),)


async def test_a_sorted_query_has_one_page() -> None:
    barn = Scripted(Pages((page("/d", more=True),), 7))
    async with aclosing(BarnAdmin(BarnClient(barn)).pages(Range("/", "", by=By.VALUE))) as pages:
        assert [one.more async for one in pages] == [True]


async def test_a_backup_is_asked_for_part_by_part() -> None:
    barn = Scripted(BackupPart(4, 0, b"a", is_last=False), BackupPart(4, 1, b"b", is_last=True))
    async with aclosing(BarnAdmin(BarnClient(barn)).backup()) as backup:
        assert [part async for part in backup] == [b"a", b"b"]
    assert barn.asked == [Backup(0, 0), Backup(4, 1)]
