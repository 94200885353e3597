"""How a command asks the API: of which context, with whose token, and what it says where that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from runink.cli.choosing import context_option, meant
from runink.cli.contexts import Context
from runink.cli.options import DURATION, project_here, state_folder, state_option
from runink.client import Client, Credentials, Patience, endpoint_of
from runink.config import API_SOCKET
from runink.errors import Invalid
from runink.private_files import read_private

WITHIN_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Where:
    """Whom a command asks: a context, or the cluster of a state folder."""

    context: Context | None
    state: Path | None
    within_s: float = WITHIN_MS / 1000

    def client(self) -> Client:
        """Return a client. Raises Invalid for a context that cannot be used."""
        patience = Patience(within_s=self.within_s)
        if self.context is None:
            socket = state_folder(self.state, project_here()) / API_SOCKET
            return Client(f"unix:{socket}", patience=patience)
        authority = Path(self.context.authority) if self.context.authority else None
        endpoint = endpoint_of(self.context.address, authority=authority)
        return Client(endpoint, token=credentials_of(self.context), patience=patience)

    def herd(self, said: str | None) -> str:
        """Return the herd that is meant. Raises Invalid (`no_herd`) where none is named."""
        herd = said or (self.context.herd if self.context is not None else "")
        if not herd:
            raise Invalid(
                "no herd is named",
                code="no_herd",
                hint="give --herd NAME, or name one in the context: runi context add --anew --herd NAME …",
            )
        return herd


class TokenFile:
    """A file that holds a token, read for each request: whoever renews it writes it there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def token(self, refused: str) -> str:
        """Return the token that stands in the file. Raises Refused if others may read it, too, and OSError."""
        del refused
        return (
            read_private(self._path, code="token_exposed", harm="speaks for you").decode().strip()
        )


def credentials_of(context: Context) -> Credentials:
    """Return what is borne in a context, nothing where it says nothing and nobody has logged in."""
    if context.token_file:
        return TokenFile(Path(context.token_file))
    from runink.cli.logins import LoggedIn, read_login  # noqa: PLC0415 - what renews a login is loaded where there is one

    if context.login is None and read_login(context.name) is None:
        return None
    return LoggedIn(context.name)


def asks_api(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options for whom it asks, as its argument `where`."""

    @context_option
    @state_option
    @click.option("--within", "within_ms", type=DURATION, default=WITHIN_MS, metavar="DURATION", help="How long an answer may take; 30s otherwise.")  # fmt: skip
    @wraps(command)
    def called(
        *, context_name: str | None, state: Path | None, within_ms: int, **others: Any
    ) -> Any:
        return command(where=Where(meant(context_name, state), state, within_ms / 1000), **others)

    return called


@contextmanager
def asking(where: Where) -> Iterator[Client]:
    """Yield a client of whom the command asks."""
    with where.client() as client:
        yield client
