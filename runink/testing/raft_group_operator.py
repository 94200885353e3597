"""Who runs a simulated group: changes its membership and hands its leadership about, all the time.

A change is proposed from what anybody has applied; it may be dropped, be refused, or come too late, as an operator's may.  New members
begin with an empty disk and a number that nobody had before.  Majorities stay possible: there are three voters at least.

The members of a group with neither pre-vote nor check-quorum stay who they are.  There nobody tells a leader that its term is past, but whoever campaigns; and a
learner may not, and a voter that lags behind some changes asks only those whom it knew: told of a higher term, neither would ever hear the leader again
(seeds 187 and 1462).  etcd's raft is no different.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runink.raft.messages import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
)
from runink.testing.raft_group_member import Member
from runink.testing.raft_group_world import MS, World

PERIOD_US_MAX: Final = 250 * MS
VOTERS_MIN: Final = 3
VOTERS_MAX: Final = 5
LEARNERS_MAX: Final = 2

ADD: Final = ConfChangeType.ConfChangeAddNode
REMOVE: Final = ConfChangeType.ConfChangeRemoveNode
LEARN: Final = ConfChangeType.ConfChangeAddLearnerNode


class Operator:
    """Proposes changes at whoever leads, or at anybody. `hire` makes a new member and returns its number."""

    def __init__(
        self,
        world: World,
        *,
        conf_state: Callable[[], ConfState],
        members: Callable[[], list[Member]],
        hire: Callable[[], int],
        may_change: bool,
    ) -> None:
        self._world = world
        self._may_change = may_change
        self._conf_state = conf_state
        self._members = members
        self._hire = hire
        self._has_ceased = False

    def begin(self) -> None:
        self._world.later(self._world.between(10 * MS, PERIOD_US_MAX), "operator", self._act)

    def cease(self) -> None:
        """Change nothing any more, but for leaving what was begun."""
        self._has_ceased = True

    def _act(self) -> None:
        self.begin()
        alive = [member for member in self._members() if member.is_alive]
        if not alive:
            return
        leaders = [member for member in alive if member.is_leader]
        random = self._world.random
        member = random.choice(leaders if leaders and random.random() < 0.9 else alive)
        state = self._conf_state()
        if state.voters_outgoing and not state.auto_leave:
            if self._has_ceased or random.random() < 0.4:
                member.do("leaves joint", lambda node: node.propose_conf_change(ConfChangeV2()))
            return
        if self._has_ceased:
            return
        match random.choice(["change"] * 5 + ["transfer"] * 4 + ["campaign", "forget"]):
            case "change" if self._may_change and not state.voters_outgoing:
                self._change(member, state)
            case "transfer":
                to = random.choice(state.voters)
                member.do("transfers", lambda node: node.transfer_leader(to))
            case "campaign":
                member.do("campaigns", lambda node: node.campaign())
            case "forget":
                member.do("forgets", lambda node: node.forget_leader())

    def _change(self, member: Member, state: ConfState) -> None:
        changes = self._changes(state)
        if not changes:
            return
        random = self._world.random
        if len(changes) == 1 and random.random() < 0.5:
            simple = ConfChange(changes[0].type, changes[0].node_id)
            member.do("changes", lambda node: node.propose_conf_change(simple))
            return
        change = ConfChangeV2(random.choice(list(ConfChangeTransition)), changes)
        member.do("changes jointly", lambda node: node.propose_conf_change(change))

    def _changes(self, state: ConfState) -> tuple[ConfChangeSingle, ...]:
        """Return a change that keeps the number of voters within its bounds."""
        random = self._world.random
        voters, learners = state.voters, state.learners
        may_shrink, may_grow = len(voters) > VOTERS_MIN, len(voters) < VOTERS_MAX
        match random.choice(["add", "remove", "replace", "learn", "promote", "demote", "swap"]):
            case "add" if may_grow:
                return (ConfChangeSingle(ADD, self._hire()),)
            case "learn" if len(learners) < LEARNERS_MAX:
                return (ConfChangeSingle(LEARN, self._hire()),)
            case "promote" if learners and may_grow:
                return (ConfChangeSingle(ADD, random.choice(learners)),)
            case "demote" if may_shrink:
                return (ConfChangeSingle(LEARN, random.choice(voters)),)
            case "remove" if may_shrink:
                return (ConfChangeSingle(REMOVE, random.choice([*voters, *learners])),)
            case "replace":
                gone = random.choice(voters)
                return (ConfChangeSingle(ADD, self._hire()), ConfChangeSingle(REMOVE, gone))
            case "swap" if learners:
                up, down = random.choice(learners), random.choice(voters)
                return (ConfChangeSingle(ADD, up), ConfChangeSingle(LEARN, down))
            case _:
                return ()
