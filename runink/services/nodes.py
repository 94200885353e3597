"""Operations on nodes, members and decisions, carried out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from runink.barn.keys import HEALTH, NODES, PLACEMENTS, STANDINGS, standing_key
from runink.barn.keyvalue import Change
from runink.barn.watching import Interest
from runink.clients.barn import Found
from runink.clients.membership import MembershipAdmin
from runink.clients.node_views import (
    NodeView,
    left_to_drain,
    node_views,
    placed_counts,
    used_on,
)
from runink.clients.standings import no_such_node, say
from runink.dag import Resources
from runink.identity.vocabulary import CLUSTER, Resource, Verb
from runink.names import NodeId
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import nodes
from runink.operations.catalog.nodes import (
    AskStatus,
    CordonNode,
    ListMembers,
    ListNodePlacements,
    ListNodes,
    MemberDocument,
    NodeChange,
    NodeDocument,
    NodeSummary,
    OfDecision,
    OfNode,
    PlacementDocument,
    ReplayDocument,
    StandingDocument,
    StatusDocument,
    WatchNodes,
)
from runink.runs.records import NodeRecord, NodeStanding, Placement, Standing
from runink.services.behind import Behind, Shows, not_hidden_slice, shown_in
from runink.services.pages import page_of_keys, page_of_values
from runink.services.service import Handlers
from runink.services.watching import Said, Stream, beginning, told_changes

NOTHING: Final = Resources(cpu_m=0, memory_bytes=0)  # in place of what a lost node offers


class NodeService:
    """Shows nodes, members and decisions, and says what is to become of nodes."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            nodes.LIST: self._list,
            nodes.WATCH: self._watch,
            nodes.GET: self._get,
            nodes.CORDON: self._cordon,
            nodes.DRAIN: self._drain,
            nodes.UNCORDON: self._uncordon,
            nodes.PLACEMENTS: self._placements,
            nodes.MEMBERS: self._members,
            nodes.STATUS: self._status,
            nodes.REPLAY: self._replay,
        }

    async def _list(
        self, request: ListNodes, caller: Caller, context: Context
    ) -> Items[NodeSummary]:
        views, revision = await node_views(self._behind.barn)
        shows = shown_in(self._behind, caller, Resource.NODES, CLUSTER)
        page = page_of_values(
            [(one.node, one) for one in views if shows(one.node)],
            limit=request.limit,
            position=context.position,
            revision=revision,
        )
        counts = await placed_counts(self._behind.barn, [one.node for one in page.items])
        summaries = tuple(self._summary(one, counts[one.node]) for one in page.items)
        return Items(summaries, page.revision, page.after)

    async def _watch(self, request: WatchNodes, caller: Caller, _context: Context) -> Stream:
        shows = shown_in(self._behind, caller, Resource.NODES, CLUSTER, Verb.WATCH)

        async def tell(changes: Sequence[Change]) -> Iterable[Said]:
            revision = changes[-1].revision
            names = sorted({name for one in changes if shows(name := one.key.split("/")[2])})
            return await self._changes(names, revision) if names else ()

        after = await beginning(self._behind.barn, request.since)
        interest = Interest((NODES.prefix(), STANDINGS.prefix(), HEALTH.prefix()))
        return told_changes(self._behind.barn, interest, after, tell)

    async def _changes(self, names: list[str], revision: int) -> list[Said]:
        """Return what is told of nodes of which something has changed: how they are by now."""
        views = {one.node: one for one in (await node_views(self._behind.barn))[0]}
        there = [one for name in names if (one := NodeId(name)) in views]
        counts = await placed_counts(self._behind.barn, there)
        return [
            Said("node", NodeChange(name, revision, self._summary(views[node], counts[node])))
            if (node := NodeId(name)) in views
            else Said("gone", NodeChange(name, revision, None))
            for name in names
        ]

    async def _get(self, request: OfNode, _caller: Caller, _context: Context) -> NodeDocument:
        barn, node = self._behind.barn, NodeId(request.node)
        views, _ = await node_views(barn)
        view = next((one for one in views if one.node == node), None)
        if view is None:
            raise no_such_node(node)
        counts = await placed_counts(barn, [node])
        used = await used_on(barn, node)
        is_draining = view.standing == Standing.DRAINING.value
        left = await left_to_drain(barn, node) if is_draining else None
        record = view.record or NodeRecord(node, NOTHING)
        return _document(self._summary(view, counts[node]), record, used, left)

    def _summary(self, view: NodeView, slices: int) -> NodeSummary:
        return NodeSummary(
            node=view.node,
            state=view.state,
            since_ms=view.since_ms,
            back_ms=view.back_ms,
            standing=view.standing,
            slices=slices,
            capacity=view.record.capacity if view.record is not None else None,
            labels=view.record.labels if view.record is not None else (),
            herds=view.record.herds if view.record is not None else (),
            near=view.record.near if view.record is not None else (),
            troubles=view.health.failures(self._behind.now_ms()),
            trouble=view.health.why,
            revision=view.revision,
        )

    async def _cordon(
        self, request: CordonNode, _caller: Caller, _context: Context
    ) -> StandingDocument:
        node = NodeId(request.node)
        await say(self._behind.barn, node, Standing.CORDONED, only_if=request.only_if)
        found = await self._behind.barn.get(standing_key(node), NodeStanding)
        return StandingDocument(node, found.value.standing.value if found is not None else None)

    async def _drain(self, request: OfNode, _caller: Caller, _context: Context) -> StandingDocument:
        return await self._say(request, Standing.DRAINING)

    async def _uncordon(
        self, request: OfNode, _caller: Caller, _context: Context
    ) -> StandingDocument:
        return await self._say(request, None)

    async def _say(self, request: OfNode, standing: Standing | None) -> StandingDocument:
        await say(self._behind.barn, NodeId(request.node), standing)
        return StandingDocument(request.node, standing.value if standing else None)

    async def _placements(
        self, request: ListNodePlacements, caller: Caller, context: Context
    ) -> Items[PlacementDocument]:
        def show(found: Found[Placement]) -> PlacementDocument | None:
            one = found.value
            shows = shown_in(self._behind, caller, Resource.PLACEMENTS, one.herd)
            shows_slice = not_hidden_slice(self._behind, caller, one.herd)
            is_shown = shows(one.run) and shows_slice(one.run, one.slice)
            return _placement(request.node, one) if is_shown else None

        return await page_of_keys(
            self._behind.barn,
            PLACEMENTS.prefix(request.node),
            Placement,
            limit=request.limit,
            position=context.position,
            show=show,
        )

    async def _members(
        self, request: ListMembers, caller: Caller, context: Context
    ) -> Items[MemberDocument]:
        status = await self._look(shown_in(self._behind, caller, Resource.MEMBERS, CLUSTER))
        return page_of_values(
            [(f"{one.member:020}", one) for one in status.members],
            limit=request.limit,
            position=context.position,
            revision=status.applied_index,
        )

    async def _status(
        self, _request: AskStatus, caller: Caller, _context: Context
    ) -> StatusDocument:
        return await self._look(shown_in(self._behind, caller, Resource.MEMBERS, CLUSTER))

    async def _look(self, shows: Shows) -> StatusDocument:
        found = await MembershipAdmin(self._behind.barn).look()
        seen = found.status
        return StatusDocument(
            cluster=seen.cluster,
            term=seen.term,
            lead=seen.lead,
            member=seen.member,
            applied_index=seen.applied_index,
            committed_index=seen.committed_index,
            members=tuple(
                MemberDocument(one, found.role(one), found.addresses.get(one, ""))
                for one in found.members
                if shows(str(one))
            ),
        )

    async def _replay(
        self, request: OfDecision, _caller: Caller, _context: Context
    ) -> ReplayDocument:
        found = await self._behind.cluster.replay(int(request.decision))
        return ReplayDocument(found.digest == found.stored, found)


def _document(
    summary: NodeSummary, record: NodeRecord, used: Resources, left: int | None
) -> NodeDocument:
    return NodeDocument(
        **msgspec.structs.asdict(summary),
        used=used,
        left=left,
        slices_max=record.slices_max,
        gpus=record.gpus,
        disk_bytes=record.disk_bytes,
        visible=record.visible,
        reserved=record.reserved,
        machine=record.machine,
        capabilities=record.capabilities,
        missing=record.missing,
        users=record.users,
        streams=record.streams,
        clock_skew_ms=record.clock_skew_ms,
        told_ms=record.told_ms,
    )


def _placement(node: str, one: Placement) -> PlacementDocument:
    return PlacementDocument(
        node=node,
        herd=one.herd,
        run=one.run,
        slice=one.slice,
        gang=one.gang,
        attempt=one.attempt,
        is_leaving=one.is_leaving,
    )
