"""Operations on runs: which there are, how they stand, and what may be done with them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, PartText, PipelineText, RunText, VersionText
from runink.runs.records import RunState
from runink.wants import PRIORITY_MAX

PARAMETERS_MAX: Final = 100
TIMEOUT_S_MAX: Final = 366 * 24 * 3600.0

ParameterName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
ParameterText = Annotated[str, msgspec.Meta(max_length=10_000)]
Moment = Annotated[int, msgspec.Meta(ge=0, lt=1 << 48, description="Milliseconds of the Unix epoch.")]  # fmt: skip


class ListRuns(AskedPage, frozen=True):
    """Runs, the newest first. Times are those in the runs' ids: of a run that a schedule made, its tick; of another, its submission."""

    herd: HerdText
    state: Annotated[
        tuple[RunState, ...], msgspec.Meta(max_length=len(RunState), description="Only in these.")
    ] = ()
    pipeline: PipelineText | None = None
    since_ms: Moment = 0  # from then on
    until_ms: Moment = (1 << 48) - 1  # before then


class OfRun(Asked, frozen=True):
    herd: HerdText
    run: RunText


class SubmitRun(Asked, frozen=True):
    """`version` is that of a published pipeline (1.2.0), or the hash of what is in force; without one, that is run, or else the highest one that has its code.

    `parameters` take the place of those that it has. A `rehearsal` publishes nothing, and is compared with its goldens.
    """

    herd: HerdText
    pipeline: PipelineText
    version: VersionText | None = None
    parameters: Annotated[
        dict[ParameterName, ParameterText], msgspec.Meta(max_length=PARAMETERS_MAX)
    ] = msgspec.field(default_factory=dict)
    priority: (
        Annotated[
            int,
            msgspec.Meta(ge=-PRIORITY_MAX, le=PRIORITY_MAX, description="More is sooner."),
        ]
        | None
    ) = None
    timeout_s: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=TIMEOUT_S_MAX, description="How long each slice may take; 0: for ever."
        ),
    ] = 0.0
    rehearsal: bool = False


class RetryRun(Asked, frozen=True):
    """`step` is the one from which all is done again, besides what had not succeeded."""

    herd: HerdText
    run: RunText
    step: PartText | None = None


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a line. `error` is the code of its failure. `seconds` is from its submission to its end, `tick_ms` what a schedule made it for.

    Until `kept_until_ms` another run may go on from it: `resumed_by` does, and it goes on from `resumes`, with all again from the step `restarted` if that is said.
    """

    run: str
    pipeline: str
    herd: str
    file: str
    state: RunState
    submitted_ms: int
    seconds: float
    tick_ms: int | None
    waits_for: str
    paused: bool
    error: str | None
    resumes: str | None
    restarted: str
    resumed_by: str | None
    kept_until_ms: int | None
    revision: int


class Failure(msgspec.Struct, frozen=True):
    """Why a run failed. `log_tail` are the last lines that the slice printed: for who may read logs."""

    code: str
    text: str
    hint: str
    slice: str
    step: str
    position: str
    traceback: tuple[str, ...]
    log_tail: tuple[str, ...]
    limits: tuple[str, ...]


class Output(msgspec.Struct, frozen=True):
    """What was published, with the SHA-256 of its bytes."""

    uri: str
    rows: int
    bytes: int
    sha256: str


class RunDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run but its parts. `version` is its pipeline's hash, `bundle` its code's. See RunSummary for what both have."""

    run: str
    pipeline: str
    herd: str
    file: str
    title: str
    version: str
    bundle: str
    state: RunState
    submitted_ms: int
    started_ms: int
    ended_ms: int
    deadline_ms: int
    seconds: float
    tick_ms: int | None
    waits_for: str
    paused: bool
    priority: int
    rehearsal: bool
    parameters: dict[str, str]
    outputs: tuple[Output, ...]
    error: Failure | None
    resumes: str | None
    restarted: str
    resumed_by: str | None
    kept_until_ms: int | None
    revision: int


