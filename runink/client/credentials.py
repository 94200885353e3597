"""What a client bears: nothing, a token, or whatever gives it one when it is asked.

form                    what is borne
None                    nothing: of the Unix socket, whose user is known
a text                  that token
a function              what it returns, asked before each request; it may be async for AsyncClient
ClientCredentials       a token that is got for a program's secret, and got anew before it ends
Bearer                  what `token` returns; it is told which token was not taken, to have a newer one
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, runtime_checkable

import anyio.to_thread

from runink.client.programs import ClientCredentials


@runtime_checkable
class Bearer(Protocol):
    def token(self, refused: str) -> str:
        """Return a token. `refused` is one that was not taken, empty at first. It may block: for a lock, or a provider."""
        ...


Credentials = (
    str | ClientCredentials | Bearer | Callable[[], str] | Callable[[], Awaitable[str]] | None
)


def token_of(credentials: Credentials, refused: str) -> str:
    """Return the token to bear, from a client that blocks. Raises TypeError for an async function."""
    said = _asked(credentials, refused)
    if inspect.isawaitable(said):
        if inspect.iscoroutine(said):
            said.close()
        raise TypeError("the function that gives the token is async: use AsyncClient")
    return str(said)


async def atoken_of(credentials: Credentials, refused: str) -> str:
    """Return the token to bear. What may block is asked in a thread."""
    if credentials is None or isinstance(credentials, str):
        return credentials or ""
    if inspect.iscoroutinefunction(credentials):
        return str(await credentials())
    said = await anyio.to_thread.run_sync(_asked, credentials, refused)
    return str(await said if inspect.isawaitable(said) else said)


def _asked(credentials: Credentials, refused: str) -> Any:
    if credentials is None or isinstance(credentials, str):
        return credentials or ""
    if isinstance(credentials, Bearer):
        return credentials.token(refused)
    assert not isinstance(credentials, ClientCredentials), "a client gets these tokens itself"
    return credentials()
