"""Operations that tell what happens to runs, as it happens."""

from __future__ import annotations

from enum import StrEnum
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


class Happening(StrEnum):
    """What an event is about."""

    RUN = "run"
    SLICE = "slice"
    PIPELINE = "pipeline"
    CONTRACT = "contract"
    SCHEDULE = "schedule"
    HERD = "herd"
    ROLE = "role"
    BINDING = "binding"


class WatchEvents(AskedEvents, frozen=True, kw_only=True):
    herd: HerdText
    kinds: Annotated[
        tuple[Happening, ...],
        msgspec.Meta(max_length=len(Happening), description="Tell of these only; all if none."),
    ] = ()


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
    """That a thing has come into a state. `before` is the one that it was in, empty if it is new.

    A run has its id as `run`, and a slice of it `slice` as well; all else has a `name`, a contract NAME@VERSION. `code` says why it failed.
    """

    run: str = ""
    slice: str = ""
    pipeline: str = ""
    name: str = ""
    state: str
    before: str
    attempt: int = 0
    node: str | None = None
    code: str | None = None
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
    description="That a run or a slice has come into another state, a pipeline is deployed or withdrawn, a contract is published, a schedule is active, paused or failing, and that the herd, a role or a binding of it is made, changed or gone. Those are told that the caller may read.",
)
RUN_EVENTS: Final = (WATCH, FOLLOW, EVENTS)
