"""Who is taken for a member of our group: by the name that its messages bear, strictly as soon as we have a state."""

from __future__ import annotations

import logging

import msgspec
import pytest
from runink.actors.kin import Kin
from runink.actors.peers import PeerMessages
from runink.barn import image
from runink.barn.refounding import for_group_of_one, for_new_cluster
from runink.barn.store import Store
from runink.raft.messages import Message, MessageType

LEADERS = Message(type=MessageType.MsgHeartbeat, to=1, from_=2, term=1)
CANDIDATES = Message(type=MessageType.MsgPreVote, to=1, from_=2, term=9)


def founded() -> Store:
    store = Store()
    store.skip(term=1, index=1)
    return store


def restored() -> Store:
    return Store.restore(for_new_cluster(founded().image(), cluster="new", index=1, term=1))


def recovered() -> Store:
    return Store.restore(for_group_of_one(founded().image(), cluster="new", member=3, term=2))


def said(name: str, *messages: Message) -> PeerMessages:
    return PeerMessages(name, 2, msgspec.msgpack.encode(messages))


@pytest.mark.parametrize("refounded", [restored, recovered])
def test_a_group_that_was_made_from_another_one_and_that_one_are_strangers_to_each_other(refounded):
    old, new = founded(), refounded()
    ours, theirs = Kin("barn", lambda: new), Kin("barn", lambda: old)
    assert (ours.name, theirs.name) == ("barn#new", "barn")
    assert list(ours.messages(said(ours.name, LEADERS))) == [LEADERS]
    assert list(theirs.messages(said(theirs.name, LEADERS))) == [LEADERS]
    for message in (LEADERS, CANDIDATES):
        assert list(ours.messages(said(theirs.name, message))) == []
        assert list(theirs.messages(said(ours.name, message))) == []
    assert not ours.is_ours(theirs.name)
    assert not theirs.is_ours(ours.name)


def test_the_name_stays_over_a_snapshot_and_an_older_one_bears_the_name_alone():
    data = b"".join(image.encode(recovered().image()))
    again = Store.restore(image.decode(data))
    assert Kin("barn", lambda: again).name == "barn#new"
    facts = msgspec.to_builtins(founded().image().header.facts)
    older = msgspec.convert(facts[:-1], image.Facts)
    assert older.is_refounded is False


def test_who_joins_answers_under_the_name_that_a_leader_has_spoken_to_it_with():
    store = Store()
    kin = Kin("barn", lambda: store)
    assert kin.name == "barn"
    assert list(kin.messages(said("barn#new", LEADERS))) == [LEADERS]
    assert kin.name == "barn#new"
    assert list(kin.messages(said("other#new", LEADERS))) == []
    assert kin.name == "barn#new"
    store = recovered()
    assert list(kin.messages(said("barn", LEADERS))) == []


def test_who_has_no_log_gives_no_vote_and_takes_no_name_from_a_candidate():
    """It may be a member that has voted and lost its folder."""
    kin = Kin("barn", Store)
    assert list(kin.messages(said("barn#new", CANDIDATES))) == []
    assert kin.name == "barn"
    store = founded()
    kin = Kin("barn", lambda: store)
    assert list(kin.messages(said("barn", CANDIDATES))) == [CANDIDATES]


def test_a_stranger_is_told_once_however_often_it_speaks(caplog: pytest.LogCaptureFixture):
    kin = Kin("barn", founded)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            for name in ("other", "barn#new"):
                assert list(kin.messages(said(name, LEADERS))) == []
    assert len(caplog.records) == 2
