"""Which cluster is meant, where it runs elsewhere: by options, or for every command by the environment.

RUNINK_SERVER        HOST:PORT of its members, with commas between them
RUNINK_TRUST         the folder with our certificate, as `runi node join` makes it
RUNINK_SECRET        a file with the secret that they want to see (loopback only)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from runink.cli.given_texts import word_callback
from runink.config import Address, Servers

SERVER: Final = "RUNINK_SERVER"
SECRET: Final = "RUNINK_SECRET"  # noqa: S105 - the name of a variable that names a file
TRUST: Final = "RUNINK_TRUST"
FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)

server_option = click.option(
    "--server",
    "places",
    multiple=True,
    metavar="HOST:PORT",
    help=f"Where a member of the cluster listens; once for each. {SERVER} otherwise.",
)
secret_option = click.option(
    "--secret",
    type=FILE,
    envvar=SECRET,
    help="A file with the secret of the members, in place of certificates; on loopback.",
)


def addresses_of(places: tuple[str, ...]) -> tuple[Address, ...]:
    """Return where the members listen: as it was said, or as the environment has it. Raises Invalid."""
    return tuple(map(Address.parse, places or _listed()))


def servers_by_environment() -> Servers | None:
    """Return the cluster that the environment names, or nothing. Raises Invalid."""
    places = _listed()
    if not places:
        return None
    trust, secret = os.environ.get(TRUST), os.environ.get(SECRET)
    servers = Servers(
        addresses=addresses_of(places),
        trust=Path(trust) if trust else None,
        secret=Path(secret) if secret else None,
    )
    servers.validate()
    return servers


def _listed() -> tuple[str, ...]:
    return tuple(one.strip() for one in os.environ.get(SERVER, "").split(",") if one.strip())


def join_option(text: str, **more: Any) -> Callable[..., Any]:
    """Return the option of a join token, which may be read where no list of processes shows it."""
    text = f"{text} @FILE reads the token, @- standard input."
    return click.option(
        "--join", "word", metavar="TOKEN", callback=word_callback, help=text, **more
    )
