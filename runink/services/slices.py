"""Operations on the parts of a run, carried out: its slices, where they are, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from runink.barn.keys import SLICES
from runink.clients.barn import Found
from runink.clients.run_requests import Used, WhyOf
from runink.clients.standings import no_such_node
from runink.herds.lifecycle import no_such_herd
from runink.identity.vocabulary import CLUSTER, Resource, Verb
from runink.names import HerdName, NodeId, SliceId
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import slices
from runink.operations.catalog.slices import (
    GetSlice,
    ListPlacements,
    ListSlices,
    PlacedSlice,
    SliceDocument,
    SliceSummary,
    Why,
    WhyDocument,
)
from runink.runs.records import RunRecord, SliceRecord
from runink.scheduling.answers import WhyAnswer
from runink.services.behind import Behind, not_hidden, not_hidden_slice, principal_of
from runink.services.other_herds import OTHER, Tell, all_texts, retold, teller
from runink.services.pages import page_of_keys
from runink.services.run_reading import (
    ShowsSlice,
    check_slice,
    run_of,
    shown_slices,
    slice_document_of,
    slice_summary_of,
    slices_of,
)
from runink.services.service import Handlers

D = TypeVar("D")


class SliceService:
    """Shows the slices of runs."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            slices.LIST: self._list,
            slices.GET: self._get,
            slices.PLACEMENTS: self._placements,
            slices.WHY: self._why,
        }

    async def _list(
        self, request: ListSlices, caller: Caller, context: Context
    ) -> Items[SliceSummary]:
        shows = shown_slices(self._behind, caller, HerdName(request.herd), Verb.LIST)
        run = (await run_of(self._behind.barn, request.herd, request.run)).value
        used = await self._used(run)

        def show(one: SliceRecord) -> bool:
            return (not request.state or one.state in request.state) and shows(one)

        def summary(found: Found[SliceRecord], tell: Tell) -> SliceSummary:
            return slice_summary_of(found, tell, used.get(found.value.slice))

        return await self._page(request, caller, context, summary, show)

    async def _placements(
        self, request: ListPlacements, caller: Caller, context: Context
    ) -> Items[PlacedSlice]:
        shows = not_hidden_slice(self._behind, caller, request.herd)

        def show(one: SliceRecord) -> bool:
            return shows(one.run, one.slice)

        return await self._page(request, caller, context, _placed, show)

    async def _page(
        self,
        request: ListSlices | ListPlacements,
        caller: Caller,
        context: Context,
        document: Callable[[Found[SliceRecord], Tell], D],
        show: ShowsSlice,
    ) -> Items[D]:
        """Return the next part of a run's slices, in the order of their names."""
        barn = self._behind.barn
        run = (await run_of(barn, request.herd, request.run)).value

        def shown(found: Found[SliceRecord]) -> Found[SliceRecord] | None:
            return found if show(found.value) else None

        page = await page_of_keys(
            barn,
            SLICES.prefix(run.herd, run.run),
            SliceRecord,
            limit=request.limit,
            position=context.position,
            show=shown,
        )
        texts = (found.value.waits_for for found in page.items)
        tell = await teller(self._behind, caller, run.herd, texts)
        items = tuple(document(found, tell) for found in page.items)
        return Items(items, page.revision, page.after)

    async def _get(self, request: GetSlice, caller: Caller, _context: Context) -> SliceDocument:
        barn = self._behind.barn
        run = (await run_of(barn, request.herd, request.run)).value
        found = await slices_of(barn, run)
        check_slice(self._behind, caller, request.slice, found)
        one = next(one for one in found if one.value.slice == request.slice)
        used = await self._used(run)
        tell = await teller(self._behind, caller, run.herd, [one.value.waits_for])
        return slice_document_of(one, used.get(one.value.slice), tell)

    async def _used(self, run: RunRecord) -> dict[SliceId, Used]:
        """Return what a run's slices have used so far, if it runs."""
        cluster = self._behind.cluster
        if run.state.is_over or cluster.runs is None:  # nobody looks at it: only its store is open
            return {}
        return (await cluster.look(run.run)).used

    async def _why(self, request: Why, caller: Caller, _context: Context) -> WhyDocument:
        run = (await run_of(self._behind.barn, request.herd, request.run)).value
        for change in request.changes:
            self._check_change(change, run.herd, caller)
        name = request.slice or ""
        if name and not not_hidden_slice(self._behind, caller, run.herd)(run.run, name):
            check_slice(self._behind, caller, name, await slices_of(self._behind.barn, run))
        asked = WhyOf(run.herd, run.run, request.slice or "", request.changes)
        answer = await self._behind.cluster.why(asked)
        whole = msgspec.to_builtins(answer)
        tell = await teller(self._behind, caller, run.herd, all_texts(whole))
        return msgspec.convert(_of_herd(answer, whole, tell), WhyDocument)

    def _check_change(self, change: str, herd: HerdName, caller: Caller) -> None:
        """Raise NotFound for what is about a herd that the caller does not see, or about a node that a rule hides: what would become of it is told to nobody else."""
        match change.split():
            case ["quota", other, *_] if other != herd:
                access = self._behind.access
                if not access.allows(
                    principal_of(caller), Verb.GET, Resource.HERDS, herd=other, name=other
                ):
                    raise no_such_herd(HerdName(other))
            case ["drain" | "cordon" | "uncordon" | "lose" | "node", node, *_]:
                if not not_hidden(self._behind, caller, Resource.NODES, CLUSTER)(node):
                    raise no_such_node(NodeId(node))


def _of_herd(answer: WhyAnswer, whole: dict[str, object], tell: Tell) -> dict[str, object]:
    """Return an answer without what becomes of other herds' runs."""
    told: dict[str, object] = retold(whole, tell)
    ours = [one for one in answer.differences if tell(one.unit) != OTHER]
    told["differences"] = retold(msgspec.to_builtins(ours), tell)
    return told


def _placed(found: Found[SliceRecord], tell: Tell) -> PlacedSlice:
    one = found.value
    return PlacedSlice(
        one.slice,
        one.gang,
        one.state,
        one.attempt,
        one.node,
        one.decision,
        one.turn.priority,
        one.turn.since_ms,
        one.turn.placed_ms,
        tell(one.waits_for),
        found.revision,
    )
