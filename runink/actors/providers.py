"""The shell around providers of identities: it fetches what their caches (`identity/key_cache.py`) say, and asks their endpoints.

Fetches run in tasks of this object, so that who waits for keys and goes away ends none that others wait for.  Each has the client of its provider: its reach, and
the certificates that it is checked with; or somebody else is asked to fetch, where those who know people do not reach their providers.  Nothing is fetched before somebody asks.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import anyio
import anyio.abc
import msgspec

from runink.errors import NotFound, Refused, RuninkError, TimedOut, Unavailable
from runink.identity.flows import Form
from runink.identity.key_cache import Deny, Fetch, Held, KeyCache, Ring, Use, Why
from runink.identity.providers import Discovery, Provider
from runink.outgoing.http_client import WITHIN_S, HttpClient, Resolve, resolved
from runink.outgoing.http_messages import Answer, Request, form
from runink.private_files import read_private

LOOK_S: Final = 2 * WITHIN_S  # two fetches
SECRET_BYTES_MAX: Final = 4_096

_log = logging.getLogger(__name__)

R = TypeVar("R", bound=Ring)
Build = Callable[[Provider, bytes], R]  # makes a ring of a provider's JWKS document


class Fetching(Protocol):
    """Asks a provider by HTTP, from here or by somebody else."""

    async def ask(self, request: Request, *, within_s: float) -> Answer:
        """Return what was answered. Raises as `HttpClient.ask`."""
        ...


Client = Callable[[Provider], Fetching]


def from_here(provider: Provider, *, resolve: Resolve = resolved) -> HttpClient:
    """Return what asks a provider from this machine. Raises Refused (`bad_certificate`)."""
    authority = Path(provider.authority_file) if provider.authority_file else None
    return HttpClient(provider.reach, authority=authority, resolve=resolve)


class ProviderStatistics(msgspec.Struct, frozen=True):
    """What one provider has cost, and how it is: `version` of its keys (0 for none), `last_failure` empty where the last look came back."""

    id: str
    version: int
    looks: int
    failures: int
    last_failure: str


class _Known(Generic[R]):
    """A provider, its cache, its client, and what those wait for who want what is being fetched."""

    def __init__(self, provider: Provider, build: Build[R], client: Client, fetch_s: float) -> None:
        self.provider = provider
        self.cache: KeyCache[R] = KeyCache(provider, partial(build, provider))
        self.client = client(provider)
        self.fetch_s = fetch_s
        self.over = anyio.Event()


class Providers(Generic[R]):
    """Keys and endpoints of several providers, found by their issuers. Made by `providing`."""

    def __init__(
        self, known: Iterable[_Known[R]], group: anyio.abc.TaskGroup, now: Callable[[], float]
    ) -> None:
        self._known = {one.provider.issuer: one for one in known}
        self._group = group
        self._now = now

    async def keys(
        self, issuer: str, kid: str | None = None, *, within_s: float = LOOK_S
    ) -> Held[R]:
        """Return the keys of an issuer, which have the one of this id, if one is named.

        Raises NotFound (`issuer_unknown`), Refused (`key_unknown`), Unavailable (`issuer_unreachable`), TimedOut.
        """
        known = self._of(issuer)
        found = self._asked(
            known, kid
        )  # nearly always they are there, and a deadline is not for nothing
        if found is not None:
            return found
        try:
            with anyio.fail_after(within_s):
                while (
                    found is None
                ):  # ends with keys or without: after a look there is none before the pause is over
                    await known.over.wait()
                    found = self._asked(known, kid)
        except TimeoutError:
            text = f"the keys of {issuer} have not come within {within_s:g} s"
            raise TimedOut(text) from None
        return found

    def _asked(self, known: _Known[R], kid: str | None) -> Held[R] | None:
        """Ask the cache, and do what it says; return nothing where there is something to wait for."""
        match known.cache.ask(kid, self._now()):
            case Use(held, ahead):
                if ahead is not None:
                    self._begin(known, ahead)
                return held
            case Deny(why):
                raise self._denied(known, why)
            case Fetch() as fetch:
                self._begin(known, fetch)
        return None

    async def discovery(self, issuer: str, *, within_s: float = LOOK_S) -> Discovery:
        """Return what an issuer says about itself, as it was read last. Raises NotFound (`issuer_unknown`), Unavailable (`issuer_unreachable`), TimedOut."""
        known = self._of(issuer)
        try:
            with anyio.fail_after(within_s):
                while (found := known.cache.discovery()) is None:  # ends as that of keys
                    if not known.cache.is_looking:
                        fetch = known.cache.look(self._now())
                        if fetch is None:
                            raise self._denied(known, Why.UNREACHABLE)
                        self._begin(known, fetch)
                    await known.over.wait()
        except TimeoutError:
            text = f"{issuer} has not told of itself within {within_s:g} s"
            raise TimedOut(text) from None
        return found

    async def send(self, issuer: str, sent: Form, *, within_s: float = WITHIN_S) -> Answer:
        """Send a form of `identity/flows.py` to the issuer's endpoint. Raises NotFound (`issuer_unknown`), and as `HttpClient.ask`."""
        known = self._of(issuer)
        request = form(sent.url, sent.fields, authorization=sent.authorization)
        return await known.client.ask(request, within_s=within_s)

    async def fetch(self, issuer: str, url: str, *, within_s: float = WITHIN_S) -> Answer:
        """Return what stands at a URL, as far as this issuer's provider may be reached. Raises NotFound (`issuer_unknown`), and as `HttpClient.ask`."""
        return await self._of(issuer).client.ask(Request(url), within_s=within_s)

    def provider(self, issuer: str) -> Provider:
        """Return the settings of an issuer. Raises NotFound (`issuer_unknown`)."""
        return self._of(issuer).provider

    def statistics(self) -> list[ProviderStatistics]:
        return [
            ProviderStatistics(
                one.provider.id,
                one.cache.held.version if one.cache.held else 0,
                one.cache.looks,
                one.cache.failures,
                one.cache.last_failure,
            )
            for one in self._known.values()
        ]

    def _of(self, issuer: str) -> _Known[R]:
        known = self._known.get(issuer)
        if known is None:
            raise NotFound("no provider has this issuer", code="issuer_unknown")
        return known

    def _begin(self, known: _Known[R], fetch: Fetch) -> None:
        known.over = anyio.Event()
        self._group.start_soon(self._look, known, fetch)

    async def _look(self, known: _Known[R], fetch: Fetch) -> None:
        """Fetch until the cache has what it wants, and wake who waits."""
        following: Fetch | None = fetch
        try:
            while following is not None:  # ends with the keys, which come second
                body = await _body(known, following.url)
                following = known.cache.got(body, self._now())
        except RuninkError as error:
            known.cache.failed(error.text)
        finally:
            if known.cache.is_looking:  # cancelled, or a bug
                known.cache.failed("the look was broken off")
            known.over.set()
        if known.cache.last_failure:
            fields = {"provider": known.provider.id, "error": known.cache.last_failure}
            _log.warning("keys of a provider not fetched", extra=fields)

    def _denied(self, known: _Known[R], why: Why) -> RuninkError:
        provider = known.provider
        match why:
            case Why.UNKNOWN_KEY:
                return Refused(f"provider {provider.id} has no such key", code="key_unknown")
            case Why.UNREACHABLE:
                said = known.cache.last_failure
                return Unavailable(
                    f"provider {provider.id} cannot be asked{f': {said}' if said else ''}",
                    code="issuer_unreachable",
                    hint="it is asked again in a few seconds",
                )


