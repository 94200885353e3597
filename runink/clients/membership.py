"""Who belongs to the Barn's group, and changes of it: one voter at a time, each safe by itself.

add        a member is a learner: it gets everything and has no vote, so that a group never waits for one that is still empty
promote    a learner becomes a voter
remove     a member leaves; its number is never given again
transfer   another voter leads
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runink.barn.commands import Declined
from runink.barn.keys import MEMBERS, member_key
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import BarnStatus, ChangeMembers, MoveLeader
from runink.errors import Conflict, NotFound, Refused
from runink.raft.messages import ConfChangeSingle, ConfChangeType, ConfChangeV2

MEMBERS_MAX: Final = 9  # each more makes every write wait for more disks


@dataclass(frozen=True, slots=True)
class Membership:
    """The group as the member that was asked knows it. `addresses` by number, as the Barn holds them."""

    status: BarnStatus
    addresses: dict[int, str]

    @property
    def members(self) -> tuple[int, ...]:
        return tuple(sorted({*self.status.voters, *self.status.learners}))

    def role(self, member: int) -> str:
        if member == self.status.lead:
            return "leader"
        return "voter" if member in self.status.voters else "learner"


class MembershipAdmin:
    """Changes of the group, asked of any member."""

    def __init__(self, barn: BarnClient) -> None:
        self._barn = barn

    async def look(self) -> Membership:
        """Return who belongs to the group."""
        listing = await self._barn.range(MEMBERS.prefix(), str)
        addresses = {
            int(parts[0]): found.value
            for found in listing.items
            if (parts := MEMBERS.parse(found.key)) and parts[0].isdigit()
        }
        return Membership(await self._barn.status(), addresses)

    async def add(self, member: int, address: str) -> None:
        """Take a member in, as a learner. Raises Conflict (`member_exists`), Refused (`too_many_members`)."""
        known = await self.look()
        if member in known.members:
            raise Conflict(f"member {member} is there already", code="member_exists")
        if len(known.members) >= MEMBERS_MAX:
            raise Refused(f"a Barn has at most {MEMBERS_MAX} members", code="too_many_members")
        await self._barn.put(member_key(member), address)
        await self._change(ConfChangeType.ConfChangeAddLearnerNode, member)

    async def promote(self, member: int) -> None:
        """Let a learner vote. Raises NotFound (`no_such_member`), Conflict (`is_voter`)."""
        known = await self.look()
        if member in known.status.voters:
            raise Conflict(f"member {member} votes already", code="is_voter")
        _check_there(known, member)
        await self._change(ConfChangeType.ConfChangeAddNode, member)

    async def remove(self, member: int) -> None:
        """Let a member go, or bring to its end what nobody was answered to. Raises NotFound (`no_such_member`), Refused (`last_voter`)."""
        known = await self.look()
        if member not in known.addresses:  # what is left of one that has gone
            _check_there(known, member)
        if known.status.voters == (member,):
            raise Refused(f"member {member} is the only voter", code="last_voter")
        await self._change(ConfChangeType.ConfChangeRemoveNode, member)
        await self._barn.delete(member_key(member))

    async def transfer(self, member: int) -> None:
        """Have a voter lead; answered when it was begun. Raises NotFound (`no_such_member`), Refused (`not_a_voter`)."""
        known = await self.look()
        _check_there(known, member)
        if member not in known.status.voters:
            raise Refused(
                f"member {member} is a learner", code="not_a_voter", hint="promote it first"
            )
        await self._barn.ask(MoveLeader(member))

    async def _change(self, kind: ConfChangeType, member: int) -> None:
        change = ConfChangeV2(changes=(ConfChangeSingle(kind, member),))
        answer = await self._barn.ask(ChangeMembers(change))
        if isinstance(answer, Declined):
            raise Refused(answer.text, code=answer.code)


def _check_there(known: Membership, member: int) -> None:
    if member not in known.members:
        raise NotFound(
            f"there is no member {member}",
            code="no_such_member",
            hint="runi cluster status lists them",
        )
