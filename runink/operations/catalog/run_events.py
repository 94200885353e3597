"""Operations that tell what happens to runs, as it happens."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.catalog.runs import RunDocument, RunSummary
from runink.operations.catalog.slices import SliceSummary
from runink.operations.declarations import AskedEvents, Method, Operation
from runink.operations.patterns import HerdText, PipelineText, RunText


class WatchRuns(AskedEvents, frozen=True):
    """A list's `revision` is where a watch goes on from."""

    herd: HerdText
    pipeline: PipelineText | None = None


class FollowRun(AskedEvents, frozen=True, kw_only=True):
    herd: HerdText
    run: RunText
    since: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=(1 << 63) - 1,
            description="Tell what came behind this revision; 0: the run as it stands, and then what comes.",
        ),
    ] = 0


class WatchEvents(AskedEvents, frozen=True):
    herd: HerdText


class RunChange(msgspec.Struct, frozen=True):
    """A run that was changed in this revision, as it is `now`: nothing if it was forgotten."""

    run: str
    revision: int
    now: RunSummary | None


class RunStep(msgspec.Struct, frozen=True):
    """What a run has come to, or one of its slices: one of the two is there, unless the run was forgotten."""

    run: RunDocument | None
    slice: SliceSummary | None
    revision: int


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """That a run, or a slice of one, has come into a state. `before` is the one that it was in, empty if it is new. `code` says why it failed."""

    run: str
    slice: str
    pipeline: str
    state: str
    before: str
    attempt: int
    node: str | None
    code: str | None
    revision: int


WATCH: Final = Operation(
    name="runs.watch",
    method=Method.GET,
    path="/herds/{herd}/runs/events",
    request=WatchRuns,
    answer=RunChange,
    kind=Kind.EVENTS,
    verb=Verb.WATCH,
    resource=Resource.RUNS,
    summary="Be told of every change of a herd's runs.",
    description="Events are `run` and `gone`. Where one revision changes several runs, all but the last event have the id of the revision before: who comes back there is told all of it again.",
)
FOLLOW: Final = Operation(
    name="runs.follow",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/events",
    request=FollowRun,
    answer=RunStep,
    kind=Kind.EVENTS,
    verb=Verb.WATCH,
    resource=Resource.RUNS,
    summary="Follow one run to its end.",
    description="Events are `run`, `slice` and `gone`. The stream ends with the run: close it when its state is succeeded, failed or cancelled.",
)
EVENTS: Final = Operation(
    name="events.watch",
    method=Method.GET,
    path="/herds/{herd}/events",
    request=WatchEvents,
    answer=Happened,
    kind=Kind.EVENTS,
    verb=Verb.WATCH,
    resource=Resource.EVENTS,
    summary="Be told of what happens in a herd.",
    description="Events are `run` and `slice`: that one has come into another state. Those are told that the caller may read.",
)
RUN_EVENTS: Final = (WATCH, FOLLOW, EVENTS)
