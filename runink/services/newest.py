"""Lists of what goes by ids that sort by time, the newest first, part by part, all of one revision. When there is a next page is said in `pages.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runink.barn.commands import Range
from runink.barn.keyvalue import Span
from runink.clients.barn import BarnClient, Found, decode_value
from runink.clients.barn_requests import Select
from runink.operations.answers import Items
from runink.operations.calls import Position
from runink.services.pages import READ_MIN, READS_MAX

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
            span.start, end, revision=revision, limit=max(limit + 1, READ_MIN), descending=True
        )
        pages = await barn.ask(Select((query,)))
        page = pages.pages[0]
        revision = revision or pages.revision
        for item in page.items:
            found = decode_value(item, kind)
            if not show(found):
                continue
            if len(shown) == limit:
                return Items(tuple(shown), revision, shown[-1].key)
            shown.append(found)
        if not page.more:
            return Items(tuple(shown), revision)
        end = page.items[-1].key
    return Items(tuple(shown), revision, shown[-1].key if len(shown) == limit else end)
