"""What a decision on a run means in the Barn: one transaction, which compares all that the decision was made on, and which the Barn takes.

what has no room                        is written
what a run publishes, in its record     without what only its publish slice needs, which that reads in the slices' reports
lineage                                 without its stages' columns, then without its edges and drifts
what a run takes over of another        without its stages' columns, then without its drifts, then without its edges: what lineage alone shows
anything else                           the run fails (`run_too_large`): a transaction that is refused for its size would be again; what goes on from another is refused
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace as changed

from runink.barn.commands import COMMAND_BYTES_MAX, VALUE_BYTES_MAX, Operation, Put
from runink.barn.keys import (
    durations_key,
    lineage_key,
    placement_key,
    publishing_key,
    reservation_key,
    run_key,
    slice_key,
)
from runink.barn.keyvalue import one_key
from runink.clients.barn import BarnClient, Committed, Transaction, decode_value, encode_value
from runink.errors import Conflict, Invalid, NotFound, WireError
from runink.governance.lineage import About, Lineage, lineage_of
from runink.jobs import Done, Failed
from runink.runs.clearing import DISCARD, Decision
from runink.runs.durations import Durations, learned
from runink.runs.records import Failure, Placement, RunRecord, RunState, SliceRecord, Task
from runink.runs.resuming import Resumption
from runink.runs.views import RunView

LINEAGE_BYTES_MAX: Final = (
    (COMMAND_BYTES_MAX - VALUE_BYTES_MAX) * 5 // 8
)  # with the run's record, and what it claims, in one transaction
OPERATION_BYTES: Final = 128  # of an operation beside its key and value, and of a condition
SHED: Final = ("schemas", "drifts", "edges")  # parts of a report that lineage alone shows; the first goes first  # fmt: skip
TOO_LARGE: Final = "run_too_large"
SMALLER: Final = "write fewer files, or to shorter paths, or make several pipelines of it"


def transaction_of(
    view: RunView,
    decision: Decision,
    *,
    revision_of: Callable[[str], int | None],
    durations: Durations,
) -> Transaction:
    """Return the transaction that carries the decision out. `revision_of` says at which revision a key was seen, nothing if it was not there.

    `durations` is what was known of the pipeline's. Of two runs of it that end in the same moment only one may add to that, which does no harm.
    """
    record = view.record
    key = run_key(record.herd, record.run)
    transaction = _compared(Transaction(), key, revision_of(key))
    if decision.record != record:
        transaction = transaction.put(key, _fitting_record(decision.record))
    for one in decision.slices:
        at = slice_key(one.herd, one.run, one.slice)
        transaction = _compared(transaction, at, revision_of(at)).put(at, one)
    for asked_by in decision.asked_by:
        at = reservation_key(*asked_by)
        transaction = _compared(transaction, at, revision_of(at))
    for one in decision.stop:
        assert one.node is not None, "what is stopped has been placed"
        transaction = transaction.delete(placement_key(one.node, one.run, one.slice))
    for one in decision.tell:
        assert one.node is not None, "what is told has been placed"
        # One that has ended meanwhile has no placement any more, and must get none.
        at = slice_key(one.herd, one.run, one.slice)
        transaction = _compared(transaction, at, revision_of(at))
        marked = Placement(one.run, one.slice, one.herd, one.gang, one.attempt, is_leaving=True)
        transaction = transaction.put(placement_key(one.node, one.run, one.slice), marked)
    for name in decision.claims:
        at = publishing_key(name)
        transaction = transaction.if_absent(at).put(at, record.run)
    for name in decision.releases:
        transaction = transaction.delete(publishing_key(name))
    if decision.record.state.is_over and not record.state.is_over:
        slices = dict(view.slices) | {str(one.slice): one for one in decision.slices}
        facts = _lineage(RunView(decision.record, view.dag, slices))
        at = lineage_key(record.herd, record.run)
        transaction = transaction.put(at, fitting_lineage(facts))
    if decision.record.state is RunState.SUCCEEDED and not record.rehearsal:
        known = learned(durations, view.dag, view.slices.values())
        transaction = transaction.put(durations_key(record.herd, record.pipeline), known)
    return transaction


async def commit_or_fail(barn: BarnClient, view: RunView, transaction: Transaction) -> Committed:
    """Commit what carries a decision on a run out; where the Barn refuses it for good, that the run fails. Raises Unavailable, and Invalid where it ends already."""
    try:
        return await barn.commit(transaction)
    except Invalid as error:
        record = view.record
        if record.ending is not None or record.state is RunState.COMMITTING:
            raise
        failure = Failure(
            WireError(
                "Refused",
                TOO_LARGE,
                f"the cluster cannot keep what the run has come to: {error.text}",
                SMALLER,
            )
        )
        of_run = Transaction(transaction.compares[:1])
        failed = changed(record, ending=RunState.FAILED, failure=failure)
        return await barn.commit(of_run.put(run_key(record.herd, record.run), failed))


def _fitting_record(record: RunRecord) -> bytes:
    value = encode_value(record)
    if len(value) <= VALUE_BYTES_MAX or not record.prepared:
        return value
    lean = tuple(changed(one, aside="", extra={}) for one in record.prepared)
    return encode_value(changed(record, prepared=lean))


def fitting_lineage(facts: Lineage) -> bytes:
    """Return the value that lineage is kept as."""
    value = encode_value(facts)
    for drop in ("schema", "drifts"):
        if len(value) > LINEAGE_BYTES_MAX:
            stages = tuple(changed(one, **{drop: ()}) for one in facts.stages)
            edges = facts.edges if drop == "schema" else ()
            facts = changed(facts, stages=stages, edges=edges)
            value = encode_value(facts)
    return value


async def with_resumption(
    barn: BarnClient, transaction: Transaction, found: Resumption, old: RunView
) -> Transaction:
    """Return the transaction that puts a run, with what it takes over of the one that it goes on from, which it compares. Raises NotFound, Conflict (`run_too_large`)."""
    was = old.record
    key = run_key(was.herd, was.run)
    at = slice_key(was.herd, was.run, DISCARD)
    pages = (await barn.read(one_key(key), one_key(at))).pages
    if not pages[0].items:
        raise NotFound(
            f"run {was.run} was cleaned away", hint="runi runs lists those that are left"
        )
    now = decode_value(pages[0].items[0], RunRecord)
    revision = now.revision if now.value == was else 0  # where it has changed meanwhile, none
    transaction = transaction.if_revision(key, revision).put(key, found.old)
    if found.discard is not None:
        transaction = transaction.if_revision(at, pages[1].items[0].mod_revision)
        transaction = transaction.put(at, found.discard)
    taken = _fitting_slices(found, room_bytes=COMMAND_BYTES_MAX - _bytes_of(transaction.operations))
    return Transaction(transaction.compares, (*transaction.operations, *taken))


def _fitting_slices(found: Resumption, *, room_bytes: int) -> tuple[Put, ...]:
    """Return what puts the slices that a run takes over, in one transaction: of a part of them nobody would know whose they are. Raises Conflict (`run_too_large`)."""
    slices = found.slices
    for shed in ("", *SHED):
        if shed:
            slices = tuple(changed(one, report=_without(shed, one)) for one in slices)
        puts = tuple(
            Put(slice_key(one.herd, one.run, one.slice), encode_value(one)) for one in slices
        )
        if _bytes_of(puts) <= room_bytes:
            return puts
    raise Conflict(
        f"run {found.old.run} keeps more than the cluster can hand on at once: the records of {len(slices):,} slices",
        code=TOO_LARGE,
        hint=f"runi run {found.old.file} does all of it; {SMALLER}",
    )


def _without(part: str, one: SliceRecord) -> Done | Failed | None:
    """Return a slice's report without a part of it."""
    if not isinstance(one.report, Done):
        return one.report
    return changed(one.report, **{part: {} if part == "schemas" else ()})


def _bytes_of(operations: Iterable[Operation]) -> int:
    """Return how much of an entry of the log operations take, at most."""
    return sum(
        len(one.key) + len(one.value) + OPERATION_BYTES
        for one in operations
        if isinstance(one, Put)
    )


def _compared(transaction: Transaction, key: str, revision: int | None) -> Transaction:
    if revision is None:
        return transaction.if_absent(key)
    return transaction.if_revision(key, revision)


def _lineage(view: RunView) -> Lineage:
    record = view.record
    reports = {
        name: one.report
        for name, one in view.slices.items()
        if one.task is Task.CHAIN and isinstance(one.report, Done | Failed)
    }
    about = About(
        record.run,
        record.herd,
        record.pipeline,
        record.version,
        record.bundle,
        record.state.value,
        record.parameters,
        record.resumes or "",
    )
    published = record.prepared if record.state is RunState.SUCCEEDED else ()
    return lineage_of(about, view.dag, reports, published)
