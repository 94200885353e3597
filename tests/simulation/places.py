"""Where runs of a simulation may stand, and what their slices ask of their places: nodes that are all alike, or nodes of which each is another.

    mixed       labels                  gpus  disk   sees      slices   for
    n1          zone=a, disk=ssd        2     8 GiB  all       any      all
    n2          zone=b                  0     4 GiB  crm       4        all
    n3          zone=b, disk=ssd        1     6 GiB  nothing   any      herd red

What a run asks for is the same for all of its slices, but sizes: those behind others read files, and stay where these are.  Some ask for what no node of theirs has: such a run fails, and is to fail whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import msgspec
from msgspec.structs import replace as changed
from runink.dag import Dag, Limit, Limits, Resources, SliceSpec
from runink.herds.record import HerdRecord
from runink.names import HerdName, NodeId
from runink.runs.records import NodeRecord
from runink.testing.cluster import NODE
from runink.wants import Wants

GI = 1 << 30
HERD = HerdRecord(HerdName("default"), cpu_m=15_000, slices=6, runs=5)
EDGE = changed(HERD, lost_wait_ms=60_000)  # the same, but what runs on a lost node goes on
TENANT = changed(HERD, memory_bytes=7 * GI)
RED = HerdRecord(
    HerdName("red"),
    cpu_m=9000,
    memory_bytes=6 * GI,
    slices=4,
    runs=3,
    weight=2,
    lost_wait_ms=60_000,
)
SIZES = (500, 2000, 5000)  # of slices, in thousandths of a processor; a node has 8000
WIDE = 5000  # two of these are more than a node has

_LABELS = ((), (), ("disk=ssd",), ("zone=b",), ("zone in (a, b)", "!spot"))
_WANTS = (
    msgspec.UNSET,
    Wants(sees=("crm",)),
    Wants(gpus=1),
    Wants(groups=("heavy",), anti=("heavy",)),
    Wants(groups=("pipeline:p",), domain="zone"),
    Wants(sees=("crm",), groups=("heavy",), anti=("heavy",)),
)
_DISK_BYTES = (0, 1 * GI, 3 * GI)


@dataclass(frozen=True)
class Places:
    """Nodes, and the herds that runs are of: each as often as it stands there. `others` are the same nodes as they are after somebody has set them up in another way."""

    nodes: tuple[NodeRecord, ...]
    herds: tuple[HerdRecord, ...]
    others: tuple[NodeRecord, ...] = ()

    @property
    def is_mixed(self) -> bool:
        return bool(self.others)

    def wired(self) -> Places:
        """Return the same with relays, so that gangs may stand on several nodes."""
        return Places(_wired(self.nodes), self.herds, _wired(self.others))

    def sized(self, dag: Dag, random: Random) -> Dag:
        """Return the pipeline with slices of other sizes, that ask for what there is."""
        slices = [
            changed(one, resources=Resources(random.choice(SIZES), 1 * GI)) for one in dag.slices
        ]
        if self.is_mixed:
            slices = _asking(slices, random)
        return changed(dag, slices=tuple(slices))


def widened(dag: Dag) -> Dag:
    """Return the pipeline with a first gang that no node has room for, and that asks for nothing else; those behind it read files, and stay where these are."""
    first = dag.slices[0].gang
    return changed(dag, slices=tuple(_widened(one, first) for one in dag.slices))


def _widened(one: SliceSpec, gang: str) -> SliceSpec:
    resources = Resources(WIDE, 1 * GI) if one.gang == gang else one.resources
    return changed(one, resources=resources, labels=(), limits=Limits(), asks=msgspec.UNSET)


def _asking(slices: list[SliceSpec], random: Random) -> list[SliceSpec]:
    labels, wants = random.choice(_LABELS), random.choice(_WANTS)
    found = []
    for one in slices:
        disk_bytes = random.choice(_DISK_BYTES)
        limits = Limits(disk=Limit(disk_bytes, 1)) if disk_bytes else Limits()
        memory_bytes = random.choice((1, 2)) * GI
        resources = Resources(one.resources.cpu_m, memory_bytes)
        found.append(changed(one, resources=resources, labels=labels, limits=limits, asks=wants))
    return found


def _wired(nodes: tuple[NodeRecord, ...]) -> tuple[NodeRecord, ...]:
    return tuple(changed(one, streams=f"10.0.0.{one.node[1:]}:7500") for one in nodes)


def _mixed() -> Places:
    n1 = changed(NODE, node=NodeId("n1"), labels=("zone=a", "disk=ssd"), gpus=2, disk_bytes=8 * GI)
    n2 = changed(
        NODE,
        node=NodeId("n2"),
        labels=("zone=b",),
        disk_bytes=4 * GI,
        visible=("crm",),
        slices_max=4,
    )
    n3 = changed(
        NODE,
        node=NodeId("n3"),
        labels=("zone=b", "disk=ssd"),
        gpus=1,
        disk_bytes=6 * GI,
        visible=(),
        herds=(RED.herd,),
    )
    others = (
        changed(n1, labels=("zone=b", "spot"), visible=()),
        changed(n2, labels=("zone=b", "disk=ssd"), visible=None),
        changed(n3, herds=(TENANT.herd, RED.herd)),
    )
    return Places((n1, n2, n3), (TENANT, changed(TENANT, lost_wait_ms=60_000), RED), others)


ALIKE = Places(
    (changed(NODE, node=NodeId("n1")), changed(NODE, node=NodeId("n2"))), (HERD, HERD, EDGE)
)
MIXED = _mixed()
