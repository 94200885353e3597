"""Questions about who may what, answered by the index that decides: what is told is what holds.

Who asks for somebody else needs `impersonate` of bindings there. Of a herd that the asker does not see, the answer is that nothing allows it.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace as changed

from runink.clients.herds import all_herds
from runink.errors import Forbidden, Invalid
from runink.identity.access import AccessIndex
from runink.identity.decisions import Decision, Explanation, Ground, Held, WhoCan
from runink.identity.principals import Principal
from runink.identity.subjects import principal_named
from runink.identity.vocabulary import CLUSTER, EVERYTHING, Resource, Verb
from runink.operations.calls import Caller, Context
from runink.operations.catalog import questions
from runink.operations.catalog.questions import (
    Identity,
    MayAnswer,
    MayI,
    WhoAmI,
    WhoMay,
    WhoMayInCluster,
)
from runink.operations.permission import absent
from runink.services.behind import Behind, not_hidden, principal_of, shows_herd
from runink.services.service import Handlers

_SOME: Final = "a rule allows it, for some names only"


class QuestionService:
    """Says who may what to who may know it."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            questions.WHOAMI: self._whoami,
            questions.CAN_I: self._can_i,
            questions.EXPLAIN: self._explain,
            questions.WHO_CAN: self._who_can,
            questions.WHO_CAN_IN_CLUSTER: self._who_can_in_cluster,
        }

    async def _whoami(self, _request: WhoAmI, caller: Caller, _context: Context) -> Identity:
        who = principal_of(caller)
        herds = [one.value.herd for one in await all_herds(self._behind.barn)]
        return Identity(
            subject=who.subject,
            kind=who.kind,
            name=who.name,
            display=who.display,
            groups=tuple(f"group:{one}" for one in who.groups),
            herd=who.herd,
            token=who.token,
            until_ms=who.until_s * 1000,
            herds=tuple(one for one in herds if shows_herd(self._behind, caller, one)),
        )

    async def _can_i(self, request: MayI, caller: Caller, _context: Context) -> MayAnswer:
        me, who = principal_of(caller), self._asked_for(request, principal_of(caller))
        explained = self._explained(request, me, who)
        decision = explained.decision
        is_some = (
            not (decision.allowed or request.name)
            and self._sees(me, request.in_herd)
            and self._index.allows_some(
                who, request.verb, request.resource, request.in_herd, now_ms=self._behind.now_ms()
            )
        )
        return MayAnswer(
            allowed=decision.allowed or is_some,
            is_for_some=is_some,
            subject=explained.subject,
            reason=_SOME if is_some else decision.reason,
        )

    async def _explain(self, request: MayI, caller: Caller, _context: Context) -> Explanation:
        me = principal_of(caller)
        return self._explained(request, me, self._asked_for(request, me))

    async def _who_can(self, request: WhoMay, caller: Caller, _context: Context) -> WhoCan:
        return self._holders(request, request.herd, caller)

    async def _who_can_in_cluster(
        self, request: WhoMayInCluster, caller: Caller, _context: Context
    ) -> WhoCan:
        return self._holders(request, CLUSTER, caller)

    def _holders(self, request: WhoMay | WhoMayInCluster, herd: str, caller: Caller) -> WhoCan:
        """Return who may, by those bindings that no rule hides from the caller."""
        now_ms = self._behind.now_ms()
        found = self._index.who_can(
            request.verb, request.resource, herd, request.name, now_ms=now_ms
        )

        def shows(one: Held) -> bool:
            where = CLUSTER if one.herd == EVERYTHING else one.herd
            return not_hidden(self._behind, caller, Resource.BINDINGS, where)(one.binding)

        return WhoCan(tuple(filter(shows, found.allowed)), tuple(filter(shows, found.denied)))

    @property
    def _index(self) -> AccessIndex:
        return self._behind.access.index

    def _sees(self, me: Principal, herd: str) -> bool:
        return herd == CLUSTER or self._behind.access.sees(me, herd)

    def _may(self, me: Principal, verb: Verb, herd: str) -> bool:
        """Say whether the asker may do this with all bindings of a herd."""
        now_ms = self._behind.now_ms()
        return self._index.allows(me, verb, Resource.BINDINGS, herd, now_ms=now_ms)

    def _asked_for(self, request: MayI, me: Principal) -> Principal:
        """Return who is asked for. Raises Forbidden or NotFound if the asker may not ask for somebody else, Invalid (`bad_subject`)."""
        if not request.as_:
            if request.as_group:
                raise Invalid("as_group says in which groups somebody else is: say `as` as well")
            return me
        who = principal_named(request.as_, request.as_group)
        if who.subject == me.subject and not request.as_group:
            return me
        if self._may(me, Verb.IMPERSONATE, request.in_herd):
            return who
        if not self._sees(me, request.in_herd):
            raise absent()
        raise Forbidden(
            "you may not ask what others may here",
            hint="a role that allows impersonate of bindings must be bound to you",
        )

    def _explained(self, request: MayI, me: Principal, who: Principal) -> Explanation:
        verb, resource, herd = request.verb, request.resource, request.in_herd
        now_ms = self._behind.now_ms()
        if not self._sees(me, herd):
            reason = f"no binding there allows {verb} of {resource}"
            decision = Decision(allowed=False, ground=Ground.NOT_GRANTED, reason=reason)
            revision = self._index.revision
            return Explanation(
                who.subject, verb, resource, herd, request.name, now_ms, revision, decision
            )
        found = self._index.explain(who, verb, resource, herd, request.name, now_ms=now_ms)
        found = changed(found, subject=request.as_ or found.subject)
        is_foreign = who.herd not in {CLUSTER, herd} and who.subject != me.subject
        if is_foreign and not self._may(me, Verb.GET, who.herd):
            return _without_gate(found, who)
        return found


def _without_gate(found: Explanation, who: Principal) -> Explanation:
    """Return an explanation that does not tell by what its own herd lets somebody out, or keeps him in."""
    decision = found.decision
    if decision.ground is Ground.NOT_LET_OUT:
        reason = f"{who.subject} belongs to another herd, which does not let it out"
        decision = Decision(allowed=False, ground=Ground.NOT_LET_OUT, reason=reason)
    return changed(found, decision=decision, letting_out=())
