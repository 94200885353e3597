"""Logins that are kept: what a provider has given somebody, for one context, renewed before it ends.

A login is a file of its owner's alone, `logins/NAME.json` in the folder of states (`contexts.py`).  It says by itself which provider it is of, so that it can be
renewed without asking anybody else.

A refresh token is good once: the provider takes a second use for a theft and ends the login, with all that came of it.  So two commands at once are one after the other, by a lock on
`NAME.lock`; the second finds what the first has brought.  A login that the provider has ended is forgotten here, too: whoever holds a copy of it may be who used it.  No token is ever printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import msgspec

from runink.cli.contexts import Login, login_folder
from runink.cli.locking import locked_file
from runink.clock import now_ms
from runink.errors import Forbidden, Invalid, TimedOut
from runink.identity.flow_answers import Tokens, read_tokens
from runink.identity.flows import Form, refresh_form
from runink.identity.providers import Discovery, Provider, read_discovery
from runink.names import ProviderId
from runink.outgoing.http_client import HttpClient
from runink.outgoing.http_messages import Answer, Request, form
from runink.private_files import make_private_folder, read_private, replace_private
from runink.reach import Reach

EARLY_MS: Final = 30_000  # a request takes some of it, and clocks differ
LOCKED_S: Final = 20.0  # longer than a renewal takes
_UNREADABLE: Final = "login_unreadable"


class KeptLogin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A login as its file has it. `until_ms` is when its token ends, 0 where the provider has not said. No token shows in a `repr`."""

    login: Login
    access_token: str
    refresh_token: str = ""
    until_ms: int = 0

    def __repr__(self) -> str:
        return f"KeptLogin({self.login.issuer}, ***)"

    def is_fresh(self, at_ms: int) -> bool:
        """Say whether its token is good for another request."""
        return not self.until_ms or at_ms < self.until_ms - EARLY_MS


def kept(login: Login, tokens: Tokens, *, at_ms: int) -> KeptLogin:
    """Return a login with what the provider has given at a moment."""
    until_ms = at_ms + tokens.expires_s * 1000 if tokens.expires_s else 0
    return KeptLogin(login, tokens.access_token, tokens.refresh_token, until_ms)


def read_login(name: str) -> KeptLogin | None:
    """Return a context's login, nothing where there is none. Raises Refused or Invalid (`login_unreadable`), OSError."""
    path = _place(name)
    try:
        content = read_private(path, code=_UNREADABLE, harm="speaks for you")
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=KeptLogin)
    except msgspec.DecodeError:  # what it says may quote a token
        raise Invalid(
            f"{path} cannot be read", code=_UNREADABLE, hint=f"runi login --context {name}"
        ) from None


def write_login(name: str, login: KeptLogin) -> None:
    """Keep a login. Raises OSError."""
    make_private_folder(login_folder())
    replace_private(_place(name), msgspec.json.encode(login))


def forget_login(name: str) -> bool:
    """Forget a login, and say whether there was one. Raises OSError."""
    try:
        _place(name).unlink()
    except FileNotFoundError:
        return False
    return True


def _place(name: str) -> Path:
    return login_folder() / f"{name}.json"


@contextmanager
def locked(name: str, *, within_s: float = LOCKED_S) -> Iterator[None]:
    """Have a context's login to oneself. Raises TimedOut (`login_locked`), OSError."""
    make_private_folder(login_folder())
    busy = TimedOut(
        f"another command renews the login of {name}, and does not end",
        code="login_locked",
        hint="end it, and try again",
    )
    with locked_file(login_folder() / f"{name}.lock", within_s=within_s, busy=busy):
        yield


class LoggedIn:
    """What somebody bears who has logged in: the token of the file, renewed when it is about to end, or was not taken."""

    def __init__(self, name: str) -> None:
        self._name = name

    def token(self, refused: str) -> str:
        """Return a token. Raises Forbidden (`login_needed`, `login_again`), and what the provider or the disk does."""
        login = self._read()
        if self._serves(login, refused):
            return login.access_token
        with locked(self._name):
            login = self._read()  # another command may have renewed it meanwhile
            if self._serves(login, refused):
                return login.access_token
            if not login.refresh_token:
                if not refused:
                    raise again(self._name)
                return login.access_token  # the server says better what is wrong with it
            return self._renew(login).access_token

    def _renew(self, login: KeptLogin) -> KeptLogin:
        """Return the login as it goes on. Raises Forbidden (`login_again`) for one that the provider has ended, and forgets it."""
        try:
            renewed = anyio.run(_renewed, login)
        except Forbidden as refused:
            if refused.code != "login_again":
                raise
            forget_login(self._name)
            raise Forbidden(
                f"the login of {self._name} has ended: {refused.text}; it was long ago, or taken back, or its refresh token was used a second time",
                code="login_again",
                hint=f"runi login --context {self._name}; where somebody may have had a copy of {_place(self._name)}, tell who looks after the provider",
            ) from None
        write_login(self._name, renewed)
        return renewed

    def _read(self) -> KeptLogin:
        login = read_login(self._name)
        if login is None:
            raise Forbidden(
                f"you are not logged in to {self._name}",
                code="login_needed",
                hint=f"runi login --context {self._name}",
            )
        return login

    @staticmethod
    def _serves(login: KeptLogin, refused: str) -> bool:
        return login.is_fresh(now_ms()) and login.access_token != refused


def again(name: str) -> Forbidden:
    """Return the error of a login that has ended."""
    return Forbidden(
        f"the login of {name} has ended",
        code="login_again",
        hint=f"runi login --context {name}",
    )


class Asked:
    """A provider that is asked: its settings, and what it says of itself."""

    def __init__(self, login: Login) -> None:
        self.login = login
        authority = Path(login.authority) if login.authority else None
        # Whoever sits here has chosen the provider, and may reach what it says from here anyway.
        reach = Reach(private=True, loopback=True)
        self.provider = Provider(
            id=ProviderId("login"),
            issuer=login.issuer,
            client_id=login.client_id,
            scopes=login.scopes,
            resource=login.resource,
            origins=login.origins,
            reach=reach,
        )
        self._http = HttpClient(reach, authority=authority)

    async def discovery(self) -> Discovery:
        """Return what the provider says of itself. Raises Refused, Unavailable."""
        answer = await self._http.ask(Request(self.provider.discovery_url))
        if answer.status != 200:
            raise Invalid(
                f"{self.provider.discovery_url} answers with {answer.status}",
                code="discovery_refused",
                hint="is that the issuer, as the provider writes it?",
            )
        return read_discovery(self.provider, answer.body)

    async def send(self, said: Form) -> Answer:
        """Send a form. Raises Refused, Unavailable."""
        return await self._http.ask(form(said.url, said.fields, authorization=said.authorization))


async def _renewed(login: KeptLogin) -> KeptLogin:
    asked = Asked(login.login)
    discovery = await asked.discovery()
    at_ms = now_ms()
    said = refresh_form(asked.provider, discovery, refresh_token=login.refresh_token)
    answer = await asked.send(said)
    tokens = read_tokens(answer.status, answer.body, refresh_token=login.refresh_token)
    return kept(login.login, tokens, at_ms=at_ms)
