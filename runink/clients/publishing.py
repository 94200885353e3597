"""How a version gets into the Barn, and a pipeline in force: read what is there at one revision, decide, and write if nothing has changed since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace as changed

from runink.barn.keys import CONTRACTS, PIPELINES, deployment_key, herd_key, schedule_key
from runink.barn.keyvalue import key_prefix
from runink.calendars import Schedule
from runink.clients.approvals import if_approved
from runink.clients.barn import BarnClient, Found, Transaction, decode_value
from runink.clients.herds import if_herd, with_herd
from runink.clients.turns import in_turns
from runink.contracts.changes import Bump
from runink.contracts.versions import bumped, is_version, version_of
from runink.dag import STANDARD, Dag, Sink, Source
from runink.dsl.difference import difference
from runink.errors import Invalid, NotFound
from runink.governance.registry import ContractVersion, PipelineVersion, Publication
from runink.herds.admission import as_run, check_agreed, check_goldens, in_force
from runink.herds.record import HerdRecord
from runink.names import HerdName, PipelineName
from runink.runs.schedule_records import DeploymentRecord, ScheduleRecord

FIRST_VERSION: Final = "1.0.0"

T = TypeVar("T")
# A version, and what is decided on it beside those that are there.
Decided = tuple[T, Callable[[list[T]], Publication]]


def is_published(key: str) -> bool:
    """Say whether a key ends in a version; pipelines that runs brought along stand under their hash."""
    return is_version(key.rpartition("/")[2])


async def publish(
    barn: BarnClient,
    key: str,
    offered: HerdRecord,
    made: Callable[[HerdRecord], Decided[T]],
) -> tuple[T, Publication]:
    """Write a version under its key, if that is decided so of all versions beside it, and return both. `made` gives the version and the decision for the herd as it holds, `offered` is what the project says of it.

    Raises what the decision raises, Conflict where others do not let us, or the herd is deleted.
    """
    prefix = key.rpartition("/")[0] + "/"

    async def turn() -> tuple[T, Publication] | None:
        known = await barn.get(herd_key(offered.herd), HerdRecord)
        herd = in_force(offered, known.value if known is not None else None)
        value, decide = made(herd)
        pages = await barn.read(key_prefix(prefix))
        versions = [
            decode_value(item, type(value)).value
            for item in pages.pages[0].items
            if is_published(item.key)
        ]
        publication = decide(versions)
        if not publication.is_new:
            return value, publication
        transaction = if_herd(Transaction(), herd.herd, known)
        if known is None:  # whose versions they are has to be there to be looked at, and deleted
            transaction = transaction.put(herd_key(herd.herd), herd)
        transaction = transaction.if_absent(key).if_unchanged(prefix, pages.revision)
        committed = await barn.commit(transaction.put(key, value))
        return (value, publication) if committed.succeeded else None

    return await in_turns(prefix, turn)


async def pipeline_versions(barn: BarnClient, *parts: str) -> list[Found[PipelineVersion]]:
    """Return the published versions of all herds, of one, or of one pipeline of one, in the order of names and versions."""
    pages = await barn.read(key_prefix(PIPELINES.prefix(*parts)))
    found = [
        decode_value(item, PipelineVersion)
        for item in pages.pages[0].items
        if is_published(item.key)
    ]
    return sorted(found, key=lambda one: _order(one.value))


def _order(one: PipelineVersion) -> tuple[object, ...]:
    return one.dag.herd, one.dag.pipeline, version_of(one.version)


async def contract_versions(barn: BarnClient, *parts: str) -> list[Found[ContractVersion]]:
    """Return the published versions of all herds, of one, or of one contract of one, in the order of names and versions."""
    listing = await barn.range(CONTRACTS.prefix(*parts), ContractVersion)
    return sorted(
        listing.items,
        key=lambda one: (
            one.value.herd,
            one.value.spec.name,
            version_of(one.value.spec.version),
        ),
    )


async def published_pipeline(
    barn: BarnClient, herd: HerdName, pipeline: PipelineName, version: str = ""
) -> Found[PipelineVersion]:
    """Return a published version, the highest one if none is named. Raises NotFound (`no_such_pipeline`)."""
    versions = await pipeline_versions(barn, herd, pipeline)
    found = [one for one in versions if version in ("", one.value.version)]
    if not found:
        at = f"@{version}" if version else ""
        raise NotFound(
            f"herd {herd} has published no pipeline {pipeline}{at}",
            code="no_such_pipeline",
            hint="runi pipeline list shows what there is",
        )
    return found[-1]


def next_version(draft: PipelineVersion, known: Sequence[PipelineVersion]) -> str:
    """Return the version whose content this is already, if the highest one has it, or the next one: a major one, if the change breaks somebody."""
    if not known:
        return FIRST_VERSION
    highest = known[-1]
    if highest.hash == draft.hash:
        return highest.version
    is_breaking = any(change.breaking for change in difference(highest.dag, draft.dag))
    return bumped(highest.version, Bump.MAJOR if is_breaking else Bump.MINOR)


def check_no_standard(dag: Dag) -> None:
    """Raise Invalid (`standard_io`) for a pipeline that reads or writes a terminal: a run that a schedule makes has none."""
    for node in dag.nodes:
        if isinstance(node, Source | Sink) and node.path == STANDARD:
            text = f"{node.uri} is standard {'input' if isinstance(node, Source) else 'output'}, and a run that a schedule makes has none"
            raise Invalid(text, code="standard_io", hint="read and write files")


async def deploy(
    barn: BarnClient,
    deployment: DeploymentRecord,
    offered: HerdRecord,
    is_there: Callable[[str], bool],
    *,
    paused: bool,
) -> Found[ScheduleRecord]:
    """Write deployment, schedule and herd at once, if the herd takes the pipeline. A schedule that says the same as before goes on from where it is, another one begins now.

    `offered` is what the project says of the herd, and `is_there` says whether it has a file. Raises Refused for what the herd does not take (`contract_not_approved`, `golden_required`, `drift_passes`).
    """
    dag = deployment.dag
    schedule = dag.schedule
    assert isinstance(schedule, Schedule), "what has none is not compiled for this"
    key = schedule_key(dag.herd, dag.pipeline)

    async def turn() -> Found[ScheduleRecord] | None:
        known = await barn.get(herd_key(dag.herd), HerdRecord)
        herd = in_force(offered, known.value if known is not None else None)
        check_agreed(dag, offered, herd)
        as_run(dag, herd)  # what its runs would be refused for is told now
        check_goldens(dag, herd, is_there)
        found = await barn.get(key, ScheduleRecord)
        record = ScheduleRecord(
            dag.herd, dag.pipeline, dag.hash, schedule, deployment.deployed_ms, paused=paused
        )
        transaction = Transaction().if_absent(key)
        if found is not None:
            before = found.value
            is_same = before.schedule == schedule
            seen_ms = before.seen_ms if is_same else record.seen_ms
            record = changed(record, seen_ms=seen_ms, paused=paused or before.paused)
            transaction = Transaction().if_revision(key, found.revision)
        transaction = await if_approved(barn, transaction, dag, herd)
        transaction = with_herd(transaction, herd, known).put(key, record)
        transaction = transaction.put(deployment_key(dag.herd, dag.pipeline), deployment)
        committed = await barn.commit(transaction)
        if not committed.succeeded:
            return None
        return Found(key, record, committed.revision, 1, 0, committed.revision)

    return await in_turns(key, turn)
