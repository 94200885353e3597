"""Operations on what runs leave behind: lineage, quality, and the rows that they rejected."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.catalog.runs import Drift, OfRun
from runink.operations.declarations import AskedPage, Method, Operation
from runink.operations.patterns import HerdText, PartText, PipelineText, RunText

URI_MAX: Final = 4096
UriText = Annotated[
    str, msgspec.Meta(min_length=1, max_length=URI_MAX, description="As it stands in a pipeline.")
]
ContractText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class OfDataset(AskedPage, frozen=True):
    """Runs that have read or written a dataset, the newest first."""

    herd: HerdText
    uri: UriText


class ListQuality(AskedPage, frozen=True):
    """Checks of runs, the newest run first."""

    herd: HerdText
    pipeline: PipelineText | None = None
    contract: ContractText | None = None


class ListDeadLetters(AskedPage, frozen=True):
    herd: HerdText
    run: RunText


class ReadDeadLetter(AskedPage, frozen=True):
    herd: HerdText
    run: RunText
    sink: PartText


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What one node of the pipeline did. `kind` is source, check, step, sink, dead letter or checkpoint, `schema` the columns that came out."""

    node: str
    scenario: str
    kind: str
    label: str
    rows_in: int
    rows_out: int
    rejected: int
    uri: str = ""
    contract: str = ""
    staged_from: str = ""
    schema: tuple[tuple[str, str], ...] = ()
    drifts: tuple[Drift, ...] = ()


class Edge(msgspec.Struct, frozen=True):
    """How many rows went from one node to another. `transport` is the way between two slices: slots, pipe or wire; nothing within one."""

    source: str
    target: str
    role: str
    rows: int
    bytes: int
    transport: str | None = None


class Dataset(msgspec.Struct, frozen=True):
    """What was written, with the SHA-256 of its bytes, and for which role, empty for nobody in particular."""

    uri: str
    sink: str
    rows: int
    bytes: int
    sha256: str
    is_dead_letter: bool
    role: str


class LineageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a run read, did and wrote. `version` and `bundle` say with which pipeline and code."""

    run: str
    herd: str
    pipeline: str
    version: str
    bundle: str
    state: str
    parameters: dict[str, str]
    resumes: str
    stages: tuple[Stage, ...]
    edges: tuple[Edge, ...]
    outputs: tuple[Dataset, ...]
    revision: int


class DatasetUse(msgspec.Struct, frozen=True):
    """That a run has read or written a dataset. `use` is `read` or `written`; `sha256` is of what was written, empty for what was read."""

    run: str
    pipeline: str
    state: str
    use: str
    node: str
    rows: int
    sha256: str
    revision: int


class Reason(msgspec.Struct, frozen=True):
    """How many rows a check rejected for one reason."""

    check: str
    field: str
    rule: str
    text: str
    rows: int


class CheckFigures(msgspec.Struct, frozen=True):
    """What one check of a run saw. `contract` is its name, version and the beginning of its hash."""

    run: str
    pipeline: str
    state: str
    check: str
    contract: str
    rows_in: int
    rows_out: int
    rejected: int
    drifted: int
    drifts: tuple[Drift, ...]
    revision: int


class GoldenFailure(msgspec.Struct, frozen=True):
    """A golden that did not hold: in so many rows, or it could not be compared (`error`). The rows themselves are told by who may see all of them: `runi test`."""

    path: str
    sink: str
    rows: int
    error: str | None


class Quality(msgspec.Struct, frozen=True):
    """How good a run's data was: its checks, why they rejected rows, and goldens that did not hold."""

    run: str
    pipeline: str
    state: str
    checks: tuple[CheckFigures, ...]
    reasons: tuple[Reason, ...]
    goldens: tuple[GoldenFailure, ...]
    revision: int


class DeadLetter(msgspec.Struct, frozen=True):
    """Rejected rows of a run, by the sink that takes them. `is_published`: they are where the pipeline puts them, and not only kept with a run that failed."""

    sink: str
    scenario: str
    uri: str
    rows: int
    bytes: int
    is_published: bool
    is_readable: bool  # here: what is in a store is read there


class DeadRow(msgspec.Struct, frozen=True):
    """A rejected row: its place in the letter, its values as they came, and why it was rejected. Marked fields are as the reader may see them."""

    row: int
    record: dict[str, Any]


LINEAGE: Final = Operation(
    name="lineage.get",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/lineage",
    request=OfRun,
    answer=LineageDocument,
    verb=Verb.GET,
    resource=Resource.LINEAGE,
    summary="Say what a run read, did and wrote.",
)
OF_DATASET: Final = Operation(
    name="lineage.of-dataset",
    method=Method.GET,
    path="/herds/{herd}/lineage",
    request=OfDataset,
    answer=DatasetUse,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.LINEAGE,
    summary="List the runs that have read or written a dataset.",
)
QUALITY: Final = Operation(
    name="quality.get",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/quality",
    request=OfRun,
    answer=Quality,
    verb=Verb.GET,
    resource=Resource.QUALITY,
    summary="Say how good a run's data was.",
)
QUALITY_LIST: Final = Operation(
    name="quality.list",
    method=Method.GET,
    path="/herds/{herd}/quality",
    request=ListQuality,
    answer=CheckFigures,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.QUALITY,
    summary="List what the checks of a herd's runs saw, the newest first.",
)
DEAD_LETTERS: Final = Operation(
    name="dead-letters.list",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/dead-letters",
    request=ListDeadLetters,
    answer=DeadLetter,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.DEAD_LETTERS,
    summary="List where the rows are that a run rejected, and how many.",
)
DEAD_ROWS: Final = Operation(
    name="dead-letters.rows",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/dead-letters/{sink}/rows",
    request=ReadDeadLetter,
    answer=DeadRow,
    kind=Kind.PAGE,
    verb=Verb.GET,
    resource=Resource.DEAD_LETTERS,
    subject="run",
    summary="Read rows that a run rejected, with their reasons.",
)
FACTS: Final = (LINEAGE, OF_DATASET, QUALITY, QUALITY_LIST, DEAD_LETTERS, DEAD_ROWS)
