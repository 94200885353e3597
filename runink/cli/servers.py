"""Which cluster is meant, where it runs elsewhere: by options, or for every command by the environment.

RUNINK_SERVER        HOST:PORT of its members, with commas between them
RUNINK_SECRET        a file with the secret that they want to see (loopback only)
RUNINK_CERTIFICATE   ours, RUNINK_KEY its key, RUNINK_AUTHORITY who has signed theirs
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from runink.cli.exits import usage
from runink.config import Address, Servers, TlsFiles

SERVER: Final = "RUNINK_SERVER"
SECRET: Final = "RUNINK_SECRET"  # noqa: S105 - the name of a variable that names a file
TLS: Final = ("RUNINK_CERTIFICATE", "RUNINK_KEY", "RUNINK_AUTHORITY")
FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for which cluster is meant, as its argument `servers`."""

    @click.option(
        "--server",
        "places",
        multiple=True,
        metavar="HOST:PORT",
        help=f"Where a member of the cluster listens; once for each. {SERVER} otherwise.",
    )
    @click.option("--certificate", type=FILE, envvar=TLS[0], help="This machine's certificate (PEM).")  # fmt: skip
    @click.option("--key", type=FILE, envvar=TLS[1], help="Its key (PEM).")
    @click.option("--authority", type=FILE, envvar=TLS[2], help="Who signed the members' certificates (PEM).")  # fmt: skip
    @click.option("--secret", type=FILE, envvar=SECRET, help="A file with the secret of the members; on loopback it does without TLS.")  # fmt: skip
    @wraps(command)
    def called(
        *,
        places: tuple[str, ...],
        certificate: Path | None,
        key: Path | None,
        authority: Path | None,
        secret: Path | None,
        **others: Any,
    ) -> None:
        listed = places or _listed()
        files = (certificate, key, authority)
        command(servers=_servers(listed, files, secret), **others)

    return called


def servers_by_environment() -> Servers | None:
    """Return the cluster that the environment names, or nothing. Raises UsageError, Invalid."""
    places = _listed()
    if not places:
        return None
    files = tuple(Path(name) if (name := os.environ.get(one)) else None for one in TLS)
    secret = os.environ.get(SECRET)
    return _servers(places, files, Path(secret) if secret else None)


def _listed() -> tuple[str, ...]:
    return tuple(one.strip() for one in os.environ.get(SERVER, "").split(",") if one.strip())


def tls_of(files: Sequence[Path | None]) -> TlsFiles | None:
    """Return a certificate, its key and who has signed the others', nothing where none is given. Raises UsageError where some are."""
    given = [one for one in files if one is not None]
    if given and len(given) != len(files):
        raise usage("--certificate, --key and --authority are given together")
    return TlsFiles(*given) if given else None


def _servers(places: tuple[str, ...], files: Sequence[Path | None], secret: Path | None) -> Servers:
    servers = Servers(
        addresses=tuple(map(Address.parse, places)),
        tls=tls_of(files),
        secret=secret,
    )
    servers.validate()
    return servers
