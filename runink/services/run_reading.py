"""Runs of a herd, read and made into documents. A run of another herd is as one that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

from runink.barn.keys import SLICES, pipeline_key, run_key
from runink.clients.barn import BarnClient, Found
from runink.clients.run_documents import error_document, outputs_of, row_of, slice_document
from runink.clients.run_requests import Used
from runink.dag import Dag
from runink.errors import Broken, NotFound
from runink.identity.decisions import Ground
from runink.identity.vocabulary import Resource, Verb
from runink.jobs import Failed
from runink.names import HerdName, RunId
from runink.operations.calls import Caller
from runink.operations.catalog.runs import RunDocument, RunSummary
from runink.operations.catalog.slices import SliceDocument, SliceSummary
from runink.runs.records import PipelineRecord, RunRecord, SliceRecord, no_slice
from runink.services.behind import Behind, not_hidden, not_hidden_slice, principal_of
from runink.services.other_herds import Tell

T = TypeVar("T")
ShowsSlice = Callable[[SliceRecord], bool]
# The parts of a failure that tell of the slice that has failed.
OF_SLICE: Final = ("slice", "step", "position", "traceback", "log_tail")


async def run_of(barn: BarnClient, herd: str, run: str) -> Found[RunRecord]:
    """Return a run of a herd. Raises NotFound (`no_such_run`)."""
    found = await barn.get(run_key(HerdName(herd), RunId(run)), RunRecord)
    if found is None:
        raise NotFound(
            f"herd {herd} has no run {run}", code="no_such_run", hint="list its runs: GET …/runs"
        )
    return found


async def slices_of(barn: BarnClient, run: RunRecord) -> list[Found[SliceRecord]]:
    """Return a run's slices as they stand, by their names."""
    return list((await barn.range(SLICES.prefix(run.herd, run.run), SliceRecord)).items)


async def dag_of(barn: BarnClient, run: RunRecord) -> Dag:
    """Return the pipeline of a run. Raises Broken (`pipeline_missing`): it is kept for as long as the run is."""
    found = await barn.get(pipeline_key(run.herd, run.pipeline, run.version), PipelineRecord)
    if found is None:
        raise Broken(f"the pipeline of run {run.run} is not there", code="pipeline_missing")
    return found.value.dag


def shown_slices(behind: Behind, caller: Caller, herd: str, verb: Verb) -> ShowsSlice:
    """Return what says whether a list or a stream shows a slice: the caller may read it, `verb` of it is not denied, and its run is not hidden. Roles name it RUN/SLICE, and grant a list of them by the run."""
    access, principal = behind.access, principal_of(caller)
    shows_run = not_hidden(behind, caller, Resource.RUNS, herd)

    def shows(one: SliceRecord) -> bool:
        name = f"{one.run}/{one.slice}"
        if not access.allows(principal, Verb.GET, Resource.SLICES, herd=herd, name=name):
            return False
        now_ms = behind.now_ms()
        asked = access.index.decide(principal, verb, Resource.SLICES, herd, name, now_ms=now_ms)
        return asked.ground is not Ground.DENIED and shows_run(one.run)

    return shows


def check_slice(
    behind: Behind, caller: Caller, name: str, slices: Iterable[Found[SliceRecord]]
) -> None:
    """Raise NotFound (`no_such_slice`), with those that there are, if none has the name; one that a rule hides from the caller is not there."""
    parts = [one.value for one in slices]
    names = [
        one.slice for one in parts if not_hidden_slice(behind, caller, one.herd)(one.run, one.slice)
    ]
    if name not in names:
        raise no_slice(name, names)


def summary_of(found: Found[RunRecord], tell: Tell) -> RunSummary:
    """Return a run of a list. `tell` is how texts are told to readers of its herd."""
    return _made(_row_of(found, tell), RunSummary)


def document_of(found: Found[RunRecord], tell: Tell, left_out: Iterable[str]) -> RunDocument:
    """Return a run. `left_out` are parts of its failure that are not for its reader."""
    record = found.value
    error = error_document(record.failure)
    if error is not None:
        error |= {part: type(error[part])() for part in left_out}
    whole = _row_of(found, tell) | {
        "title": record.title,
        "version": record.version,
        "bundle": record.bundle,
        "started_ms": record.started_ms,
        "ended_ms": record.ended_ms,
        "deadline_ms": record.deadline_ms,
        "priority": record.priority,
        "rehearsal": record.rehearsal,
        "parameters": record.parameters,
        "restarted": record.restarted,
        "outputs": outputs_of(record),
        "error": error,
    }
    return _made(whole, RunDocument)


def _row_of(found: Found[RunRecord], tell: Tell) -> dict[str, Any]:
    record = found.value
    return row_of(record) | {
        "waits_for": tell(record.waits_for),
        "resumes": tell.run(record.resumes),
        "resumed_by": tell.run(record.resumed_by),
        "revision": found.revision,
    }


def slice_summary_of(
    found: Found[SliceRecord], tell: Tell, used: Used | None = None
) -> SliceSummary:
    """Return a slice of a list. `used` is what it has used so far, where that is known of one that runs."""
    record = found.value
    return SliceSummary(
        slice=record.slice,
        run=record.run,
        gang=record.gang,
        task=record.task,
        state=record.state,
        attempt=record.attempt,
        node=record.node,
        waits_for=tell(record.waits_for),
        launched_ms=record.launched_ms,
        ended_ms=record.ended_ms,
        isolation=record.sealed.get("isolation"),
        sealed=record.sealed,
        tries=msgspec.structs.asdict(record.tries),
        exit=None if record.exit is None else msgspec.structs.asdict(record.exit),
        used=None if used is None else msgspec.structs.asdict(used),
        error=record.report.error.code if isinstance(record.report, Failed) else None,
        revision=found.revision,
    )


def slice_document_of(found: Found[SliceRecord], used: Used | None, tell: Tell) -> SliceDocument:
    """Return all that is known of a slice."""
    record = found.value
    whole = slice_document(record, used) | {
        "gang": record.gang,
        "waits_for": tell(record.waits_for),
        "taken_from": record.taken_from,
        "decision": record.decision,
        "revision": found.revision,
    }
    return _made(whole, SliceDocument)


def _made(document: dict[str, Any], kind: type[T]) -> T:
    return msgspec.convert(msgspec.to_builtins(document), kind)
