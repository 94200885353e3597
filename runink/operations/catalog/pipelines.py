"""Operations on pipelines: published versions, made of bundles that the herd has brought, and what is put in force."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.calendars import Schedule
from runink.dag import Resources
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.catalog.bundles import BundleText
from runink.operations.catalog.schedules import ScheduleSummary
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, PipelineText, VersionText, exact

FileText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,1023}"),
        description="A file of the bundle, by its path there.",
        examples=["features/daily.dsl"],
    ),
]
FolderText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"/[^\x00-\x1f\x7f]{0,1023}"),
        description="The folder on the nodes that the pipeline's relative paths start from.",
        examples=["/srv/flights"],
    ),
]
ParameterName = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
ParameterValue = Annotated[str, msgspec.Meta(max_length=4096)]
Parameters = Annotated[dict[ParameterName, ParameterValue], msgspec.Meta(max_length=100)]
CommitText = Annotated[
    str, msgspec.Meta(max_length=64, description="The commit that the project was at.")
]
NumberText = Annotated[str, msgspec.Meta(max_length=100, description="Like 1.2.0.")]


class ListPipelines(AskedPage, frozen=True, kw_only=True):
    herd: HerdText


class OfPipeline(Asked, frozen=True, kw_only=True):
    herd: HerdText
    pipeline: PipelineText


class ListPipelineVersions(AskedPage, frozen=True, kw_only=True):
    herd: HerdText
    pipeline: PipelineText


class OfPipelineVersion(OfPipeline, frozen=True, kw_only=True):
    version: VersionText


class FromBundle(OfPipeline, frozen=True, kw_only=True):
    """A pipeline's file in a bundle that the herd has brought, and what it is compiled with."""

    bundle: BundleText
    file: FileText
    parameters: Parameters = msgspec.field(default_factory=dict)
    project: FolderText = "/"
    commit: CommitText = ""
    dirty: bool = False


class PublishPipeline(FromBundle, frozen=True, kw_only=True):
    """Without a `version` it is the next one: a major one, if the change breaks somebody. With `dry_run` nothing is published."""

    version: NumberText = ""
    dry_run: bool = False


class DeployPipeline(FromBundle, frozen=True, kw_only=True):
    """What its ticks fill in is not among the parameters."""

    paused: bool = False


class Part(msgspec.Struct, frozen=True):
    """A node of the graph. `kind` is source, check, step or sink; `what` is its URI, its contract, or its code."""

    id: str
    kind: str
    scenario: str
    what: str


class GraphLink(msgspec.Struct, frozen=True):
    """`source` hands its rows to `target`; `role` is main, rejected, or the name of a side input."""

    source: str
    target: str
    role: str


class SlicePlan(msgspec.Struct, frozen=True):
    """Nodes that share a process, and what that needs of its place. Slices of a gang run together."""

    id: str
    gang: str
    nodes: tuple[str, ...]
    resources: Resources
    labels: tuple[str, ...]
    gpus: int
    network: str


class Graph(msgspec.Struct, frozen=True):
    """A pipeline, compiled. `hash` names it; `schedule` is nothing where it has none. `secrets` are the names of those that it refers to."""

    hash: str
    title: str
    parameters: dict[str, str]
    schedule: Schedule | None
    nodes: tuple[Part, ...]
    links: tuple[GraphLink, ...]
    slices: tuple[SlicePlan, ...]
    secrets: tuple[str, ...]


class PipelineVersionDocument(msgspec.Struct, frozen=True):
    """A published version. `code` are the SHA-256 of the files that its steps name, `contracts` those that its edges speak; `bundle` is nothing where it was published from a working copy."""

    reference: str
    herd: str
    pipeline: str
    version: str
    hash: str
    title: str
    contracts: tuple[str, ...]
    code: dict[str, str]
    bundle: str | None
    file: str
    commit: str | None
    dirty: bool
    by: str
    published_ms: int
    revision: int


class PipelineSummary(PipelineVersionDocument, frozen=True):
    """The highest version of a pipeline, and which there are."""

    versions: tuple[str, ...]


class PipelineDocument(PipelineVersionDocument, frozen=True):
    """A version with its graph."""

    dag: Graph


