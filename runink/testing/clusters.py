"""Clusters and loads for placement, from a seed: the mixed workload of its benches, and of the tests that compare two solvers on it.

Nodes are of a few shapes, as machines are bought: 16 to 96 cores, 64 to 768 GiB, a tenth of them with 2 or 8 graphics processors, in three zones and twelve
racks, some marked `spot`, some dedicated to a herd.  Units are of some hundred shapes: most are one slice, three in ten a gang joined by pipes with one
sum of needs; a tenth stand apart from each other and a tenth are spread over zones.
"""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from runink.labels import label_rules
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, HerdView, NodeView
from runink.placement.demands import Part, Spread, Unit
from runink.placement.plans import Snapshot

GI: Final = 1 << 30
HERDS: Final = tuple(HerdName(f"herd{number}") for number in range(8))
_MACHINES: Final = ((16, 64), (32, 128), (48, 192), (64, 256), (64, 512), (96, 768))
_CPU_M: Final = (250, 500, 1000, 2000, 4000, 8000)
_MEMORY_GI: Final = (1, 2, 4, 8, 16)


class Mix(NamedTuple):
    """How a load is mixed, of so many templates: pipelines are written once and run often. `are_all_different`: no two units need the same. A third of the `run_units` of a run are a group."""

    gangs: float = 0.3
    apart: float = 0.1
    spread: float = 0.1
    labelled: float = 0.15
    templates: int = 160
    are_all_different: bool = False
    run_units: int = 5
    is_spread_hard: bool = False


MIXED: Final = Mix()


def cluster(count: int, seed: int) -> tuple[NodeView, ...]:
    """Return so many nodes."""
    random = Random(seed)  # noqa: S311 - the same seed gives the same cluster
    return tuple(_node(random, number) for number in range(count))


def _node(random: Random, number: int) -> NodeView:
    cores, memory_gi = random.choice(_MACHINES)
    gpus = random.choice((2, 8)) if random.random() < 0.1 else 0
    zone = number % 3
    labels = {f"zone=z{zone}", f"rack=r{number % 12}", random.choice(("disk=nvme", "disk=hdd"))}
    if gpus:
        labels.add("gpu")
    if random.random() < 0.1:
        labels.add("spot")
    return NodeView(
        NodeId(f"n{number:05}"),
        Amount(cores * 1000, memory_gi * GI, 2000 * GI, gpus, 500),
        labels=frozenset(labels),
        dedicated_to=frozenset({HERDS[0]}) if random.random() < 0.03 else frozenset(),
    )


def herds() -> dict[HerdName, HerdView]:
    """Return eight herds of different weights; two of them have a quota."""
    views = [HerdView(name, weight=1 + number % 3) for number, name in enumerate(HERDS)]
    views[6] = HerdView(HERDS[6], Amount(cpu_m=2_000_000))
    views[7] = HerdView(HERDS[7], Amount(memory_bytes=4000 * GI))
    return {view.herd: view for view in views}


def load(slices: int, seed: int, mix: Mix = MIXED) -> tuple[Unit, ...]:
    """Return units with so many slices in all, or a few more."""
    random = Random(seed)  # noqa: S311 - the same seed gives the same cluster
    templates = [_template(random, mix) for _ in range(mix.templates)]
    units: list[Unit] = []
    left = slices
    while left > 0:
        run = RunId(f"{len(units) // mix.run_units:026}")
        unit = _unit(random, random.choice(templates), run, len(units), mix)
        left -= unit.needs.slices
        units.append(unit)
    return tuple(units)


def _template(random: Random, mix: Mix) -> Part:
    slices = random.randint(2, 6) if random.random() < mix.gangs else 1
    cpu_m = sum(random.choice(_CPU_M) for _ in range(slices))
    memory = sum(random.choice(_MEMORY_GI) for _ in range(slices)) * GI
    gpus = random.choice((1, 1, 2)) if random.random() < 0.03 else 0
    labels = []
    if random.random() < mix.labelled:
        labels.append(random.choice(("disk=nvme", "!spot", "zone in (z0, z1)")))
    needs = Amount(cpu_m, memory, gpus=gpus, slices=slices)
    return Part(needs, label_rules(labels))


def _unit(random: Random, part: Part, run: RunId, number: int, mix: Mix) -> Unit:
    if mix.are_all_different:
        more = Amount(random.randrange(250), random.randrange(1 << 20) * 4096)
        part = replace(part, needs=part.needs + more)
    kind, group = random.random(), f"{run}:{number % 3}"
    if kind < mix.apart:
        part = replace(part, groups=(group,), anti=(group,))
    elif kind < mix.apart + mix.spread:
        part = replace(part, groups=(group,), spread=Spread(group, is_hard=mix.is_spread_hard))
    return Unit(
        run,
        f"g{number}",
        HERDS[int(run) % len(HERDS)],
        (part,),
        priority=random.choice((0, 0, 0, 1, 2, 3)),
        run_order=int(run),
        rank=random.randrange(100_000),
    )


def filled(nodes: int, slices: int, seed: int, mix: Mix = MIXED) -> Snapshot:
    """Return an empty cluster with a load that waits."""
    return Snapshot(cluster(nodes, seed), herds(), load(slices, seed + 1, mix))
