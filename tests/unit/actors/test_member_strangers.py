"""What a member is sent that it should not be: it goes on, and ends only where its own log is gone."""

from __future__ import annotations

import msgspec
import pytest
from member_world import alone
from runink.actors.peers import OF_MEMBERS, PeerMessages
from runink.barn.commands import Applied
from runink.errors import Broken
from runink.raft.messages import Message, MessageType
from runink.testing.disk import FaultyDisk


@pytest.mark.anyio
@pytest.mark.parametrize(("cluster", "data"), [("other", b"\x90"), ("local", b"\xc1"), ("", b"")])
async def test_what_a_stranger_sends_is_passed_over(cluster: str, data: bytes):
    async with alone(FaultyDisk()) as found:
        found.member.receive(PeerMessages(cluster, 2, data))
        found.put(1)
        await found.until_told(1)
    assert found.told == {1: Applied(1)}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", sorted(set(MessageType) - OF_MEMBERS))
async def test_what_a_member_only_tells_itself_is_passed_over_when_another_one_says_it(
    kind: MessageType,
):
    async with alone(FaultyDisk()) as found:
        term = found.member.statistics().term
        message = Message(type=kind, to=1, from_=2, term=term)
        found.member.receive(PeerMessages("local", 2, msgspec.msgpack.encode([message])))
        found.put(1)
        await found.until_told(1)
        assert found.member.statistics().term == term
    assert found.told == {1: Applied(1)}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "message",
    [
        Message(type=MessageType.MsgSnap, to=1, from_=2, term=9),
        Message(type=MessageType.MsgReadIndex, to=1, from_=2),
        Message(type=MessageType.MsgApp, to=3, from_=2, term=9),
    ],
    ids=lambda message: message.type.name,
)
async def test_a_message_that_says_nothing_or_is_for_another_member_changes_nothing(
    message: Message,
):
    async with alone(FaultyDisk()) as found:
        found.member.receive(PeerMessages("local", 2, msgspec.msgpack.encode([message])))
        found.put(1)
        await found.until_told(1)
        assert found.member.statistics().lead == 1
    assert found.told == {1: Applied(1)}


@pytest.mark.anyio
async def test_a_member_that_hears_of_a_log_that_it_has_lost_ends_and_says_so():
    async with alone(FaultyDisk()) as found:
        heartbeat = Message(type=MessageType.MsgHeartbeat, to=1, from_=2, term=9, commit=1000)
        with pytest.raises(Broken) as caught:
            found.member.receive(PeerMessages("local", 2, msgspec.msgpack.encode([heartbeat])))
        assert caught.value.code == "log_lost"
