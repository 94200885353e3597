"""Operations on pipelines, carried out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

import msgspec

from runink.barn.keys import deployment_key, pipeline_key, schedule_key
from runink.calendars import next_tick
from runink.clients.barn import Found, Transaction
from runink.clients.publishing import (
    FIRST_VERSION,
    Decided,
    check_no_standard,
    deploy,
    next_version,
    pipeline_versions,
    publish,
    published_pipeline,
)
from runink.clients.turns import in_turns
from runink.contracts.versions import version_of
from runink.dag import Check, Dag, Executable, Function, Node, Sink, Source, Sql, Step
from runink.errors import Conflict
from runink.governance.registry import (
    Origin,
    PipelineVersion,
    Publication,
    contracts_of,
    pipeline_hash,
    pipeline_publication,
)
from runink.herds.admission import check_goldens
from runink.herds.record import HerdRecord
from runink.identity.vocabulary import Resource
from runink.names import BundleHash, HerdName, PipelineName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import pipelines
from runink.operations.catalog.pipelines import (
    DeployedPipeline,
    DeployPipeline,
    FromBundle,
    Graph,
    GraphLink,
    ListPipelines,
    ListPipelineVersions,
    OfPipeline,
    OfPipelineVersion,
    Part,
    PipelineDocument,
    PipelineSummary,
    PipelineVersionDocument,
    PublishedPipeline,
    PublishPipeline,
    SlicePlan,
)
from runink.runs.schedule_records import DeploymentRecord, ScheduleRecord
from runink.services.behind import Behind, principal_of, shown_in
from runink.services.compile_child import Job
from runink.services.pages import page_of_values
from runink.services.projects import Project, compiled, shown_bundle
from runink.services.service import Handlers
from runink.services.unapproved import refusing_shown

QUERY_SHOWN_MAX: Final = 200  # characters: what a step does is in its project


class PipelineService:
    """Shows what is published, publishes, and puts in force."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            pipelines.LIST: self._list,
            pipelines.GET: self._get,
            pipelines.VERSIONS: self._versions,
            pipelines.GET_VERSION: self._get_version,
            pipelines.PUBLISH: self._publish,
            pipelines.DELETE_VERSION: self._delete_version,
            pipelines.DEPLOY: self._deploy,
        }

    async def _list(
        self, request: ListPipelines, caller: Caller, context: Context
    ) -> Items[PipelineSummary]:
        revision = (await self._behind.barn.status()).revision  # what is read is no older
        found = await pipeline_versions(self._behind.barn, request.herd)
        groups = [
            (name, list(ones)) for name, ones in groupby(found, lambda one: one.value.dag.pipeline)
        ]
        shows = shown_in(self._behind, caller, Resource.PIPELINES, request.herd)
        return page_of_values(
            [(name, _summary(ones)) for name, ones in groups if shows(name)],
            limit=request.limit,
            position=context.position,
            revision=revision,
        )

    async def _get(
        self, request: OfPipeline, _caller: Caller, _context: Context
    ) -> PipelineDocument:
        return _document(await published_pipeline(self._behind.barn, *_named(request)))

    async def _versions(
        self, request: ListPipelineVersions, _caller: Caller, context: Context
    ) -> Items[PipelineVersionDocument]:
        revision = (await self._behind.barn.status()).revision  # what is read is no older
        found = await pipeline_versions(self._behind.barn, request.herd, request.pipeline)
        return page_of_values(
            [(f"{place:06}", _version(one)) for place, one in enumerate(found)],
            limit=request.limit,
            position=context.position,
            revision=revision,
        )

    async def _get_version(
        self, request: OfPipelineVersion, _caller: Caller, _context: Context
    ) -> PipelineDocument:
        named = _named(request)
        return _document(await published_pipeline(self._behind.barn, *named, request.version))

    async def _publish(
        self, request: PublishPipeline, caller: Caller, _context: Context
    ) -> PublishedPipeline:
        if request.version:
            version_of(request.version)
        project = await self._compiled(request, caller)
        draft = self._draft(request, project, caller)
        if not request.version:
            known = await pipeline_versions(self._behind.barn, *_named(request))
            number = next_version(draft, [one.value for one in known])
            draft = msgspec.structs.replace(draft, version=number)
        key = pipeline_key(*_named(request), draft.version)

        def made(herd: HerdRecord) -> Decided[PipelineVersion]:
            check_goldens(project.dag, herd, project.has)
            return draft, lambda there: pipeline_publication(draft, there)

        if request.dry_run:
            known = await pipeline_versions(self._behind.barn, *_named(request))
            publication = pipeline_publication(draft, [one.value for one in known])
            found = Found(key, draft, 0, 0, 0, 0)
        else:
            _, publication = await publish(self._behind.barn, key, project.offered, made)
            found = await published_pipeline(self._behind.barn, *_named(request), draft.version)
        return _published(found, publication, project, is_dry=request.dry_run)

    def _draft(self, request: PublishPipeline, project: Project, caller: Caller) -> PipelineVersion:
        code = project.code()
        return PipelineVersion(
            request.version or FIRST_VERSION,
            project.dag,
            pipeline_hash(project.dag, code),
            Origin(
                request.file,
                principal_of(caller).subject,
                self._behind.now_ms(),
                request.commit,
                request.dirty,
            ),
            code,
            contracts_of(project.dag),
            request.bundle,
            request.project,
        )

    async def _compiled(self, request: FromBundle, caller: Caller, *, tick_ms: int = 0) -> Project:
        said = request.herd, request.bundle, request.file
        bundle = await shown_bundle(self._behind, caller, *said)
        return await compiled(
            self._behind,
            bundle,
            Job(request.file, request.parameters, tick_ms),
            herd=request.herd,
            pipeline=request.pipeline,
            project=request.project,
        )

    async def _delete_version(
        self, request: OfPipelineVersion, _caller: Caller, context: Context
    ) -> None:
        barn, (herd, pipeline) = self._behind.barn, _named(request)
        at = schedule_key(herd, pipeline)

        async def turn() -> bool | None:
            found = await published_pipeline(barn, herd, pipeline, request.version)
            assert context.condition is not None, "the operation wants one"
            context.condition.check(found.revision, what=found.value.reference)
            schedule = await barn.get(at, ScheduleRecord)
            if schedule is not None and schedule.value.version == found.value.dag.hash:
                raise Conflict(
                    f"{found.value.reference} is in force",
                    code="version_in_use",
                    hint="put another one in force, or take the pipeline out of force",
                )
            transaction = Transaction().if_revision(found.key, found.revision)
            if schedule is None:
                transaction = transaction.if_absent(at)
            else:
                transaction = transaction.if_revision(at, schedule.revision)
            return (await barn.commit(transaction.delete(found.key))).succeeded or None

        await in_turns(f"{herd}/{pipeline}", turn)

    async def _deploy(
        self, request: DeployPipeline, caller: Caller, _context: Context
    ) -> DeployedPipeline:
        now_ms = self._behind.now_ms()
        project = await self._compiled(request, caller, tick_ms=now_ms)
        check_no_standard(project.dag)
        deployment = DeploymentRecord(
            dag=project.dag,
            project=request.project,
            bundle=BundleHash(request.bundle),
            deployed_ms=now_ms,
            by=principal_of(caller).subject,
            commit=request.commit,
            is_dirty=request.dirty,
            recipe=project.recipe,
        )
        key = deployment_key(*_named(request))
        before = await self._behind.barn.get(key, DeploymentRecord)
        barn, offered, has = self._behind.barn, project.offered, project.has
        with refusing_shown(self._behind, caller, project.dag):
            found = await deploy(barn, deployment, offered, has, paused=request.paused)
        record = found.value
        return DeployedPipeline(
            herd=record.herd,
            pipeline=record.pipeline,
            version=record.version,
            schedule=record.schedule,
            paused=record.paused,
            next_ms=None if record.paused else next_tick(record.schedule, now_ms),
            seen_ms=record.seen_ms,
            problem=None,
            revision=found.revision,
            replaced=before.value.dag.file if before is not None else None,
            notes=project.notes,
        )