class Drift(msgspec.Struct, frozen=True):
    """How many rows came to a check in a shape that departs from its contract, and in which way."""

    check: str
    column: str
    departure: str
    text: str
    rows: int
    origin: str
    leaves_contract: bool


class StepFigures(msgspec.Struct, frozen=True):
    """What a scenario did."""

    name: str
    rows_in: int
    rows_out: int
    rejected: int
    seconds: float
    drifts: tuple[Drift, ...]


class NodeProgress(msgspec.Struct, frozen=True):
    """How far a part of a slice is that runs."""

    node: str
    rows_in: int
    rows_out: int
    rejected: int


class Progress(msgspec.Struct, frozen=True):
    """How far a run is: its scenarios added up of slices that have ended, and the parts of those that run."""

    run: str
    state: RunState
    waits_for: str
    steps: tuple[StepFigures, ...]
    running: tuple[NodeProgress, ...]
    slices: dict[str, int]  # how many there are, by their states
    revision: int


def _one(name: str, verb: Verb, summary: str, **more: Any) -> Operation:
    """Return an operation that changes how one run stands."""
    return Operation(
        name=f"runs.{name}",
        method=Method.POST,
        path=f"/herds/{{herd}}/runs/{{run}}/{name}",
        answer=RunDocument,
        verb=verb,
        resource=Resource.RUNS,
        summary=summary,
        **{"request": OfRun, "errors": ("conflict",), **more},
    )


LIST: Final = Operation(
    name="runs.list",
    method=Method.GET,
    path="/herds/{herd}/runs",
    request=ListRuns,
    answer=RunSummary,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.RUNS,
    summary="List a herd's runs, the newest first.",
)
GET: Final = Operation(
    name="runs.get",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}",
    request=OfRun,
    answer=RunDocument,
    verb=Verb.GET,
    resource=Resource.RUNS,
    summary="Read a run.",
)
PROGRESS: Final = Operation(
    name="runs.progress",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/progress",
    request=OfRun,
    answer=Progress,
    verb=Verb.GET,
    resource=Resource.RUNS,
    summary="Say how far a run is.",
)
SUBMIT: Final = Operation(
    name="runs.submit",
    method=Method.POST,
    path="/herds/{herd}/runs",
    request=SubmitRun,
    answer=RunDocument,
    status=201,
    verb=Verb.RUN,
    resource=Resource.PIPELINES,
    errors=("conflict", "quota_exceeded", "contract_not_approved", "golden_required"),
    is_idempotent=True,
    summary="Run a pipeline that is there.",
    description="A repeat with the same Idempotency-Key is no second run. The right that counts is that to run the pipeline of this name.",
    example={"pipeline": "daily", "parameters": {"day": "2026-11-30"}},
)
CANCEL: Final = _one(
    "cancel",
    Verb.CANCEL,
    "End a run.",
    description="It has ended when its state says so: follow it. One that has ended otherwise, or publishes already, is as it is: 409.",
)
PAUSE: Final = _one("pause", Verb.CANCEL, "Begin nothing new of a run.")
UNPAUSE: Final = _one("unpause", Verb.CANCEL, "Go on with a run that is paused.")
RETRY: Final = _one(
    "retry",
    Verb.RUN,
    "Go on from a run that failed or was cancelled.",
    description="It is a run of its own, with the pipeline, code and parameters of the old one; it takes over what that has kept, and does the rest.",
    request=RetryRun,
    status=201,
    errors=("conflict", "quota_exceeded", "contract_not_approved", "golden_required"),
    is_idempotent=True,
)
DROP: Final = _one(
    "drop", Verb.UPDATE, "Take away what a run that is over keeps for another to go on from."
)
RUNS: Final = (LIST, GET, PROGRESS, SUBMIT, CANCEL, PAUSE, UNPAUSE, RETRY, DROP)
