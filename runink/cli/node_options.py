"""What a node is told by `runi up` and `runi agent` alike: what it offers, and how it runs slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from runink.capabilities import Isolation
from runink.cli.options import BYTES, CPU, Amount, SliceOptions, slice_options
from runink.config import (
    ORPHAN_S,
    RESERVED,
    WARM_CELLS,
    Address,
    NodeSettings,
    metrics_place,
    offered,
)
from runink.machines import Reserved
from runink.names import NodeId, herd_name


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """The options of a node that stays."""

    metrics: Address | Path | None
    labels: tuple[str, ...]
    reserved: Reserved
    slices: SliceOptions
    gpus: int | None = None
    disk_bytes: int | None = None
    herds: tuple[str, ...] = ()
    sees: tuple[str, ...] = ()
    near: tuple[str, ...] = ()

    def settings(self, state: Path, node: NodeId = NodeId("local")) -> NodeSettings:  # noqa: B008 - a name
        """Return the settings of the node with this state. Raises Invalid for a herd's name that is none."""
        return NodeSettings(
            state=state,
            node=node,
            capacity=offered(self.reserved),
            reserved=self.reserved,
            labels=tuple(dict.fromkeys(self.labels)),
            orphan_s=ORPHAN_S,
            warm_cells=WARM_CELLS,
            metrics=self.metrics,
            isolation=self.slices.isolation or Isolation.CELLS,
            shares_network=self.slices.shares_network is not False,
            spawner=self.slices.spawner,
            gpus=self.gpus,
            disk_bytes=self.disk_bytes,
            herds=tuple(dict.fromkeys(map(herd_name, self.herds))),
            visible=tuple(sorted(set(self.sees))) or None,
            near=tuple(sorted(set(self.near))),
        )


def node_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a node that stays, as its argument `options`."""

    @click.option(
        "--metrics",
        type=Amount("HOST:PORT|unix:PATH", metrics_place),
        envvar="RUNINK_METRICS",
        help="Serve /metrics and /healthz at an address of loopback, or at a Unix socket.",
    )
    @slice_options
    @click.option("--label", "labels", multiple=True, help="A label of the node; may be repeated.")
    @click.option(
        "--gpus",
        type=click.IntRange(0, 64),
        help="Graphics processors that steps may ask for; those that are found otherwise.",
    )
    @click.option(
        "--disk",
        type=BYTES,
        help="Disk that steps may ask for; what is free at the start otherwise.",
    )
    @click.option(
        "--herd", "herds", multiple=True, help="Take slices of this herd only; may be repeated."
    )
    @click.option(
        "--sees",
        multiple=True,
        help="A secret or data that slices here may need, and no others; may be repeated.",
    )
    @click.option(
        "--near",
        multiple=True,
        metavar="STORE",
        help="A bucket or host (s3://lake) that is quicker to read here: slices that read it rather come here; may be repeated.",
    )
    @click.option("--reserve-cpu", type=CPU, help="Processor time kept for the system (100m).")
    @click.option("--reserve-memory", type=BYTES, help="Memory kept for the system (256Mi).")
    @click.option("--reserve-disk", type=BYTES, help="Disk kept for the system (1Gi).")
    @wraps(command)
    def called(
        *,
        metrics: Address | Path | None,
        labels: tuple[str, ...],
        reserve_cpu: int | None,
        reserve_memory: int | None,
        reserve_disk: int | None,
        slices: SliceOptions,
        **others: Any,
    ) -> None:
        reserved = Reserved(
            cpu_m=RESERVED.cpu_m if reserve_cpu is None else reserve_cpu,
            memory_bytes=RESERVED.memory_bytes if reserve_memory is None else reserve_memory,
            disk_bytes=RESERVED.disk_bytes if reserve_disk is None else reserve_disk,
        )
        said = ("gpus", "disk", "herds", "sees", "near")
        options = NodeOptions(metrics, labels, reserved, slices, *map(others.pop, said))
        command(options=options, **others)

    return called
