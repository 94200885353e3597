"""A node keeps its certificate good, and knows whom to trust: it looks at the cluster's authorities, and asks for the next certificate in time.

    the authorities change, and each LOOK_S   whom to trust is asked for; what is new is kept and used, and the members are told so
    at half of a certificate's lifetime       the next one, with a new key; one that does not come is asked for again, the sooner the less time is left
    the authority that issues is another      the next one at once

A member closes a connection when the certificate that it was made with ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import anyio

from runink.actors.tables import Seen, follow
from runink.barn.keys import AUTHORITY
from runink.certificates.authority import BACKDATE_S, make_request
from runink.certificates.names import CertifiedNode
from runink.certificates.renewal import renew_at_s, retry_at_s
from runink.clients.barn import BarnClient
from runink.clients.trust_requests import AuthorityOf, Bundle, Renew, Trusts
from runink.errors import RuninkError, Unavailable
from runink.loops import Bell
from runink.runtime.ref import Ref
from runink.trust.connecting import Trust

LOOK_S: Final = 60.0
WITHIN_S: Final = 10.0

_log = logging.getLogger(__name__)


class Renewer:
    """One for a node. `members` is the trust actor of whichever member answers; `jitter`, 0 to 1, parts nodes that began together. `renewed` is called when another certificate is used.

    A certificate is asked for on a connection that was made with the one before it, so connections to members are made anew with each.
    """

    def __init__(
        self,
        trust: Trust,
        members: Ref[Any],
        barn: BarnClient,
        *,
        now_s: Callable[[], int],
        jitter: Callable[[], float],
        renewed: Callable[[], object] = lambda: None,
    ) -> None:
        assert trust.folder is not None, "who shows a secret renews nothing"
        assert trust.contexts is not None, "who shows a secret renews nothing"
        self._folder = trust.folder
        self._contexts = trust.contexts
        self._members = members
        self._barn = barn
        self._news = Bell()
        self._now_s = now_s
        self._jitter = jitter
        self._tell_renewed = renewed
        self._part = jitter()
        self._revision = 0  # of the bundle that we use
        self._retry_s = 0  # before then a renewal that failed is not tried again

    async def run(self, *, look_s: float = LOOK_S) -> None:
        """Look whenever it is time, until it is cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(follow, self._barn, (AUTHORITY.prefix(),), self._heard)
            while True:  # ends by being cancelled
                try:
                    await self.look()
                except Unavailable:
                    pass  # nobody can be asked now; the next look is soon enough
                except (RuninkError, OSError) as error:  # a disk may be full for a while
                    _log.warning("certificate not looked after", extra={"error": str(error)})
                with anyio.move_on_after(look_s):
                    await self._news.wait()

    async def _heard(self, _: Seen) -> None:
        self._news.ring()

    async def look(self) -> None:
        """Look once. Raises what is in the way of it; then the next look does it."""
        bundle = await self._members.ask(AuthorityOf(), within=WITHIN_S)
        if bundle.revision != self._revision:
            self._folder.trust(bundle.pem)
            self._use()
            self._revision = bundle.revision
        shown, now_s = self._shown(), self._now_s()
        if now_s >= self._retry_s and self._is_due(shown, bundle, now_s):
            self._retry_s = retry_at_s(shown, now_s=now_s, jitter=self._jitter())
            shown = await self._renewed(shown)
            self._retry_s = 0
        said = Trusts(shown.role, shown.name, bundle.revision, shown.authority, shown.not_after_s)
        await self._members.tell(said)

    def _is_due(self, shown: CertifiedNode, bundle: Bundle, now_s: int) -> bool:
        issued_s = shown.not_before_s + BACKDATE_S
        is_old = now_s >= renew_at_s(shown, issued_s=issued_s, jitter=self._part)
        return is_old or shown.authority != bundle.issuer

    async def _renewed(self, shown: CertifiedNode) -> CertifiedNode:
        request = make_request(self._folder.next_key(), shown.name)
        current = self._folder.certificate()
        assert current is not None, "a node that runs has joined"
        admission = await self._members.ask(Renew(current, request), within=WITHIN_S)
        found = self._folder.install(admission.certificate, admission.bundle.pem)
        self._use()
        self._tell_renewed()
        _log.info("certificate renewed", extra={"node": str(found), "generation": found.generation})
        return found

    def _use(self) -> None:
        identity = self._folder.load()
        assert identity is not None, "a node that runs has joined"
        self._contexts.replace(identity)

    def _shown(self) -> CertifiedNode:
        shown = self._folder.shown()
        assert shown is not None, "a node that runs has joined"
        return shown
