"""Lists of what goes by ids that sort by time, the newest first, part by part, all of one revision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from runink.barn.commands import Range
from runink.barn.keyvalue import Span
from runink.clients.barn import BarnClient, Found, decode_value
from runink.clients.barn_requests import Select
from runink.operations.answers import Items
from runink.operations.calls import Position

READS_MAX: Final = 10  # of one page, where most of what is there is not shown: then it is short, and says that there is more
READ_MIN: Final = 100  # keys of one read, however few are asked for

T = TypeVar("T")


async def page_of_newest(
    barn: BarnClient,
    span: Span,
    kind: type[T],
    *,
    limit: int,
    position: Position | None,
    show: Callable[[Found[T]], bool],
) -> Items[Found[T]]:
    """Return the next part of a list: the keys of a span from its end on, without those that `show` says no to.

    Raises Refused (`compacted`) where the list began too long ago.
    """
    end = position.after if position else span.end
    revision = position.revision if position else 0
    shown: list[Found[T]] = []
    for _ in range(READS_MAX):
        query = Range(
            span.start, end, revision=revision, limit=max(limit, READ_MIN), descending=True
        )
        pages = await barn.ask(Select((query,)))
        page = pages.pages[0]
        revision = revision or pages.revision
        for at, item in enumerate(page.items):
            found = decode_value(item, kind)
            if show(found):
                shown.append(found)
            is_last = not page.more and at + 1 == len(page.items)
            if len(shown) == limit and not is_last:
                return Items(tuple(shown), revision, item.key)
        if not page.more:
            return Items(tuple(shown), revision)
        end = page.items[-1].key
    return Items(tuple(shown), revision, end)
