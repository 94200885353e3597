"""The people of all providers that the Barn names: each provider has its keys in a task of its own, which ends when its settings change and begins anew with others.

A provider whose settings cannot be used (a file of certificates that is not there) is told of in the log, and its people are answered that it cannot be told who they are.  The
others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final

import anyio

from runink.actors.people import People, knowing
from runink.errors import NotFound, Refused, Unavailable
from runink.identity.checked_tokens import Check
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.principals import Principal
from runink.identity.providers import Provider
from runink.identity.tokens import UnverifiedToken, check
from runink.loops import Bell
from runink.outgoing.http_messages import Answer

AGAIN_S: Final = 30.0  # until settings that cannot be used are tried anew
BEGIN_S: Final = 5.0  # what a provider's client takes at most to be made: files are read

_log = logging.getLogger(__name__)

Know = Callable[[Iterable[Provider]], AbstractAsyncContextManager[People]]


class _Provider:
    """A provider and, once they are known, its people."""

    def __init__(self, settings: Provider) -> None:
        self.settings = settings
        self.scope = anyio.CancelScope()
        self.begun = anyio.Event()  # it is known, or cannot be
        self.people: People | None = None


class KnownPeople:
    """One for a member. `run` must run; `settings` are looked at whenever it is told of others (`become`)."""

    def __init__(self, know: Know = knowing) -> None:
        self._know = know
        self._known: dict[str, _Provider] = {}  # by issuer
        self._begin: list[_Provider] = []
        self._bell = Bell()

    def become(self, settings: Iterable[Provider]) -> None:
        """Know the people of these providers, and of no other. Of two with one issuer the first counts."""
        wanted: dict[str, Provider] = {}
        for one in settings:
            wanted.setdefault(one.issuer, one)
        for issuer, known in tuple(self._known.items()):
            if wanted.get(issuer) != known.settings:
                self._forget(issuer)
        for issuer, one in wanted.items():
            if issuer not in self._known:
                self._known[issuer] = _Provider(one)
                self._begin.append(self._known[issuer])
        self._bell.ring()

    async def who_has(
        self, token: UnverifiedToken, *, now_s: int, check: Check = check
    ) -> Principal:
        """Return the user that a token speaks for. `check` says whether it is good.

        Raises Unauthenticated, and Unavailable (`issuer_unreachable`, `issuer_unusable`) or TimedOut where it cannot be told.
        """
        people = await self._people(token.issuer)
        if people is None:
            raise Unauthenticated(Fault.ISSUER, "no provider has its issuer")
        return await people.who_has(token, now_s=now_s, check=check)

    async def _people(self, issuer: str) -> People | None:
        """Return the people of an issuer, nothing where no provider has it. Raises Unavailable (`issuer_unusable`)."""
        known = self._known.get(issuer)
        with anyio.move_on_after(BEGIN_S):
            while known is not None and not known.begun.is_set():  # ends: see `_forget`
                await known.begun.wait()
                known = self._known.get(issuer)
        if known is None:
            return None
        if known.people is None:
            raise Unavailable(
                f"the settings of provider {known.settings.id} cannot be used",
                code="issuer_unusable",
                hint="why stands in the log of the member",
            )
        return known.people

    async def fetch(self, issuer: str, url: str, *, within_s: float) -> Answer:
        """Ask an issuer's provider in the name of those who do not reach it. Raises NotFound (`issuer_unknown`), Unavailable (`issuer_unusable`), and as `HttpClient.ask`."""
        people = await self._people(issuer)
        if people is None:
            raise NotFound("no provider has this issuer", code="issuer_unknown")
        return await people.providers.fetch(issuer, url, within_s=within_s)

    async def run(self) -> None:
        """Have the keys of providers for as long as this task lives; another one begins anew with the same."""
        try:
            async with anyio.create_task_group() as tasks:
                while True:  # ends by being cancelled
                    for known in self._begin:
                        tasks.start_soon(self._hold, known)
                    self._begin.clear()
                    await self._bell.wait()
        finally:
            settings = [known.settings for known in self._known.values()]
            for issuer in tuple(self._known):
                self._forget(issuer)
            self._begin.clear()
            self.become(settings)

    def _forget(self, issuer: str) -> None:
        """Have a provider end. Who waits for it looks again, and finds what has taken its place."""
        known = self._known.pop(issuer)
        known.scope.cancel()
        known.begun.set()

    async def _hold(self, known: _Provider) -> None:
        with known.scope:
            while True:  # ends with the scope: what its settings name may come to be there
                try:
                    async with self._know((known.settings,)) as people:
                        known.people = people
                        known.begun.set()
                        await anyio.sleep_forever()
                except Refused as error:
                    fields = {"provider": known.settings.id, "error": error.text}
                    _log.warning("settings of a provider not used", extra=fields)
                finally:
                    known.people = None
                    known.begun.set()
                await anyio.sleep(AGAIN_S)
