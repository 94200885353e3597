"""`runi agent`: a worker node of a cluster whose members (`runi server`) run elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import time
from functools import partial
from pathlib import Path

import anyio
import click
from msgspec.structs import replace as changed

from runink.cli.exits import told
from runink.cli.node_options import NodeOptions, node_options
from runink.cli.options import DURATION, Amount
from runink.cli.servers import addresses_of, join_option, secret_option, server_option
from runink.cli.up import shown_place
from runink.cli.warn import warn_of_known_too, warn_on_stderr
from runink.config import TRUST_FOLDER, Address, NodeSettings, Servers
from runink.errors import Conflict, RuninkError
from runink.garbage import collected_seldom
from runink.joining import joined_node
from runink.names import NodeId
from runink.sandbox.notifying import tell_manager
from runink.state_folders import make_state_folder
from runink.trust.enrolling import enrolled
from runink.trust_files import TrustFolder


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
@server_option
@secret_option
@join_option(
    "Join the cluster with this token first, if this node has not yet (runi node token).",
)
@click.option(
    "--lost-after",
    "lost_ms",
    type=DURATION,
    metavar="TIME",
    help="How long the cluster waits for a word of this node before its slices begin anew elsewhere (30s).",
)
@node_options
def agent(  # noqa: PLR0913 - the options of a command
    state: Path,
    name: str | None,
    lost_ms: int | None,
    listen: Address | None,
    *,
    places: tuple[str, ...],
    secret: Path | None,
    word: str | None,
    options: NodeOptions,
) -> None:
    """Be a worker node of a cluster, until Ctrl-C or SIGTERM.

    It says `ready` when the cluster knows it. It keeps its slices while it is started anew, and while no member can be reached, for as long as the cluster waits for it.
    """
    began = time.monotonic()
    state = state.absolute()
    servers = Servers(addresses=addresses_of(places), trust=state / TRUST_FOLDER, secret=secret)
    servers.validate()
    warn_on_stderr()
    try:
        node = _named(name, state, servers, word)
        settings = options.settings(state, node)
        if lost_ms is not None:
            settings = changed(settings, lost_s=lost_ms / 1000)
        settings = changed(settings, listen=listen)
        anyio.run(_stay, settings, servers, began)
    except (RuninkError, OSError) as error:
        raise told(error, where=state) from error


def _named(name: str | None, state: Path, servers: Servers, word: str | None) -> NodeId:
    """Return the node's name: that of its certificate, for which it may have to join first, or where it shows a secret the one that is said, or the machine's.

    Raises Conflict (`other_node`) if another one is said than it has joined under, and what joining raises.
    """
    if servers.secret is not None:
        return NodeId(name or socket.gethostname())
    assert servers.trust is not None
    shown = TrustFolder(servers.trust).shown()
    if shown is None and word is not None:
        make_state_folder(state)
        joining = partial(enrolled, servers.trust, word, servers.addresses, name=name or "")
        shown, _ = anyio.run(joining)
        click.echo(f"joined cluster {shown.cluster} as {shown}", err=True)
    if shown is None:
        return NodeId(name or socket.gethostname())  # what is missing is told by who needs it
    if name not in (None, shown.name):
        raise Conflict(
            f"this node has joined as {shown.name}, and is called {name} now",
            code="other_node",
            hint="leave --node away, or join anew in another folder",
        )
    return shown.name


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