class PublishedPipeline(PipelineDocument, frozen=True):
    """What publishing has come to: `new` is false where that version was there with the same content. `notes` are what a person should know."""

    new: bool
    dry_run: bool
    previous: str | None
    notes: tuple[str, ...]


class DeployedPipeline(ScheduleSummary, frozen=True, kw_only=True):
    """What is in force now. `replaced` is the file of what was so before, nothing where there was nothing."""

    replaced: str | None
    notes: tuple[str, ...]


_COMPILING: Final = (
    "no_bundle",
    "pipeline_invalid",
    "pipeline_differs",
    "compile_failed",
    "compile_too_long",
    "compile_too_large",
    "cannot_compile",
    "golden_required",
    "herd_deleted",
)
_EXAMPLE: Final = {
    "bundle": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "file": "features/daily.dsl",
}
_COMPILED: Final = (
    "It is compiled from the bundle, in a process that can read nothing else and reach nobody. "
)

LIST: Final = Operation(
    name="pipelines.list",
    method=Method.GET,
    path="/herds/{herd}/pipelines",
    request=ListPipelines,
    answer=PipelineSummary,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.PIPELINES,
    summary="List the published pipelines, each with its highest version.",
)
GET: Final = Operation(
    name="pipelines.get",
    method=Method.GET,
    path="/herds/{herd}/pipelines/{pipeline}",
    request=OfPipeline,
    answer=PipelineDocument,
    verb=Verb.GET,
    resource=Resource.PIPELINES,
    summary="Tell what the highest version of a pipeline does.",
)
VERSIONS: Final = Operation(
    name="pipelines.versions.list",
    method=Method.GET,
    path="/herds/{herd}/pipelines/{pipeline}/versions",
    request=ListPipelineVersions,
    answer=PipelineVersionDocument,
    kind=Kind.PAGE,
    verb=Verb.GET,
    resource=Resource.PIPELINES,
    summary="List the published versions of a pipeline, the lowest first.",
)
GET_VERSION: Final = Operation(
    name="pipelines.versions.get",
    method=Method.GET,
    path="/herds/{herd}/pipelines/{pipeline}/versions/{version}",
    request=OfPipelineVersion,
    answer=PipelineDocument,
    subject="pipeline",
    verb=Verb.GET,
    resource=Resource.PIPELINES,
    summary="Tell what a version of a pipeline does.",
)
PUBLISH: Final = Operation(
    name="pipelines.versions.publish",
    method=Method.POST,
    path="/herds/{herd}/pipelines/{pipeline}/versions",
    request=PublishPipeline,
    answer=PublishedPipeline,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.PIPELINES,
    summary="Publish a version of a pipeline.",
    description=_COMPILED + "A version never changes: the same content again is nothing new, another one is refused.",
    errors=(*_COMPILING, "version_taken"),
    is_idempotent=True,
    example=_EXAMPLE,
)  # fmt: skip
DELETE_VERSION: Final = Operation(
    name="pipelines.versions.delete",
    method=Method.DELETE,
    path="/herds/{herd}/pipelines/{pipeline}/versions/{version}",
    request=OfPipelineVersion,
    kind=Kind.NOTHING,
    status=204,
    subject="pipeline",
    verb=Verb.DELETE,
    resource=Resource.PIPELINES,
    summary="Take a version away that is not in force.",
    description="Runs that were submitted with it go on. Its number may be used again.",
    errors=("version_in_use",),
    is_conditional=True,
)
DEPLOY: Final = Operation(
    name="pipelines.deploy",
    method=Method.POST,
    path="/herds/{herd}/pipelines/{pipeline}/deploy",
    request=DeployPipeline,
    answer=DeployedPipeline,
    verb=Verb.CREATE,
    resource=Resource.SCHEDULES,
    summary="Put a pipeline in force, so that each tick of its schedule makes a run.",
    description=_COMPILED + "Deployed again it takes the place of what was there; runs under way go on as they began.",
    errors=(*_COMPILING, "no_schedule", "standard_io", "herd_differs", "slice_bounds", "drift_passes", "contract_not_approved"),
    is_idempotent=True,
    example=_EXAMPLE,
)  # fmt: skip
PIPELINES: Final = (LIST, GET, VERSIONS, GET_VERSION, PUBLISH, DELETE_VERSION, DEPLOY)
