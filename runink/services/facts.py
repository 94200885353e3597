"""Operations on lineage and quality, carried out, from what the transaction that ends a run writes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from runink.barn.keys import LINEAGE, lineage_key
from runink.barn.keyvalue import key_prefix
from runink.clients.barn import Found
from runink.clients.run_documents import drift_document
from runink.contracts.differences import GoldenResult
from runink.errors import NotFound
from runink.governance.lineage import Lineage, Stage, StageKind
from runink.identity.vocabulary import Resource
from runink.jobs import Done, Failed
from runink.names import HerdName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context, Position
from runink.operations.catalog import facts
from runink.operations.catalog.facts import (
    CheckFigures,
    DatasetUse,
    GoldenFailure,
    LineageDocument,
    ListQuality,
    OfDataset,
    Quality,
    Reason,
)
from runink.operations.catalog.runs import Drift, OfRun
from runink.runs.records import Task
from runink.services.behind import Behind, not_hidden, shown_in
from runink.services.newest import page_of_newest
from runink.services.run_reading import run_of, slices_of
from runink.services.service import Handlers

_TOLD: Final = "#"  # in no key of a run
REASONS_MAX: Final = 500  # of one run; more rules than that no contract has

D = TypeVar("D")


class FactService:
    """Says what runs did with data."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            facts.LINEAGE: self._lineage,
            facts.OF_DATASET: self._of_dataset,
            facts.QUALITY: self._quality,
            facts.QUALITY_LIST: self._quality_list,
        }

    async def _lineage(self, request: OfRun, _caller: Caller, _context: Context) -> LineageDocument:
        found = await self._found(request)
        lineage = found.value
        whole = msgspec.structs.asdict(lineage) | {
            "stages": [_stage(one) for one in lineage.stages],
            "edges": [msgspec.to_builtins(one) for one in lineage.edges],
            "outputs": [msgspec.structs.asdict(one) for one in lineage.outputs],
            "revision": found.revision,
        }
        return msgspec.convert(whole, LineageDocument)

    async def _found(self, request: OfRun) -> Found[Lineage]:
        """Return the facts of a run that has ended. Raises NotFound (`no_such_run`, `no_lineage`)."""
        run = (await run_of(self._behind.barn, request.herd, request.run)).value
        found = await self._behind.barn.get(lineage_key(run.herd, run.run), Lineage)
        if found is None:
            raise NotFound(
                f"run {run.run} has no lineage yet",
                code="no_lineage",
                hint="it is written when the run ends",
            )
        return found

    async def _of_dataset(
        self, request: OfDataset, caller: Caller, context: Context
    ) -> Items[DatasetUse]:
        def uses(found: Found[Lineage]) -> list[DatasetUse]:
            return list(_uses(found, request.uri))

        return await self._page(request, caller, context, Resource.LINEAGE, uses)

    async def _quality_list(
        self, request: ListQuality, caller: Caller, context: Context
    ) -> Items[CheckFigures]:
        def checks(found: Found[Lineage]) -> list[CheckFigures]:
            if request.pipeline not in (None, found.value.pipeline):
                return []
            return [
                one
                for one in _checks(found)
                if request.contract in (None, one.contract, one.contract.partition(" ")[0])
            ]

        return await self._page(request, caller, context, Resource.QUALITY, checks)

    async def _page(
        self,
        request: OfDataset | ListQuality,
        caller: Caller,
        context: Context,
        resource: Resource,
        told: Callable[[Found[Lineage]], Sequence[D]],
    ) -> Items[D]:
        """Return what is told of runs' facts, the newest first. What is told of one run may be on two pages: a position is its key, and how much of it was told."""
        herd = HerdName(request.herd)
        shows = shown_in(self._behind, caller, resource, herd)
        shows_run = not_hidden(self._behind, caller, Resource.RUNS, herd)
        position, told_before = _begun(context.position)
        items: dict[str, Sequence[D]] = {}

        def show(found: Found[Lineage]) -> bool:
            run = found.value.run
            if not (shows(run) and shows_run(run)):
                return False
            items[found.key] = told(found)[told_before.get(found.key, 0) :]
            return bool(items[found.key])

        page = await page_of_newest(
            self._behind.barn,
            key_prefix(LINEAGE.prefix(herd)),
            Lineage,
            limit=request.limit,
            position=position,
            show=show,
        )
        whole = [(found.key, one) for found in page.items for one in items[found.key]]
        part = tuple(one for _, one in whole[: request.limit])
        if len(whole) <= request.limit:
            return Items(part, page.revision, page.after)
        last = whole[request.limit - 1][0]
        before = sum(key == last for key, _ in whole[: request.limit]) + told_before.get(last, 0)
        return Items(part, page.revision, f"{last}{_TOLD}{before}")

    async def _quality(self, request: OfRun, _caller: Caller, _context: Context) -> Quality:
        found = await self._found(request)
        run = (await run_of(self._behind.barn, request.herd, request.run)).value
        slices = await slices_of(self._behind.barn, run)
        reports = [
            one.value.report
            for one in slices
            if one.value.task is Task.CHAIN and isinstance(one.value.report, Done | Failed)
        ]
        reasons = [row for report in reports for row in report.rejections]
        goldens = run.failure.goldens if run.failure is not None else ()
        return Quality(
            run.run,
            run.pipeline,
            run.state.value,
            tuple(_checks(found)),
            tuple(
                Reason(one.node, one.field, one.rule, one.text, one.rows)
                for one in reasons[:REASONS_MAX]
            ),
            tuple(map(_golden, goldens)),
            found.revision,
        )


