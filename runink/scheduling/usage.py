"""What a herd uses of its quotas, as placement counts it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from runink.herds.record import HerdRecord
from runink.placement.cluster import NOTHING, Amount
from runink.runs.records import SliceRecord
from runink.scheduling.units import parts_for


class Quota(NamedTuple):
    """A quota by its name: what is used, and the limit, 0 for none."""

    name: str
    used: int
    limit: int


def quotas_of(record: HerdRecord, used: Amount, runs: int) -> Iterator[Quota]:
    """Yield each quota of a herd; `runs` are those that have not ended."""
    yield Quota("cpu_m", used.cpu_m, record.cpu_m)
    yield Quota("memory_bytes", used.memory_bytes, record.memory_bytes)
    yield Quota("disk_bytes", used.disk_bytes, record.disk_bytes)
    yield Quota("gpus", used.gpus, record.gpus)
    yield Quota("slices", used.slices, record.slices)
    yield Quota("runs", runs, record.runs)


def used_by(slices: Iterable[SliceRecord]) -> Amount:
    """Return what the slices take that are on a node."""
    needs = (part.needs for one in slices if one.state.is_on_node for part in parts_for([[one]]))
    return sum(needs, NOTHING)
