"""`runi agent`: a worker node of a cluster whose members (`runi server`) run elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import anyio
import click
from msgspec.structs import replace as changed

from runink.cli.exits import told
from runink.cli.node_options import NodeOptions, node_options
from runink.cli.options import DURATION, Amount
from runink.cli.servers import server_options
from runink.cli.up import shown_place
from runink.cli.warn import warn_of_known_too, warn_on_stderr
from runink.config import Address, NodeSettings, Servers
from runink.errors import RuninkError
from runink.garbage import collected_seldom
from runink.joining import joined_node
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
@click.option(
    "--listen",
    type=Amount("HOST:PORT", Address.parse),
    envvar="RUNINK_LISTEN",
    help="Where other nodes' slices reach this one's; beyond loopback with a certificate. Nowhere otherwise.",
)
@server_options
@click.option(
    "--lost-after",
    "lost_ms",
    type=DURATION,
    metavar="TIME",
    help="How long the cluster waits for a word of this node before its slices begin anew elsewhere (30s).",
)
@node_options
def agent(
    state: Path,
    name: str | None,
    lost_ms: int | None,
    listen: Address | None,
    *,
    servers: Servers,
    options: NodeOptions,
) -> None:
    """Be a worker node of a cluster, until Ctrl-C or SIGTERM.

    It says `ready` when the cluster knows it. It keeps its slices while it is started anew, and while no member can be reached, for as long as the cluster waits for it.
    """
    began = time.monotonic()
    settings = options.settings(state.absolute(), NodeId(name or socket.gethostname()))
    if lost_ms is not None:
        settings = changed(settings, lost_s=lost_ms / 1000)
    settings = changed(settings, listen=listen)
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
            if settings.listen is not None:
                click.echo(f"streams of other nodes: {settings.listen}", err=True)
            with collected_seldom():
                async for _ in signals:
                    break
            click.echo("stopping", err=True)
