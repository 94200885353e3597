"""What a decision on a run means in the Barn: one transaction, which compares all that the decision was made on."""

from __future__ import annotations

from collections.abc import Callable

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
from runink.clients.barn import BarnClient, Transaction, decode_value
from runink.errors import NotFound
from runink.governance.lineage import About, Lineage, lineage_of
from runink.jobs import Done, Failed
from runink.runs.clearing import DISCARD, Decision
from runink.runs.durations import Durations, learned
from runink.runs.records import RunRecord, RunState, Task
from runink.runs.resuming import Resumption
from runink.runs.views import RunView


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
        transaction = transaction.put(key, decision.record)
    for one in decision.slices:
        at = slice_key(one.herd, one.run, one.slice)
        transaction = _compared(transaction, at, revision_of(at)).put(at, one)
    for asked_by in decision.asked_by:
        at = reservation_key(*asked_by)
        transaction = _compared(transaction, at, revision_of(at))
    for one in decision.stop:
        assert one.node is not None, "what is stopped has been placed"
        transaction = transaction.delete(placement_key(one.node, one.run, one.slice))
    for name in decision.claims:
        at = publishing_key(name)
        transaction = transaction.if_absent(at).put(at, record.run)
    for name in decision.releases:
        transaction = transaction.delete(publishing_key(name))
    if decision.record.state.is_over and not record.state.is_over:
        slices = dict(view.slices) | {str(one.slice): one for one in decision.slices}
        facts = _lineage(RunView(decision.record, view.dag, slices))
        transaction = transaction.put(lineage_key(record.herd, record.run), facts)
    if decision.record.state is RunState.SUCCEEDED and not record.rehearsal:
        known = learned(durations, view.dag, view.slices.values())
        transaction = transaction.put(durations_key(record.herd, record.pipeline), known)
    return transaction


async def with_resumption(
    barn: BarnClient, transaction: Transaction, found: Resumption, old: RunView
) -> Transaction:
    """Return the transaction that puts a run, with what it takes over of the one that it goes on from, which it compares. Raises NotFound."""
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
    for one in found.slices:
        transaction = transaction.put(slice_key(one.herd, one.run, one.slice), one)
    if found.discard is not None:
        transaction = transaction.if_revision(at, pages[1].items[0].mod_revision)
        transaction = transaction.put(at, found.discard)
    return transaction


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