def _named(request: OfPipeline | ListPipelineVersions) -> tuple[HerdName, PipelineName]:
    return HerdName(request.herd), PipelineName(request.pipeline)


def _version(found: Found[PipelineVersion]) -> PipelineVersionDocument:
    one = found.value
    return PipelineVersionDocument(
        reference=one.reference,
        herd=one.dag.herd,
        pipeline=one.dag.pipeline,
        version=one.version,
        hash=one.hash,
        title=one.dag.title,
        contracts=one.contracts,
        code=one.code,
        bundle=one.bundle or None,
        file=one.origin.file,
        commit=one.origin.commit or None,
        dirty=one.origin.is_dirty,
        by=one.origin.by,
        published_ms=one.origin.published_ms,
        revision=found.revision,
    )


def _summary(found: list[Found[PipelineVersion]]) -> PipelineSummary:
    versions = tuple(one.value.version for one in found)
    return PipelineSummary(**msgspec.structs.asdict(_version(found[-1])), versions=versions)


def _document(found: Found[PipelineVersion]) -> PipelineDocument:
    return PipelineDocument(**_told(found))


def _told(found: Found[PipelineVersion]) -> dict[str, Any]:
    return {**msgspec.structs.asdict(_version(found)), "dag": _graph(found.value.dag)}


def _published(
    found: Found[PipelineVersion], publication: Publication, project: Project, *, is_dry: bool
) -> PublishedPipeline:
    return PublishedPipeline(
        **_told(found),
        new=publication.is_new,
        dry_run=is_dry,
        previous=publication.previous or None,
        notes=project.notes,
    )


def _graph(dag: Dag) -> Graph:
    return Graph(
        hash=dag.hash,
        title=dag.title,
        parameters=dag.parameters,
        schedule=dag.schedule or None,
        nodes=tuple(Part(one.id, _kind(one), one.scenario, _what(one)) for one in dag.nodes),
        links=tuple(GraphLink(one.source, one.target, one.role) for one in dag.links),
        slices=tuple(
            SlicePlan(
                id=one.id,
                gang=one.gang,
                nodes=one.nodes,
                resources=one.resources,
                labels=one.labels,
                gpus=one.wants.gpus,
                network=one.network.value,
            )
            for one in dag.slices
        ),
        secrets=tuple(sorted(_secrets(dag))),
    )


def _secrets(dag: Dag) -> Iterable[str]:
    return {name for facts in dag.facts for name in facts.secrets}


def _kind(node: Node) -> str:
    match node:
        case Source():
            return "source"
        case Check():
            return "check"
        case Step():
            return "step"
        case Sink():
            return "sink"


def _what(node: Node) -> str:
    match node:
        case Source() | Sink():
            return node.uri
        case Check():
            return f"{node.contract.name} {node.contract.version}"
        case Step(action=Function(file=file, name=name)):
            return f"{file}:{name}"
        case Step(action=Executable(command=command)):
            return command[0]
        case Step(action=Sql(query=query)):
            return query[:QUERY_SHOWN_MAX]
        case _ as never:
            raise AssertionError(never)
