"""Lists of what the Barn holds, part by part, all of one revision.

There is a next page only where there is more to show: what the caller may not see is not told of by a page that is short, or by an empty one at the end.  To find that out has a
limit: READS_MAX reads of READ_MIN keys or more.  Where as much in a row is not shown, the page is short and has a next one, whose cursor nobody can read (`operations/cursors.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from runink.barn.keyvalue import Span, key_prefix
from runink.clients.barn import BarnClient, Found, decode_value
from runink.operations.answers import Items
from runink.operations.calls import Position

READS_MAX: Final = 10  # of one page, where most of what is there is not shown
READ_MIN: Final = 100  # keys of one read, however few are asked for

T = TypeVar("T")
D = TypeVar("D")


async def page_of_keys(
    barn: BarnClient,
    prefix: str,
    kind: type[T],
    *,
    limit: int,
    position: Position | None,
    show: Callable[[Found[T]], D | None],
) -> Items[D]:
    """Return the next part of a list: keys that begin with `prefix`, in their order, without those that `show` returns nothing of.

    Raises Refused (`compacted`) where the list began too long ago.
    """
    span = key_prefix(prefix)
    start = position.after + "\0" if position else span.start
    revision = position.revision if position else 0
    shown: list[D] = []
    last = ""
    for _ in range(READS_MAX):
        read_max = max(limit + 1, READ_MIN)
        pages = await barn.read(Span(start, span.end), limit=read_max, revision=revision)
        page = pages.pages[0]
        revision = revision or pages.revision
        for item in page.items:
            document = show(decode_value(item, kind))
            if document is None:
                continue
            if len(shown) == limit:
                return Items(tuple(shown), revision, last)
            shown.append(document)
            last = item.key
        if not page.more:
            return Items(tuple(shown), revision)
        start = page.items[-1].key + "\0"
    return Items(tuple(shown), revision, last if len(shown) == limit else start.removesuffix("\0"))


def page_of_values(
    values: Iterable[tuple[str, D]], *, limit: int, position: Position | None, revision: int
) -> Items[D]:
    """Return the next part of a list that is in memory: values with what they go by, in that order. It is as of now: what came in between is passed over or shown."""
    after = position.after if position else ""
    rest: list[Any] = [(key, value) for key, value in values if key > after]
    part = rest[:limit]
    return Items(
        tuple(value for _, value in part), revision, part[-1][0] if len(rest) > limit else ""
    )