@asynccontextmanager
async def providing(
    providers: Iterable[Provider],
    build: Build[R],
    *,
    client: Client = from_here,
    now: Callable[[], float] = anyio.current_time,
    fetch_s: float = WITHIN_S,
) -> AsyncIterator[Providers[R]]:
    """Hold the keys of providers for as long as the block. `client` makes what asks a provider, `now` is a clock that never goes back, `fetch_s` what each fetch may take. Raises Refused (`bad_certificate`)."""
    known = [_Known(one, build, client, fetch_s) for one in providers]
    async with anyio.create_task_group() as group:
        try:
            yield Providers(known, group, now)
        finally:
            group.cancel_scope.cancel()


async def _body(known: _Known[R], url: str) -> bytes:
    answer = await known.client.ask(Request(url), within_s=known.fetch_s)
    if answer.status != 200:
        text = f"{url} answers with status {answer.status}"
        raise Unavailable(text, code="answer_malformed")
    return answer.body


def read_secret(path: Path) -> str:
    """Return a client's secret, the one line of a file that only its owner may read. Raises Refused (`bad_secret_file`)."""
    try:
        data = read_private(path, code="bad_secret_file", harm="can be this client")
    except OSError as error:
        text = f"the file of a client's secret, {path}, cannot be read: {error.strerror or error}"
        raise Refused(text, code="bad_secret_file") from None
    secret = data.removesuffix(b"\n")
    if not 0 < len(secret) <= SECRET_BYTES_MAX or not all(32 < one < 127 for one in secret):
        text = f"the file of a client's secret, {path}, holds something else than one line of visible ASCII"
        raise Refused(text, code="bad_secret_file")
    return secret.decode()
