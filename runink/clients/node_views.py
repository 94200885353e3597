"""Nodes as they stand in the Barn: their records, what was seen of them, what people say of them, and what they are to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from runink.barn.keys import HEALTH, NODES, PLACEMENTS, RUNS, SLICES, STANDINGS, slice_key
from runink.barn.keyvalue import Page, key_prefix, one_key
from runink.clients.barn import BarnClient, Found, decode_value
from runink.dag import Resources
from runink.names import NodeId
from runink.runs.draining import left_on
from runink.runs.health import NodeHealth
from runink.runs.records import NodeRecord, NodeStanding, Placement, RunRecord, SliceRecord

SPANS_AT_ONCE: Final = 100  # of one request

READY: Final = "ready"
SUSPECT: Final = "suspect"
LOST: Final = "lost"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node. There is no `record` of one that is lost; `revision` is that of the last change of anything here."""

    node: NodeId
    record: NodeRecord | None
    health: NodeHealth
    standing: str | None
    revision: int

    @property
    def state(self) -> str:
        if self.record is None:
            return LOST
        return SUSPECT if self.health.is_suspect else READY

    @property
    def since_ms(self) -> int:
        """Return since when it is suspect or lost, 0 for neither."""
        return self.health.lost_ms if self.record is None else self.health.silent_ms

    @property
    def back_ms(self) -> int:
        """Return until when it is waited for, 0 if it is not."""
        return self.health.back_ms if self.record is None else 0


async def node_views(barn: BarnClient) -> tuple[list[NodeView], int]:
    """Return all nodes that are there or were lost lately, by name, and the revision at which they are so."""
    spans = [key_prefix(keys.prefix()) for keys in (NODES, HEALTH, STANDINGS)]
    pages = await barn.read(*spans)
    records = _by_node(pages.pages[0], NodeRecord)
    health = _by_node(pages.pages[1], NodeHealth)
    standings = _by_node(pages.pages[2], NodeStanding)
    names = {*records, *(node for node, one in health.items() if one.value.lost_ms)}
    views = []
    for node in sorted(names):
        record, seen, said = records.get(node), health.get(node), standings.get(node)
        revision = max(one.revision for one in (record, seen, said) if one is not None)
        views.append(
            NodeView(
                node=NodeId(node),
                record=record.value if record is not None else None,
                health=seen.value if seen is not None else NodeHealth(NodeId(node)),
                standing=said.value.standing.value if said is not None else None,
                revision=revision,
            )
        )
    return views, pages.revision


def _by_node(page: Page, kind: type[T]) -> dict[str, Found[T]]:
    return {item.key.rpartition("/")[2]: decode_value(item, kind) for item in page.items}


async def placed_counts(barn: BarnClient, nodes: list[NodeId]) -> dict[NodeId, int]:
    """Return how many slices each of these nodes is to run."""
    found: dict[NodeId, int] = {}
    for at in range(0, len(nodes), SPANS_AT_ONCE):
        part = nodes[at : at + SPANS_AT_ONCE]
        spans = [key_prefix(PLACEMENTS.prefix(node)) for node in part]
        pages = await barn.read(*spans, limit=1)
        counts = [page.count for page in pages.pages]
        found |= dict(zip(part, counts, strict=True))
    return found


async def used_on(barn: BarnClient, node: NodeId) -> Resources:
    """Return what the slices that a node is to run ask for together."""
    listing = await barn.range(PLACEMENTS.prefix(node), Placement)
    keys = [slice_key(one.value.herd, one.value.run, one.value.slice) for one in listing.items]
    cpu_m = memory_bytes = 0
    for at in range(0, len(keys), SPANS_AT_ONCE):
        pages = await barn.read(*map(one_key, keys[at : at + SPANS_AT_ONCE]))
        for page in pages.pages:
            for item in page.items:
                asks = decode_value(item, SliceRecord).value.resources
                cpu_m += asks.cpu_m
                memory_bytes += asks.memory_bytes
    return Resources(cpu_m=cpu_m, memory_bytes=memory_bytes)


async def left_to_drain(barn: BarnClient, node: NodeId) -> int:
    """Return how many slices keep a node from being empty. It looks at all runs, so it is asked only of a node that is being emptied."""
    pages = await barn.read(key_prefix(RUNS.prefix()), key_prefix(SLICES.prefix()))
    runs = [decode_value(item, RunRecord).value for item in pages.pages[0].items]
    slices = [decode_value(item, SliceRecord).value for item in pages.pages[1].items]
    return len(left_on(node, runs, slices))
