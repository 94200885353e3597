"""Operations on the parts of a run: its slices, where they are, and why."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, PartText, RunText
from runink.runs.records import SliceState, Task
from runink.scheduling.answers import Difference, GangAnswer

CHANGES_MAX: Final = 20  # of one question, as `scheduling/what_if.py` has it


class ListSlices(AskedPage, frozen=True):
    herd: HerdText
    run: RunText
    state: Annotated[
        tuple[SliceState, ...],
        msgspec.Meta(max_length=len(SliceState), description="Only in these."),
    ] = ()


class GetSlice(Asked, frozen=True):
    herd: HerdText
    run: RunText
    slice: PartText


class ListPlacements(AskedPage, frozen=True):
    herd: HerdText
    run: RunText


class Why(Asked, frozen=True):
    """`if` says what is to be taken for so, as "priority 7" or "drain w1": then it is told what would be decided."""

    herd: HerdText
    run: RunText
    slice: PartText | None = None
    changes: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=1000)], ...],
        msgspec.Meta(max_length=CHANGES_MAX),
    ] = msgspec.field(default=(), name="if")


class Earlier(msgspec.Struct, frozen=True):
    """An attempt before the latest, and where it was. `fault` is `lost` or `failed`, empty for one that was stopped for no fault of its own."""

    attempt: int
    node: str
    fault: str


class SliceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A slice in a line. `gang` are the slices that run together, `task` what it is for. `sealed` is what closes it off, `tries` what came of the attempts before. `error` is the code of its failure, `exit` how its process ended, `used` what one that runs has used so far."""

    slice: str
    run: str
    gang: str
    task: Task
    state: SliceState
    attempt: int
    node: str | None
    waits_for: str
    launched_ms: int
    ended_ms: int
    isolation: str | None
    sealed: dict[str, str]
    tries: dict[str, Any]
    exit: dict[str, Any] | None
    used: dict[str, Any] | None
    error: str | None
    revision: int


class SliceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a slice, at its latest attempt. Sizes are bytes, times seconds or milliseconds of the Unix epoch (`_ms`).

    `tries` say what came of the attempts before, `limits` what its pipeline holds it to, `sealed` what closes it off, `shown` what it could see of its machine,
    `exit` how its process ended, `used` what one that runs has used so far, `printed` how much of its log was kept.
    """

    slice: str
    run: str
    herd: str
    gang: str
    task: Task
    state: SliceState
    attempt: int
    not_before_ms: int
    waits_for: str
    tries: dict[str, Any]
    earlier: tuple[Earlier, ...]
    trace_id: str
    span_id: str
    node: str | None
    pid: int
    launched_ms: int
    ended_ms: int
    resources: dict[str, Any]
    limits: dict[str, Any]
    herd_limits: dict[str, int]
    limits_met: tuple[str, ...]
    sealed: dict[str, str]
    shown: dict[str, str]
    exit: dict[str, Any] | None
    used: dict[str, Any] | None
    printed: dict[str, Any]
    error: str | None
    taken_from: str | None
    decision: int
    revision: int


class PlacedSlice(msgspec.Struct, frozen=True):
    """Where a slice is: nothing as `node` while it has none. `decision` is the revision on which that was decided, `waits_for` why it was not yet."""

    slice: str
    gang: str
    state: SliceState
    attempt: int
    node: str | None
    decision: int
    priority: int
    waiting_since_ms: int
    placed_ms: int
    waits_for: str
    revision: int


class WhyDocument(msgspec.Struct, frozen=True):
    """Why the gangs of a run wait or are where they are. Runs of other herds have no names here."""

    run: str
    herd: str
    state: str
    waits_for: str
    nodes: int
    gangs: tuple[GangAnswer, ...]
    differences: tuple[Difference, ...]
    revision: int
    if_: tuple[str, ...] = msgspec.field(default=(), name="if")


LIST: Final = Operation(
    name="slices.list",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/slices",
    request=ListSlices,
    answer=SliceSummary,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.SLICES,
    summary="List a run's slices.",
)
GET: Final = Operation(
    name="slices.get",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/slices/{slice}",
    request=GetSlice,
    answer=SliceDocument,
    verb=Verb.GET,
    resource=Resource.SLICES,
    subject="run/slice",
    summary="Read all that is known of a slice.",
)
PLACEMENTS: Final = Operation(
    name="placements.list",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/placements",
    request=ListPlacements,
    answer=PlacedSlice,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.PLACEMENTS,
    summary="Say where a run's slices are.",
)
WHY: Final = Operation(
    name="placements.why",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/why",
    request=Why,
    answer=WhyDocument,
    verb=Verb.GET,
    resource=Resource.PLACEMENTS,
    errors=("compacted",),
    summary="Say why a run waits, or why its slices are where they are.",
)
SLICES: Final = (LIST, GET, PLACEMENTS, WHY)