def _begun(position: Position | None) -> tuple[Position | None, dict[str, int]]:
    """Return where a list goes on, and how much was told of the run that it goes on with, by its key."""
    if position is None or _TOLD not in position.after:
        return position, {}
    key, _, before = position.after.partition(_TOLD)
    return Position(position.revision, f"{key}\0"), {key: int(before)}


def _golden(found: GoldenResult) -> GoldenFailure:
    missed = found.differences
    rows = missed.missing + missed.unexpected + missed.different if missed is not None else 0
    return GoldenFailure(found.path, found.sink, rows, found.error.code if found.error else None)


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "node": stage.node,
        "scenario": stage.scenario,
        "kind": stage.kind.value,
        "label": stage.label,
        "rows_in": stage.facts.rows_in,
        "rows_out": stage.facts.rows_out,
        "rejected": stage.facts.rejected,
        "uri": stage.uri,
        "contract": stage.contract,
        "staged_from": stage.staged_from,
        "schema": stage.schema,
        "drifts": [drift_document(one) for one in stage.drifts],
    }


def _uses(found: Found[Lineage], uri: str) -> Iterable[DatasetUse]:
    lineage = found.value
    about = lineage.run, lineage.pipeline, lineage.state
    for stage in lineage.stages:
        if stage.kind is StageKind.SOURCE and stage.uri == uri:
            yield DatasetUse(*about, "read", stage.node, stage.facts.rows_out, "", found.revision)
    for one in lineage.outputs:
        if one.uri == uri:
            yield DatasetUse(*about, "written", one.sink, one.rows, one.sha256, found.revision)


def _checks(found: Found[Lineage]) -> Iterable[CheckFigures]:
    lineage = found.value
    for stage in lineage.stages:
        if stage.kind is StageKind.CHECK:
            facts_of = stage.facts
            yield CheckFigures(
                lineage.run,
                lineage.pipeline,
                lineage.state,
                stage.node,
                stage.contract,
                facts_of.rows_in,
                facts_of.rows_out,
                facts_of.rejected,
                facts_of.drifted,
                tuple(msgspec.convert(drift_document(one), Drift) for one in stage.drifts),
                found.revision,
            )
