"""A removal of a member whose answer was lost: asked for again it leaves nothing of that member, and a member that never was is told as such."""

from __future__ import annotations

import pytest
import trio.testing
from member_world import three_members
from runink.barn.keys import member_key
from runink.clients.barn_requests import ChangeMembers
from runink.clients.membership import MembershipAdmin
from runink.errors import NotFound
from runink.raft.messages import ConfChangeSingle, ConfChangeType, ConfChangeV2

pytestmark = pytest.mark.trio


async def test_a_removal_that_took_effect_unheard_is_finished_by_the_next(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        lead = await three.leader()
        gone = lead % 3 + 1
        barn = three.client(lead)
        for member in (1, 2, 3):
            await barn.put(member_key(member), f"127.0.0.{member}:7400")
        change = ConfChangeSingle(ConfChangeType.ConfChangeRemoveNode, gone)
        await barn.ask(ChangeMembers(ConfChangeV2(changes=(change,))))  # and no more was heard
        admin = MembershipAdmin(barn)
        assert gone not in (await admin.look()).members
        await admin.remove(gone)
        assert gone not in (await admin.look()).addresses
        with pytest.raises(NotFound) as caught:
            await admin.remove(gone)
        assert caught.value.code == "no_such_member"
