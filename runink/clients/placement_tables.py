"""Reads from the Barn what placement is told of, as it stands or as it stood."""

from __future__ import annotations

from typing import Final, TypeVar

from runink.barn.keys import HEALTH, HERDS, NODES, RESERVATIONS, SLICES, STANDINGS
from runink.barn.keyvalue import Page, key_prefix
from runink.clients.barn import BarnClient, decode_value
from runink.herds.record import HerdRecord
from runink.runs.health import NodeHealth
from runink.runs.records import NodeRecord, NodeStanding, SliceRecord
from runink.runs.reservations import ReservationRecord
from runink.scheduling.snapshots import Tables

PREFIXES: Final = tuple(
    keys.prefix() for keys in (NODES, STANDINGS, HERDS, SLICES, RESERVATIONS, HEALTH)
)

T = TypeVar("T")


async def read_tables(barn: BarnClient, *, revision: int = 0) -> Tables:
    """Return the tables at a revision, 0 for the newest. Raises Refused (`compacted`) if the Barn has forgotten it."""
    pages = await barn.read(*map(key_prefix, PREFIXES), revision=revision)
    nodes, standings, herds, slices, reservations, health = pages.pages
    return Tables(
        _decoded(nodes, NodeRecord),
        _decoded(standings, NodeStanding),
        _decoded(herds, HerdRecord),
        _decoded(slices, SliceRecord),
        _decoded(reservations, ReservationRecord),
        revision or pages.revision,
        _decoded(health, NodeHealth),
    )


def _decoded(page: Page, kind: type[T]) -> tuple[T, ...]:
    return tuple(decode_value(item, kind).value for item in page.items)
