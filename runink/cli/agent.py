"""`runi agent`: a worker node of a cluster whose members (`runi server`) run elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import anyio
import click

from runink.capabilities import Isolation
from runink.cli.exits import told
from runink.cli.options import BYTES, CPU, Amount, SliceOptions, absolute, slice_options
from runink.cli.servers import server_options
from runink.cli.up import shown_place
from runink.cli.warn import warn_of_known_too, warn_on_stderr
from runink.config import (
    ORPHAN_S,
    RESERVED,
    WARM_CELLS,
    Address,
    NodeSettings,
    Servers,
    metrics_place,
    offered,
)
from runink.errors import RuninkError
from runink.joining import joined_node
from runink.machines import Reserved
from runink.names import NodeId
from runink.sandbox.notifying import tell_manager


@click.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    required=True,
    envvar="RUNINK_STATE",
    help="The folder of everything that this node keeps.",
)
@click.option(
    "--node", "name", default=None, help="The node's name in the cluster; the machine's otherwise."
)
@server_options
@click.option(
    "--metrics",
    type=Amount("HOST:PORT|unix:PATH", metrics_place),
    envvar="RUNINK_METRICS",
    help="Serve /metrics and /healthz at an address of loopback, or at a Unix socket.",
)
@slice_options
@click.option("--label", "labels", multiple=True, help="A label of the node; may be repeated.")
@click.option("--reserve-cpu", type=CPU, help="Processor time kept for the system (100m).")
@click.option("--reserve-memory", type=BYTES, help="Memory kept for the system (256Mi).")
@click.option("--reserve-disk", type=BYTES, help="Disk kept for the system (1Gi).")
def agent(  # noqa: PLR0913, PLR0917 - the options of a command
    state: Path,
    name: str | None,
    servers: Servers,
    metrics: Address | Path | None,
    labels: tuple[str, ...],
    reserve_cpu: int | None,
    reserve_memory: int | None,
    reserve_disk: int | None,
    *,
    slices: SliceOptions,
) -> None:
    """Be a worker node of a cluster, until Ctrl-C or SIGTERM.

    It says `ready` when the cluster knows it. It keeps its slices while it is started anew, and while no member can be reached, for half a minute.
    """
    began = time.monotonic()
    reserved = Reserved(
        cpu_m=RESERVED.cpu_m if reserve_cpu is None else reserve_cpu,
        memory_bytes=RESERVED.memory_bytes if reserve_memory is None else reserve_memory,
        disk_bytes=RESERVED.disk_bytes if reserve_disk is None else reserve_disk,
    )
    settings = NodeSettings(
        state=absolute(state) or state,
        node=NodeId(name or socket.gethostname()),
        capacity=offered(reserved),
        reserved=reserved,
        labels=tuple(dict.fromkeys(labels)),
        orphan_s=ORPHAN_S,
        warm_cells=WARM_CELLS,
        metrics=metrics,
        isolation=slices.isolation or Isolation.CELLS,
        shares_network=slices.shares_network is not False,
        spawner=slices.spawner,
    )
    warn_on_stderr()
    try:
        anyio.run(_stay, settings, servers, began)
    except (RuninkError, OSError) as error:
        raise told(error, where=state) from error


async def _stay(settings: NodeSettings, servers: Servers, began: float) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with joined_node(settings, servers):
            warn_of_known_too()
            took = time.monotonic() - began
            click.echo(
                f"ready in {took:.2f} s: node {settings.node}, pid {os.getpid()}, state in {settings.state}",
                err=True,
            )
            tell_manager("READY=1")
            if settings.metrics is not None:
                click.echo(f"metrics: {shown_place(settings.metrics)}", err=True)
            async for _ in signals:
                break
            click.echo("stopping", err=True)
