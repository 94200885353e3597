"""`runi spawn`: the privileged part of a node by itself, as a service for an agent that runs as another user."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click

from runink.capabilities import Isolation
from runink.cli.accounts import FOLDER, account_of, check_code, check_root
from runink.cli.exits import told, usage
from runink.cli.options import BACKENDS, COUNT, seconds_in
from runink.config import ORPHAN_S, WARM_CELLS
from runink.errors import Conflict, RuninkError
from runink.node import ENTRY, PRELOADED
from runink.sandbox.arguments import LINK, kept_environment
from runink.sandbox.door import listen
from runink.sandbox.notifying import VARIABLE
from runink.sandbox.rights import User
from runink.sandbox.spawning import SpawnerPlace, is_taken, make_folder, words_of

SOCKET: Final = FOLDER / "spawner.sock"
STATE: Final = Path("/var/lib/runink")


@click.command()
@click.option(
    "--agent-user",
    metavar="NAME|UID[:GROUP|GID]",
    help="Whom it serves: the user that the node's agent runs as. Yourself otherwise.",
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=SOCKET,
    show_default=True,
    help="Where it listens, in a folder that only root can write.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=STATE,
    show_default=True,
    envvar="RUNINK_STATE",
    help="The state folder of the node, there or not yet: its file system is looked at.",
)
@click.option(
    "--orphans",
    metavar="DURATION",
    help=f"How long slices go on while no agent is there ({ORPHAN_S:g}s).",
)
@click.option(
    "--warm",
    type=COUNT,
    default=WARM_CELLS,
    show_default=True,
    help="How many isolated processes may wait for slices.",
)
@click.option(
    "--isolation",
    type=BACKENDS,
    default=Isolation.CELLS.value,
    show_default=True,
    help="What closes slices off.",
)
@click.option(
    "--no-host-network",
    is_flag=True,
    help="Start no slices in the machine's own network, whatever the agent asks for.",
)
def spawn(  # noqa: PLR0913 - the options of a command
    agent_user: str | None,
    socket: Path,
    state: Path,
    orphans: str | None,
    warm: int,
    isolation: str,
    *,
    no_host_network: bool,
) -> None:
    """Start slices for a node's agent, until SIGTERM or Ctrl-C ends it and all slices.

    The agent finds it by `runi up --spawner PATH`. It is what systemd runs as runi-spawn.service.
    """
    place = SpawnerPlace(
        socket=socket.absolute(),
        log=Path(os.devnull),  # whoever started us has our standard error
        entry=ENTRY,
        preload=PRELOADED,
        warm=warm,
        uses_bubblewrap=Isolation(isolation) is Isolation.BUBBLEWRAP,
        orphan_s=seconds_in(orphans) or ORPHAN_S,
        user=_served(agent_user, socket),
        state=next(one for one in (state.absolute(), *state.absolute().parents) if one.is_dir()),
        shares_network=not no_host_network,
    )
    try:
        listening = _listening(place)
    except (RuninkError, OSError) as error:
        raise told(error, where=place.socket) from error
    os.dup2(listening, LINK)
    os.set_inheritable(LINK, True)  # it may have been that number before
    environment = kept_environment(os.environ)
    if VARIABLE in os.environ:
        environment[VARIABLE] = os.environ[VARIABLE]
    click.echo(f"listening at {place.socket} for {place.user or 'this user'}", err=True)
    # The spawner is small, and would have to share its memory with what a command has loaded.
    os.execve(sys.executable, words_of(place, stays=True), environment)  # noqa: S606 - our own program


def _served(agent_user: str | None, socket: Path) -> User | None:
    """Return whom to serve, if that is another user. Raises Forbidden, and the error of a wrong command line."""
    is_root = not os.geteuid()
    if not is_root and socket == SOCKET:
        raise usage("--socket is needed: only root listens in " + str(FOLDER))
    account = account_of(agent_user) if agent_user else None
    if account is None or account.user.uid == os.geteuid():
        return None
    check_root("serves another user (--agent-user)")
    check_code(account)
    return account.user


def _listening(place: SpawnerPlace) -> int:
    """Return a descriptor that listens at the place, where nobody else does. Raises Conflict, OSError."""
    make_folder(place.socket.parent, place.user)
    if is_taken(place.socket):
        raise Conflict(
            f"a spawner listens at {place.socket} already",
            code="already_listening",
            hint="another one needs another --socket",
        )
    return listen(str(place.socket), place.user).detach()
