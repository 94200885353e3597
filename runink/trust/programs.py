"""Programs and people on the wire: who shows a token in place of a certificate, and what it may send.

    when                        looked at
    the hello                   the token, by whoever authenticates; failed tries are counted by address, with those of HTTP
    each message                whether it is for the desk, and whether the token has ended
    each call and each part     what the principal may (`services/desk.py`)
    each LOOK_S                 the token again: who was revoked is cut off

Whoever comes by the state folder's socket, or with the certificate of a command, calls as an operator.  A token is kept for as long as its link, shows in no `repr` and stands in no log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import anyio

from runink.clients.api_requests import Call, Leave, Next
from runink.clients.cluster import API
from runink.errors import Forbidden, Unavailable
from runink.identity.principals import Principal, PrincipalKind
from runink.operations.calls import Unauthenticated
from runink.operations.hearing import Hearing
from runink.runtime.guests import OpenEntrance, Shown
from runink.services.desk import check_lasts
from runink.services.parties import Party, Said
from runink.wire.events import Greeted
from runink.wire.link import Link
from runink.wire.messages import Hello
from runink.wire.strangers import Seldom

LOOK_S: Final = 1.0  # revoked within two seconds: one for the cluster to hear of it, one for us
TOKEN_BYTES_MAX: Final = 8 << 10  # as in HTTP
REFUSALS_TOLD_MAX: Final = 5  # in ten seconds: whoever tries out tokens fills no log
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
_MESSAGES: Final = frozenset({"Call", "Next", "Leave"})

_log = logging.getLogger(__name__)


class ProgramGuest:
    """One that has shown a token: it may send what the desk takes, and nothing else."""

    is_node = False

    def __init__(self, party: Party, token: str, *, now_ms: Callable[[], int]) -> None:
        self.party = party
        self.token = token
        self._now_ms = now_ms

    def __repr__(self) -> str:
        return f"ProgramGuest({self.party})"

    def check(self, target: str, kind: str) -> None:
        """Raise Forbidden (`message_forbidden`), and Unauthenticated when its token has ended."""
        if target != API or kind not in _MESSAGES:
            text = f"who shows a token may not send {kind} to {target}"
            raise Forbidden(text, code="message_forbidden")
        check_lasts(self.party, now_ms=self._now_ms())

    def examine(self, target: str, message: Any) -> Any:  # noqa: ARG002 - `check` has let only one through
        """Return what it has said, in its name."""
        return Said(self.party, message)


class OperatorGuest:
    """The user of this machine, by the socket in the state folder: all that is served, and calls as an operator."""

    is_node = True

    def __init__(self, party: Party) -> None:
        self.party = party

    def check(self, target: str, kind: str) -> None:
        """Let it pass."""

    def examine(self, target: str, message: Any) -> Any:
        """Return the message, with who calls where the desk is called."""
        return spoken(self.party, target, message)


def spoken(party: Party, target: str, message: Any) -> Any:
    """Return what is delivered of a message by somebody who sends others as well."""
    if target == API and isinstance(message, Call | Next | Leave):
        return Said(party, message)
    return message


class OperatorEntrance(OpenEntrance):
    """Of the socket in the state folder: its mode and the peer's user are the credentials. `user` is what logs call it."""

    def __init__(self, user: str) -> None:
        self._principal = Principal(PrincipalKind.OPERATOR, user)

    def admit(self, hello: Hello, shown: Shown) -> OperatorGuest:  # noqa: ARG002 - the socket says it all
        """Let it in."""
        return OperatorGuest(Party(self._principal))

    def left(self, link: Link) -> None:
        """End what belongs to the link."""
        assert link.peer is not None
        link.peer.guest.party.gone()


class Programs:
    """Those that have shown a token, of one listener. `now_ms` is the wall clock (Unix epoch)."""

    def __init__(self, hearing: Hearing, *, now_ms: Callable[[], int]) -> None:
        self._hearing = hearing
        self._now_ms = now_ms
        self._links: dict[Link, ProgramGuest] = {}
        self._refused = Seldom(lines=REFUSALS_TOLD_MAX)

    def statistics(self) -> dict[str, int]:
        """Return how many connections of programs there are."""
        return {"connections": len(self._links)}

    def admit(self, hello: Hello, shown: Shown) -> Greeted:
        """Return what finds out who it is. Raises Unauthenticated for what is no token at all."""
        if len(hello.credentials) > TOKEN_BYTES_MAX or not _TOKEN.fullmatch(hello.credentials):
            raise self._told("what was shown is no token", shown)
        return Greeted(partial(self._look_at, hello, shown))

    def entered(self, link: Link, guest: ProgramGuest) -> None:
        """Keep an eye on it."""
        self._links[link] = guest

    def left(self, link: Link) -> None:
        """Look at it no more."""
        self._links.pop(link, None)

    async def watch(self) -> None:
        """Cut off whose token has ended or was revoked. Ends by being cancelled."""
        while True:  # ends by being cancelled
            await anyio.sleep(LOOK_S)
            # All at once: one whose provider does not answer must not hold up the others.
            with anyio.move_on_after(LOOK_S):
                async with anyio.create_task_group() as group:
                    for link, guest in list(self._links.items()):
                        group.start_soon(self._look_again, link, guest)

    async def _look_at(self, hello: Hello, shown: Shown) -> ProgramGuest:
        """Return who bears the token. Raises Unauthenticated, TooOften, Unavailable and Forbidden."""
        token = hello.credentials.decode("ascii")
        try:
            principal = await self._hearing.principal(token, shown.address)
        except Unauthenticated as error:
            raise self._told(error.text, shown) from None
        if hello.herd not in {"", principal.herd}:
            text = f"{principal.subject} does not speak for the herd {hello.herd}"
            raise Forbidden(text, code="other_herd", hint="leave the herd out of the hello")
        return ProgramGuest(Party(principal, shown.address), token, now_ms=self._now_ms)

    def _told(self, reason: str, shown: Shown) -> Unauthenticated:
        """Note why somebody is refused, and return what it is told: never more than that."""
        if times := self._refused.count(self._now_ms() / 1000):
            fields = {"address": shown.address, "reason": reason[:256], "times": times}
            _log.warning("program refused", extra=fields)
        return Unauthenticated(
            "the token is not valid", hint="runi token mint makes one for a service account"
        )

    async def _look_again(self, link: Link, guest: ProgramGuest) -> None:
        try:
            check_lasts(guest.party, now_ms=self._now_ms())
            principal = await self._hearing.authenticate(guest.token)
        except Unauthenticated as error:
            fields = {"principal": guest.party.principal.subject, "reason": error.text[:256]}
            _log.warning("program cut off", extra=fields)
            link.close(Unauthenticated("the token is not valid any more"))
        except Unavailable:
            return  # who was good stays; each call is looked at by itself
        else:
            if principal.subject != guest.party.principal.subject:
                # What a provider's claims mean was set otherwise since.
                fields = {"principal": guest.party.principal.subject, "now": principal.subject}
                _log.warning("program cut off", extra=fields)
                link.close(Unauthenticated("the token speaks for somebody else now"))
                return
            guest.party.principal = principal  # its groups may be others now
