"""How a command asks the API: of which context, with whose token, and what it says where that cannot be.

a command means                        is answered by
a context                              its API, over TLS
a state folder whose cluster serves    that, at the folder's socket
another state folder                   the same services in this process (`inside.py`), for commands that are `asked`
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from runink.cli.choosing import context_option, herd_option, meant
from runink.cli.client import Embedding, check_has_state
from runink.cli.contexts import Context
from runink.cli.options import (
    DURATION,
    project_here,
    slices_by_environment,
    state_folder,
    state_option,
)
from runink.cli.servers import servers_by_environment
from runink.config import API_SOCKET, Role
from runink.errors import Invalid
from runink.operations.answers import Page
from runink.operations.declarations import Operation
from runink.private_files import read_private

if TYPE_CHECKING:
    from runink.client import Client, Credentials

WITHIN_MS: Final = 30_000


class Asker(Protocol):
    """A client that blocks: that of the API, or one in this process. Its answers are documents, iterators over items or events, and downloads."""

    def call(self, operation: Operation | str, **fields: Any) -> Any: ...
    def page(self, operation: Operation | str, **fields: Any) -> Page[Any]: ...


@dataclass(frozen=True, slots=True)
class Where:
    """Whom a command asks: a context, or the cluster of a state folder."""

    context: Context | None
    state: Path | None
    within_s: float = WITHIN_MS / 1000
    said: str = ""  # the herd that the command line names

    @property
    def scope(self) -> str:
        """Return the herd that is meant, empty for all that are seen."""
        return self.said or (self.context.herd if self.context is not None else "")

    def client(self, *, token: str | None = None) -> Client:
        """Return a client, which bears what the context says or another `token`. Raises Invalid for a context that cannot be used."""
        from runink.client import Client, Patience, endpoint_of  # noqa: PLC0415 - only where somebody is asked by it

        patience = Patience(within_s=self.within_s)
        if self.context is None:
            socket = state_folder(self.state, project_here()) / API_SOCKET
            return Client(f"unix:{socket}", patience=patience, token=token)
        authority = Path(self.context.authority) if self.context.authority else None
        endpoint = endpoint_of(self.context.address, authority=authority)
        return Client(endpoint, token=token or credentials_of(self.context), patience=patience)

    def herd(self, said: str | None = None) -> str:
        """Return the herd that is meant. Raises Invalid (`no_herd`) where none is named."""
        herd = said or self.scope
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


def asks_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that is `asked` the options for whom it asks and of which herd, as its argument `where`."""

    @herd_option
    @asks_api
    @wraps(command)
    def called(*, where: Where, herd: str | None, **others: Any) -> Any:
        return command(where=replace(where, said=herd or ""), **others)

    return called


@contextmanager
def asked(where: Where, *, role: Role = Role.STORE, makes_state: bool = False) -> Iterator[Asker]:
    """Yield whom the command asks. `role` is what a cluster in this process must be able to do, if there is no other.

    Raises NotFound (`no_runs`) where nothing was ever run, unless it `makes_state`.
    """
    if where.context is not None or _is_served(where):
        with where.client() as client:
            yield client
        return
    from runink.cli.inside import InsideClient  # noqa: PLC0415 - services are loaded where they are asked

    folder = state_folder(where.state, project_here())
    embedding = Embedding(folder, role=role, slices=slices_by_environment())
    if not makes_state:
        check_has_state(embedding)
    with InsideClient(embedding, within_s=where.within_s) as inside:
        yield inside


def _is_served(where: Where) -> bool:
    """Say whether somebody answers at the state folder's socket. The cluster that the environment names goes before it."""
    if servers_by_environment() is not None:
        return False
    path = state_folder(where.state, project_here()) / API_SOCKET
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


@contextmanager
def asking(where: Where, *, token: str | None = None) -> Iterator[Client]:
    """Yield a client of whom the command asks, which bears what the context says or another token."""
    with where.client(token=token) as client:
        yield client


def ends_with_command(client: Asker) -> bool:
    """Say whether the cluster that is asked is there for as long as the command only: nobody sees to what is due."""
    return bool(getattr(client, "is_brief", False))
