"""Small instances of placement with the best that a global solver has found for them, and what it has proved that nobody can do better.

They are made by `scripts/placement_instances.py`, and stored, so that nobody needs the solver to compare with it.  A batch waits on an empty cluster; what is
worth most is placed, then on the nodes with the fewest processors.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

import msgspec

from runink.labels import label_rules
from runink.names import NodeId
from runink.placement.cluster import Amount, NodeView
from runink.placement.demands import Part
from runink.placement.plans import Snapshot
from runink.testing.clusters import GI, Mix, cluster, load

STORED: Final = Path(__file__).parents[2] / "tests/golden/placement_instances.json"


class Instance(msgspec.Struct, frozen=True):
    """Rows instead of records, because there are thousands: a node is processors, memory in GiB, graphics processors and labels; a unit is processors, memory in GiB, graphics
    processors, slices, labels and priority.  `value` and `cpu_m` were found, `value_most` and `cpu_m_least` proved.
    """

    seed: int
    nodes: tuple[tuple[int, int, int, tuple[str, ...]], ...]
    units: tuple[tuple[int, int, int, int, tuple[str, ...], int], ...]
    value: int = 0
    value_most: int = 0
    cpu_m: int = 0
    cpu_m_least: int = 0

    def snapshot(self) -> Snapshot:
        nodes = tuple(
            NodeView(
                NodeId(f"n{number:02}"),
                Amount(cpu_m, memory * GI, gpus=gpus, slices=500),
                labels=frozenset(labels),
            )
            for number, (cpu_m, memory, gpus, labels) in enumerate(self.nodes)
        )
        template = load(1, 0)[0]
        units = tuple(
            msgspec.structs.replace(
                template,
                gang=f"u{number:03}",
                parts=(
                    Part(Amount(cpu_m, memory * GI, gpus=gpus, slices=slices), label_rules(labels)),
                ),
                priority=priority,
                rank=0,
            )
            for number, (cpu_m, memory, gpus, slices, labels, priority) in enumerate(self.units)
        )
        return Snapshot(nodes, {}, units)


def instance(seed: int, fullness: float) -> Instance:
    """Make one, of 8 to 20 nodes and so many units that they ask for that part of all processors."""
    random = Random(seed)  # noqa: S311 - the same seed gives the same instance
    views = cluster(random.randint(8, 20), seed)
    whole_m = sum(view.capacity.cpu_m for view in views)
    units, asked_m = [], 0
    for unit in load(100_000, seed, Mix(apart=0, spread=0, templates=40)):
        asked_m += unit.needs.cpu_m
        if asked_m > whole_m * fullness:
            break
        needs, labels = unit.needs, tuple(str(rule) for rule in unit.parts[0].labels)
        row = (needs.cpu_m, needs.memory_bytes // GI, needs.gpus, needs.slices)
        units.append((*row, labels, unit.priority))
    nodes = [
        (
            view.capacity.cpu_m,
            view.capacity.memory_bytes // GI,
            view.capacity.gpus,
            tuple(sorted(view.labels)),
        )
        for view in views
    ]
    return Instance(seed, tuple(nodes), tuple(units))


def stored() -> list[Instance]:
    return msgspec.json.decode(STORED.read_bytes(), type=list[Instance])
