"""Operations on what a run's slices print."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.identity.vocabulary import Resource, Verb
from runink.observe.slice_logs import Stream
from runink.operations.answers import Kind
from runink.operations.declarations import AskedEvents, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, PartText, RunText

Attempt = Annotated[int, msgspec.Meta(ge=1, le=1_000_000, description="Only this one, from 1.")]


class ListLogs(AskedPage, frozen=True):
    """Lines, slice by slice and attempt by attempt; `step` stands for the slice that does it. `at_ms` says what came before what."""

    herd: HerdText
    run: RunText
    slice: PartText | None = None
    step: PartText | None = None
    attempt: Attempt | None = None


class FollowLogs(AskedEvents, frozen=True, kw_only=True):
    herd: HerdText
    run: RunText
    slice: PartText | None = None
    step: PartText | None = None
    attempt: Attempt | None = None
    since: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=(1 << 63) - 1,
            description="Only lines from this time on (milliseconds of the Unix epoch); 0: all of them.",
        ),
    ] = 0


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line. It ends at `offset` bytes in the log of its attempt, by which it is known from all others.

    `stream` is stdout, stderr, or runink for a word of ours; `code` is `node_away` where that is about lines that cannot be read now.
    """

    herd: str
    run: str
    slice: str
    attempt: int
    node: str | None
    at_ms: int
    stream: Stream
    text: str
    offset: int
    code: str | None = None


LIST: Final = Operation(
    name="logs.list",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/logs",
    request=ListLogs,
    answer=LogLine,
    kind=Kind.PAGE,
    verb=Verb.GET,
    resource=Resource.LOGS,
    summary="Read what a run's slices have printed.",
)
FOLLOW: Final = Operation(
    name="logs.follow",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/logs/events",
    request=FollowLogs,
    answer=LogLine,
    kind=Kind.EVENTS,
    verb=Verb.WATCH,
    resource=Resource.LOGS,
    summary="Be told what a run's slices print, up to its end.",
    description="Events are `line`; the stream ends with the run. An id is a time: all before it is told. Who comes back with it may be told lines again of the seconds behind it; slice, attempt and offset tell which.",
)
LOGS: Final = (LIST, FOLLOW)
