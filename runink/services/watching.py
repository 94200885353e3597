"""Streams of changes: what the Barn tells of some keys, as events with revisions, so that who comes back goes on where he was.

    an event                                            has as its id
    the last one of a revision                          that revision
    one before it                                       the revision before: who comes back with it is told all of the revision again
    nothing that is told has happened up to a revision  that revision (a bookmark)

So nothing is ever passed over, and told twice is only a revision in the middle of which the stream was cut; what is told carries the revision of its change.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from runink.barn.keyvalue import Change, one_key
from runink.barn.watching import Interest
from runink.clients.barn import BarnClient
from runink.operations.answers import Bookmark, Event

_ANY_KEY: Final = one_key("/herds/")  # holds nothing, and is read for its revision only

Stream = AsyncGenerator[Event | Bookmark, None]


class Said(NamedTuple):
    """What is told of a change: the kind of the event, and its data."""

    kind: str
    data: Any


# What is told of some changes of one revision, or a word that the stream is over.
Tell = Callable[[Sequence[Change]], Awaitable[Iterable[Said]]]


async def beginning(barn: BarnClient, since: int) -> int:
    """Return the revision that a stream goes on behind: `since`, or now (0). Raises Refused (`compacted`, `future_revision`)."""
    pages = await barn.read(_ANY_KEY, revision=since)
    return since or pages.revision


async def told_changes(
    barn: BarnClient,
    interest: Interest,
    after: int,
    tell: Tell,
    *,
    is_over: Callable[[], bool] = lambda: False,
) -> Stream:
    """Yield what `tell` makes of each change behind a revision, whole revisions at a time, until `is_over` says so behind one. Raises Refused (`compacted`)."""
    parts: list[Change] = []
    async with aclosing(barn.polls(interest, after)) as answers:
        async for watched in answers:
            parts += watched.changes
            if watched.part:
                continue  # a revision that is not told whole yet
            last = after
            for revision, changes in groupby(parts, key=attrgetter("revision")):
                for event in events_of(revision, await tell(list(changes))):
                    yield event
                    last = revision
                if is_over():
                    return
            parts = []
            if last == after:
                yield Bookmark(watched.revision)
            after = watched.revision


def events_of(revision: int, said: Iterable[Said]) -> list[Event]:
    """Return the events of one revision."""
    found = list(said)
    ids = [revision - 1] * (len(found) - 1) + [revision]
    return [Event(at, one.kind, one.data) for at, one in zip(ids, found, strict=False)]
