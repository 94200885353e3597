"""The entrance of a member: whom it lets in by TLS, and whom it sends away again.

    shown                                    becomes
    a certificate of the cluster's node      that node, if the board has nothing against it, and it says its own name
    none, and `JOINING` in the hello         a stranger, who may ask to join
    none, and a token in the hello           a program or a person (`programs.py`), where the server takes them
    none, and nothing                        refused (`no_certificate`)

What was good when a node came is looked at again whenever something changes, and each LOOK_S because certificates end: who may not come in any more is told why, and cut off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import anyio

from runink.actors.trust_board import TrustBoard
from runink.certificates.denials import Denied
from runink.certificates.names import CertifiedNode, identity_of
from runink.certificates.rotation import trusted
from runink.loops import Bell
from runink.runtime.guests import Guest, Shown
from runink.trust.programs import ProgramGuest, Programs
from runink.trust.rights import STRANGER, NodeGuest, guest_of, no_certificate
from runink.wire.events import Greeted
from runink.wire.link import Link
from runink.wire.messages import Hello
from runink.wire.strangers import Seldom

JOINING: Final = b"join"  # in place of credentials: by who has none, and says so
LOOK_S: Final = 10.0
REFUSALS_TOLD_MAX: Final = 5  # in ten seconds

_log = logging.getLogger(__name__)


class ClusterEntrance:
    """One for a member's listener. Nobody comes in by a token without `programs`."""

    def __init__(
        self,
        cluster: str,
        board: TrustBoard,
        *,
        now_s: Callable[[], int],
        programs: Programs | None = None,
    ) -> None:
        self._cluster = cluster
        self._programs = programs
        self._board = board
        self._now_s = now_s
        self._links: dict[Link, CertifiedNode] = {}
        self._changed = Bell()
        self._refused = Seldom(lines=REFUSALS_TOLD_MAX)  # it comes again and again
        board.changed = self._changed.ring

    def admit(self, hello: Hello, shown: Shown) -> Guest | Greeted:
        """Return who it is, or what finds it out. Raises Forbidden and Unauthenticated."""
        if not shown.certificate:
            if hello.credentials == JOINING:
                return STRANGER
            if hello.credentials and self._programs is not None:
                return self._programs.admit(hello, shown)
            raise no_certificate()
        certified = identity_of(shown.certificate)
        denied = self._why_refused(certified)
        if denied is None and hello.node != certified.name:
            text = f"{certified} says that it is {hello.node}"
            denied = Denied("other_node", text, "it has joined under another name (--node)")
        if denied is not None:
            if times := self._refused.count(self._now_s()):
                fields = {"node": str(certified), "code": denied.code, "times": times}
                _log.warning("node refused", extra=fields)
            raise denied.error()
        found = self._board.record(certified.role, certified.name)
        record = found.value if found else None
        return guest_of(certified, shown.certificate, record, address=shown.address)

    def entered(self, link: Link) -> None:
        """Keep an eye on who has come in."""
        assert link.peer is not None
        match link.peer.guest:
            case _ if link.is_over:
                pass  # it has left already
            case NodeGuest(certified=certified):
                self._links[link] = certified
            case ProgramGuest() as guest if self._programs is not None:
                self._programs.entered(link, guest)

    def left(self, link: Link) -> None:
        """End what belongs to the link."""
        assert link.peer is not None
        self._links.pop(link, None)
        if self._programs is not None:
            self._programs.left(link)
        guest = link.peer.guest
        if isinstance(guest, NodeGuest | ProgramGuest) and guest.party is not None:
            guest.party.gone()

    async def watch(self) -> None:
        """Send away who may not be there any more. Ends by being cancelled."""
        while True:  # ends by being cancelled
            with anyio.move_on_after(LOOK_S):
                await self._changed.wait()
            for link, certified in list(self._links.items()):
                denied = self._why_refused(certified)
                if denied is not None:
                    fields = {"node": str(certified), "code": denied.code}
                    _log.warning("node cut off", extra=fields)
                    link.close(denied.error())

    def _why_refused(self, certified: CertifiedNode) -> Denied | None:
        if certified.cluster != self._cluster:
            return Denied("other_cluster", f"{certified} is of cluster {certified.cluster}")
        known = self._board.authorities
        if known is not None and certified.authority not in {
            one.fingerprint for one in trusted(known.value)
        }:
            text = f"{certified} was certified by an authority that the cluster has given up"
            return Denied("authority_dropped", text, "let it join anew: runi node rejoin")
        return self._board.why_refused(certified, now_s=self._now_s())
