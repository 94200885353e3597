"""`runi identity`: who signs tokens and asks people's providers, on a node of its own."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import anyio
import click

from runink.certificates.roles import NodeRole
from runink.cli.exits import told
from runink.cli.servers import addresses_of, join_option, server_option
from runink.cli.warn import warn_of_known_too, warn_on_stderr
from runink.config import TRUST_FOLDER, Servers
from runink.errors import Refused, RuninkError
from runink.garbage import collected_seldom
from runink.private_files import create_private
from runink.root_key import SIGNING_ROOT
from runink.sandbox.notifying import tell_manager
from runink.signing_node import signing_node
from runink.state_folders import make_state_folder
from runink.trust.enrolling import enrolled
from runink.trust_files import TrustFolder


@click.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    required=True,
    envvar="RUNINK_STATE",
    help="The folder of what this node keeps: its certificate, and what opens the keys that sign.",
)
@server_option
@join_option(
    "Join the cluster with this token, the first time: runi node token --role identity makes it."
)
def identity(state: Path, places: tuple[str, ...], word: str | None) -> None:
    """Sign tokens and ask people's providers for a cluster, until Ctrl-C or SIGTERM.

    Its members are started with --identity NODE then, and do neither. While they do not reach this node they let in whom they know, and give nobody anything new.
    """
    began = time.monotonic()
    state = state.absolute()
    servers = Servers(addresses=addresses_of(places), trust=state / TRUST_FOLDER)
    servers.validate()
    warn_on_stderr()
    try:
        if word is not None and TrustFolder(state / TRUST_FOLDER).shown() is None:
            _join(state, servers, word)
        anyio.run(_stay, state, servers, began)
    except (RuninkError, OSError) as error:
        raise told(error, where=state) from error


def _join(state: Path, servers: Servers, word: str) -> None:
    """Join with a token. Raises Refused (`other_role`) for one that is of another role, and what joining raises."""
    make_state_folder(state)
    shown, admission = anyio.run(partial(enrolled, state / TRUST_FOLDER, word, servers.addresses))
    if shown.role is not NodeRole.IDENTITY:
        raise Refused(
            f"this token has let it in as {shown}, and not to sign tokens",
            code="other_role",
            hint="runi node token --role identity makes one for that; join with it in another folder",
        )
    create_private(state / SIGNING_ROOT, admission.root_keys)
    click.echo(f"joined cluster {shown.cluster} as {shown}", err=True)


async def _stay(state: Path, servers: Servers, began: float) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with signing_node(state, servers) as shown:
            warn_of_known_too()
            took = time.monotonic() - began
            click.echo(f"ready in {took:.2f} s: {shown}, pid {os.getpid()}", err=True)
            tell_manager("READY=1")
            with collected_seldom():
                async for _ in signals:
                    break
            click.echo("stopping", err=True)
