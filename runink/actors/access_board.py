"""Who asks, and whether they may: what a member answers to every request from outside, out of what the Barn says (`access_facts.py`).

    a token of              is checked by                                   and refused as well, although it is good in itself
    a service account       the cluster's signing keys                      where it, its account or its key is revoked; where the account is disabled, gone or another; where the herd is deleted
    a slice                 the same                                        where that attempt does not run at that node any more: its run and slice are read, no longer than LOOK_S ago
    a person                the keys of the provider (`known_people.py`)    where it, the person or the key is revoked

Nobody is known before the Barn was read, nor when no majority of its members was heard of for STALE_S: what others have revoked meanwhile would be taken.  So a revocation is in force
everywhere as soon as the watch has told of it, and at a member that is cut off after STALE_S.

A token that was found good is remembered (`identity/checked_tokens.py`): its signature is not computed again as long as the key is the same. All that stands in the last column is looked at each time.

`allows` and `sees` decide at once.  They look at what is revoked, too, so that a stream ends with the token that it was asked for with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import anyio

from runink.actors.access_facts import AccessFacts
from runink.actors.known_people import KnownPeople
from runink.actors.tables import Seen
from runink.barn.keys import run_key, slice_key
from runink.barn.keyvalue import one_key
from runink.clients.barn import BarnClient, decode_value
from runink.errors import Unavailable
from runink.identity import denials
from runink.identity.access import AccessIndex
from runink.identity.checked_tokens import CheckedTokens
from runink.identity.denials import Fault
from runink.identity.principal_mapping import service_account_principal, slice_principal
from runink.identity.principals import Principal
from runink.identity.providers import Provider
from runink.identity.signing import (
    OF_SLICES,
    SliceToken,
    service_account_tokens,
    slice_of,
    slice_tokens,
)
from runink.identity.tokens import Claims, UnverifiedToken
from runink.identity.vocabulary import Resource, Verb
from runink.loops import now_s as loop_s
from runink.names import HerdName, RunId, SliceId
from runink.operations.calls import Unauthenticated
from runink.runs.records import RunRecord, SliceRecord

STALE_S: Final = 5.0  # longer than an election takes
LOOK_S: Final = 1.0  # what a slice's token was found to be counts for as long
LOOKS_MAX: Final = 4_096  # of slices that are remembered: beyond that they are looked for each time

_log = logging.getLogger(__name__)


class AccessBoard:
    """One for a member. `issuer` is what the cluster calls itself in its tokens, and whom they are for. `now_ms` is the wall clock, `clock` one that never goes back."""

    def __init__(
        self,
        barn: BarnClient,
        people: KnownPeople,
        *,
        issuer: str,
        now_ms: Callable[[], int],
        clock: Callable[[], float] = loop_s,
    ) -> None:
        self.issuer: Final = issuer
        self.facts: Final = AccessFacts()
        self.now_ms: Final = now_ms
        self._barn = barn
        self._people = people
        self._clock = clock
        self._heard_s: float | None = None
        self._changed = anyio.Event()
        self._accounts = service_account_tokens(issuer, issuer)
        self._slices = slice_tokens(issuer, issuer)
        self._checked = CheckedTokens()
        self._runs_there: dict[SliceToken, tuple[float, bool]] = {}

    # Filled by whoever follows the Barn.

    def take(self, seen: Seen) -> None:
        """Take what the Barn holds, or what has changed there."""
        providers = self._providers()
        self.facts.take(seen)
        if self._providers() != providers:
            self._people.become(self._providers())
        self._changed.set()
        self._changed = anyio.Event()

    def heard(self, asked_s: float) -> None:
        """Take note that a majority of the Barn's members has answered what was asked at this time of `clock`."""
        self._heard_s = asked_s

    async def wait_past(self, revision: int, *, within: float) -> None:
        """Return when it knows more than what the Barn said at this revision. Raises Unavailable (`access_unknown`)."""
        with anyio.move_on_after(within):
            while self.facts.revision <= revision:
                await self._changed.wait()
            return
        raise _unknown("this member is behind what the Barn says")

    # Asked by whoever lets people and programs in.

    def check_known(self) -> None:
        """Raise Unavailable (`access_unknown`) unless it is known what the Barn says, and nothing was missed for longer than STALE_S."""
        if self.facts.revision < 0:
            raise _unknown("this member does not know yet who may what")
        if self._heard_s is None or self._clock() - self._heard_s > STALE_S:
            raise _unknown("this member has not heard of the others for a while")

    @property
    def index(self) -> AccessIndex:
        """Return what decides by the roles and bindings that there are. Raises Unavailable (`access_unknown`)."""
        self.check_known()
        return self.facts.index

    def allows(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        """Say whether it may be done. `herd` is empty for what belongs to none, `name` for what is a list: then whether anything of it may. Raises Unavailable (`access_unknown`)."""
        index, now_ms = self.index, self.now_ms()
        if self.facts.why_refused(principal):
            return False
        if not name:
            return index.allows_some(principal, verb, resource, herd, now_ms=now_ms)
        return index.allows(principal, verb, resource, herd, name, now_ms=now_ms)

    def hides(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        """Say whether a rule hides something from the principal by its name. Raises Unavailable (`access_unknown`)."""
        return self.index.hides(principal, verb, resource, herd, name, now_ms=self.now_ms())

    def sees(self, principal: Principal, herd: str) -> bool:
        """Say whether the principal may know that a herd is there. Raises Unavailable (`access_unknown`)."""
        index = self.index
        if self.facts.why_refused(principal):
            return False
        return bool(index.herds_visible(principal, (herd,), now_ms=self.now_ms()))

    async def authenticate(self, token: str) -> Principal:
        """Return who a token speaks for. Raises Unauthenticated, and Unavailable (`access_unknown`, `issuer_unreachable`, `issuer_unusable`) or TimedOut where it cannot be told."""
        self.check_known()
        try:
            return await self._known(token)
        except denials.Unauthenticated as refused:
            _log.info(
                "token refused", extra={"fault": refused.fault.value, "detail": refused.detail}
            )
            raise Unauthenticated(refused.text, hint=refused.hint) from None

    async def _known(self, token: str) -> Principal:
        unverified = self._checked.read(token)
        now_s = self.now_ms() // 1000
        if unverified.issuer == self.issuer:
            principal = await self._of_ours(unverified, now_s)
        else:
            principal = await self._people.who_has(
                unverified, now_s=now_s, check=self._checked.check
            )
        if self.now_ms() // 1000 >= principal.until_s:
            # The leeway is for clocks that differ. Roles give nothing to who has ended, so who is in it would be known and might nothing.
            raise denials.Unauthenticated(Fault.EXPIRED, "within the leeway")
        refusal = self.facts.why_refused(principal)
        if refusal:
            raise denials.Unauthenticated(Fault.REVOKED, refusal)
        return principal

    async def _of_ours(self, token: UnverifiedToken, now_s: int) -> Principal:
        kind = token.header.get("typ")
        if kind != OF_SLICES:  # whatever it is, it is held against what accounts' tokens must be
            claims = self._checked.check(token, self.facts.ring, self._accounts, now_s=now_s)
            return service_account_principal(claims)
        claims = self._checked.check(token, self.facts.ring, self._slices, now_s=now_s)
        return await self._slice(claims)

    async def _slice(self, claims: Claims) -> Principal:
        principal = slice_principal(claims)
        shown = slice_of(claims)
        if not await self._is_there(shown):
            raise denials.Unauthenticated(Fault.REVOKED, f"{shown.subject} does not run any more")
        return principal

    async def _is_there(self, shown: SliceToken) -> bool:
        """Say whether an attempt of a slice runs at its node; remembered for LOOK_S."""
        asked_s = self._clock()
        found_s, is_there = self._runs_there.get(shown, (-LOOK_S, False))
        if asked_s - found_s < LOOK_S:
            return is_there
        is_there = await runs_at(self._barn, shown)
        if len(self._runs_there) >= LOOKS_MAX:
            self._runs_there.clear()
        self._runs_there[shown] = (asked_s, is_there)
        return is_there

    def _providers(self) -> tuple[Provider, ...]:
        return self.facts.providers.values()


async def runs_at(barn: BarnClient, shown: SliceToken) -> bool:
    """Say whether that attempt of a slice is under way at that node, in a run that is not over. Raises Unavailable."""
    herd, run, slice_id = HerdName(shown.herd), RunId(shown.run), SliceId(shown.slice)
    pages = await barn.read(one_key(run_key(herd, run)), one_key(slice_key(herd, run, slice_id)))
    runs, slices = (page.items for page in pages.pages)
    if not runs or not slices:
        return False
    of_run = decode_value(runs[0], RunRecord).value
    now = decode_value(slices[0], SliceRecord).value
    if of_run.state.is_over or now.state.is_over:
        return False
    return (now.attempt, now.node) == (shown.attempt, shown.node)


def _unknown(text: str) -> Unavailable:
    return Unavailable(text, code="access_unknown", hint="try again, or ask another member")
