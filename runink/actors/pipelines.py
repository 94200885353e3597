"""Compiled pipelines in memory, read from the Barn when they are needed: they are large, and never change under their hash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from runink.barn.keys import pipeline_key, run_key
from runink.barn.keyvalue import one_key
from runink.checkpoints import seen_in
from runink.clients.barn import BarnClient, Transaction
from runink.dag import Dag
from runink.errors import Broken
from runink.names import RunId
from runink.runs.records import PipelineRecord, RunRecord, SliceRecord

KEPT_MAX: Final = 100  # of some tens of kilobytes each; a cluster has a few at a time


async def with_run(
    barn: BarnClient, transaction: Transaction, run: RunRecord, dag: Dag
) -> Transaction:
    """Return the transaction that puts a run as well, and its pipeline where that is not there. It fails if there is such a run."""
    key = run_key(run.herd, run.run)
    transaction = transaction.if_absent(key).put(key, run)
    at = pipeline_key(run.herd, run.pipeline, run.version)
    items = (await barn.read(one_key(at))).pages[0].items
    if items:
        return transaction.if_revision(at, items[0].mod_revision)
    return transaction.if_absent(at).put(at, PipelineRecord(dag))


def as_seen(dag: Dag, run: RunRecord) -> Dag:
    """Return a run's pipeline as the control plane sees it."""
    return seen_in(dag, run.store)


class Pipelines:
    """Those that were needed last. `placed` says how they are on this node, or where else they are needed."""

    def __init__(self, barn: BarnClient, placed: Callable[[Dag, RunRecord], Dag] = as_seen) -> None:
        self._barn = barn
        self._placed = placed
        self._kept: dict[str, Dag] = {}  # by hash, the last used one last
        self._coming: dict[str, anyio.Event] = {}  # those that are being read, by hash
        # Of runs, as compiled, where their checkpoints lie, and as placed.
        self._here: dict[RunId, tuple[Dag, str, Dag]] = {}

    async def of(self, run: RunRecord) -> Dag:
        """Return a run's pipeline. Raises Broken (`pipeline_missing`): it is put in the transaction that submits the run."""
        coming = self._coming.get(run.version)
        if coming is not None:
            await coming.wait()
        dag = self._kept.get(run.version)
        if dag is None:
            dag = await self._read(run)
        self.keep(run.version, dag)
        return self._on_this_node(dag, run)

    async def _read(self, run: RunRecord) -> Dag:
        """Read a pipeline, for all who need it meanwhile: the first slices of a run do so at once. Where it could not be read, each of them tries, too."""
        coming = self._coming.setdefault(run.version, anyio.Event())
        try:
            key = pipeline_key(run.herd, run.pipeline, run.version)
            found = await self._barn.get(key, PipelineRecord)
            if found is None:
                text = f"the pipeline of run {run.run} is not in the Barn any more"
                raise Broken(text, code="pipeline_missing", hint="submit it again")
            self.keep(run.version, found.value.dag)
            return found.value.dag
        finally:
            self._coming.pop(run.version, None)
            coming.set()

    def _on_this_node(self, dag: Dag, run: RunRecord) -> Dag:
        """Return a run's pipeline as it is on this node, the same for each of its slices: what is found by names in it is worked out once. Its store is known when it is admitted."""
        known = self._here.pop(run.run, None)
        if known is None or known[0] is not dag or known[1] != run.store:
            known = dag, run.store, self._placed(dag, run)
        self._here[run.run] = known
        if len(self._here) > KEPT_MAX:
            del self._here[next(iter(self._here))]
        return known[2]

    async def run_of(self, record: SliceRecord) -> RunRecord | None:
        """Return the run that a slice is of; nothing if it was cleaned away."""
        found = await self._barn.get(run_key(record.herd, record.run), RunRecord)
        return None if found is None else found.value

    def keep(self, version: str, dag: Dag) -> None:
        """Have a pipeline at hand."""
        self._kept.pop(version, None)
        self._kept[version] = dag
        if len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]
