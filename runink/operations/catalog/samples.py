"""Operations on samples: the first rows of what a run has published, each reader's as their roles show them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, PartText, RunText

ROWS_MAX: Final = 1_000
ROWS: Final = 20


class ListSamples(AskedPage, frozen=True):
    herd: HerdText
    run: RunText


class ReadSample(Asked, frozen=True, kw_only=True):
    herd: HerdText
    run: RunText
    sink: PartText
    rows: Annotated[
        int, msgspec.Meta(ge=1, le=ROWS_MAX, description="How many at most, from the first.")
    ] = ROWS


class Published(msgspec.Struct, frozen=True):
    """What a run has published by a sink, and for which role, empty for nobody in particular. `is_readable`: here; what is in a store or went to standard output is read there."""

    sink: str
    scenario: str
    uri: str
    format: str
    rows: int
    bytes: int
    role: str
    is_readable: bool


class Sample(msgspec.Struct, frozen=True):
    """Rows of an output as the reader may see them, the first it has; `is_all` if there are no more. Where they are very large there are fewer than were asked for."""

    sink: str
    uri: str
    rows: tuple[dict[str, Any], ...]
    is_all: bool


LIST: Final = Operation(
    name="samples.list",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/samples",
    request=ListSamples,
    answer=Published,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.SAMPLES,
    summary="List what a run has published.",
)
GET: Final = Operation(
    name="samples.get",
    method=Method.GET,
    path="/herds/{herd}/runs/{run}/samples/{sink}",
    request=ReadSample,
    answer=Sample,
    verb=Verb.GET,
    resource=Resource.SAMPLES,
    subject="run",
    summary="Read the first rows of what a run has published.",
    description="From the file itself, on its node, and only as the run has published it. Marked fields are as your roles show them.",
)
SAMPLES: Final = (LIST, GET)
