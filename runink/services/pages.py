"""Lists of what the Barn holds, part by part, all of one revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from runink.barn.keyvalue import Span, key_prefix
from runink.clients.barn import BarnClient, Found, decode_value
from runink.operations.answers import Items
from runink.operations.calls import Position

READS_MAX: Final = 10  # of one page, where most of what is there is not shown: then it is short, and says that there is more

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
    for _ in range(READS_MAX):
        pages = await barn.read(Span(start, span.end), limit=limit, revision=revision)
        page = pages.pages[0]
        revision = revision or pages.revision
        for at, item in enumerate(page.items):
            document = show(decode_value(item, kind))
            if document is not None:
                shown.append(document)
            is_last = not page.more and at + 1 == len(page.items)
            if len(shown) == limit and not is_last:
                return Items(tuple(shown), revision, item.key)
        if not page.more:
            return Items(tuple(shown), revision)
        start = page.items[-1].key + "\0"
    return Items(tuple(shown), revision, start.removesuffix("\0"))


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
