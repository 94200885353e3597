"""Which messages a node may send, by the role in its certificate: one row for each that a member serves."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace as changed
from runink.actors.peers import PeerMessages, SnapshotChunk
from runink.barn.commands import Compact, Put, Txn
from runink.barn.keys import (
    AUTHORITY_KEYS,
    BINDINGS,
    JOINS,
    SIGNING,
    TOKENS,
    herd_key,
    node_key,
    placement_key,
    run_key,
    slice_key,
)
from runink.barn.keyvalue import key_prefix, one_key
from runink.certificates.names import identity_of
from runink.certificates.renewal import recorded
from runink.certificates.roles import NodeRole
from runink.clients import cluster
from runink.clients.api_requests import ApiRequest
from runink.clients.barn_requests import BarnRequest, Propose, Read, Select, WatchFrom
from runink.clients.identity_requests import IdentityRequest, MintForSlice
from runink.clients.node_files import FILES, ReadFiles
from runink.clients.run_requests import DeskRequest, GovernanceRequest, NodeLives
from runink.clients.trust_requests import Renew, TrustRequest, Trusts
from runink.dag import Resources
from runink.errors import Forbidden
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.runs.records import NodeRecord
from runink.runtime.directory import message_types
from runink.testing.node_certificates import NOW_S, authority_of_test, certified
from runink.trust.rights import MESSAGES, STRANGER, NodeGuest, guest_of

SERVED = {
    cluster.BARN: BarnRequest | PeerMessages | SnapshotChunk,
    cluster.RUNS: DeskRequest,
    "runs-inner": DeskRequest,
    cluster.GOVERNANCE: GovernanceRequest,
    FILES: ReadFiles,
    cluster.TRUST: TrustRequest,
    cluster.API: ApiRequest,
    cluster.IDENTITY: IdentityRequest,
}
EVERYTHING = {(target, kind) for target, union in SERVED.items() for kind in message_types(union)}
AUTHORITY = authority_of_test()
SAID = msgspec.json.encode(NodeRecord(NodeId("w1"), Resources()))
HERD, RUN, SLICE = HerdName("h"), RunId("01A"), SliceId("s")


def guest(role: NodeRole, name: str = "w1", **allowed: tuple[str, ...]) -> NodeGuest:
    der = certified(AUTHORITY, role, name).der
    record = changed(recorded(None, der, None, now_s=NOW_S), **allowed)
    return guest_of(identity_of(der), der, record)


def may(who: object, target: str, kind: str) -> bool:
    try:
        who.check(target, kind)  # type: ignore[attr-defined] # a guest
    except Forbidden:
        return False
    return True


def allowed(who: object) -> set[tuple[str, str]]:
    return {one for one in EVERYTHING if may(who, *one)}


def test_the_tables_name_only_what_is_served():
    named = {(target, kind) for rows in MESSAGES.values() for target, kinds in rows.items() for kind in kinds}  # fmt: skip
    assert named <= EVERYTHING


def test_a_server_may_send_all_that_is_served():
    assert allowed(guest(NodeRole.SERVER)) == EVERYTHING


def test_only_servers_take_part_in_consensus_and_hand_on_to_each_other():
    inner = {(target, kind) for target, kind in EVERYTHING if target == "runs-inner"}
    consensus = {(cluster.BARN, "PeerMessages"), (cluster.BARN, "SnapshotChunk")}
    for role in set(NodeRole) - {NodeRole.SERVER}:
        assert not allowed(guest(role)) & (inner | consensus), role


def test_what_nodes_say_of_themselves_only_agents_say():
    said = {("runs", "NodeLives"), ("runs", "SliceProgress"), ("runs", "SliceUsed")}
    assert said <= allowed(guest(NodeRole.AGENT))
    for role in (NodeRole.CLIENT, NodeRole.IDENTITY):
        assert not allowed(guest(role)) & said, role


def test_an_agent_asks_nothing_that_people_ask():
    for kind in ("Submit", "Cancel", "Drop", "LineageOf", "MintJoin", "RevokeNode", "Rotate", "Backup", "ChangeMembers"):  # fmt: skip
        assert kind not in {name for _, name in allowed(guest(NodeRole.AGENT))}, kind


def test_nodes_have_tokens_of_their_slices_and_of_nobody_else():
    for role in set(NodeRole) - {NodeRole.SERVER}:
        mine = {kind for target, kind in allowed(guest(role)) if target == cluster.IDENTITY}
        assert mine == ({"MintForSlice"} if role is NodeRole.AGENT else set()), role


def test_a_stranger_may_ask_to_join_and_nothing_else():
    assert allowed(STRANGER) == {(cluster.TRUST, "AuthorityOf"), (cluster.TRUST, "Join")}


def test_a_node_speaks_for_itself_alone():
    agent = guest(NodeRole.AGENT)
    agent.examine("runs", NodeLives(NodeId("w1"), "i"))
    agent.examine(cluster.IDENTITY, MintForSlice(NodeId("w1"), HERD, RUN, SLICE, 1))
    shown = agent.certified
    said = Trusts(shown.role, shown.name, 1, shown.authority, shown.not_after_s)
    agent.examine(cluster.TRUST, said)
    agent.examine(cluster.TRUST, Renew(agent.certificate, b""))
    other = certified(AUTHORITY, NodeRole.AGENT, "w2").der
    for target, message in (
        ("runs", NodeLives(NodeId("w2"), "i")),
        (cluster.TRUST, Trusts(shown.role, NodeId("w2"), 1, shown.authority, shown.not_after_s)),
        (cluster.TRUST, Renew(other, b"")),
        (cluster.IDENTITY, MintForSlice(NodeId("w2"), HERD, RUN, SLICE, 1)),
    ):
        with pytest.raises(Forbidden) as info:
            agent.examine(target, message)
        assert info.value.code == "other_node"


@pytest.mark.parametrize(
    "message",
    [
        Read((one_key(run_key(HERD, RUN)), key_prefix("/slices/"), one_key(herd_key(HERD)))),
        WatchFrom(("/placements/w1/",), 0),
        Propose("c", 1, Put(node_key(NodeId("w1")), SAID)),
        Propose("c", 1, Txn(then=(Put(slice_key(HERD, RUN, SLICE), b""), Put(placement_key(NodeId("w1"), RUN, SLICE), b"")))),
    ],
)  # fmt: skip
def test_an_agent_reads_and_writes_what_its_work_is_about(message: object):
    guest(NodeRole.AGENT).examine(cluster.BARN, message)


@pytest.mark.parametrize(
    "message",
    [
        Read((key_prefix("/"),)),
        Read((one_key(AUTHORITY_KEYS.key("ab")),)),
        Read((one_key(SIGNING.key("k")), one_key(TOKENS.key("h", "t")))),
        WatchFrom((JOINS.prefix(),), 0),
        WatchFrom(("/placements/w2/",), 0),
        Propose("c", 1, Put(node_key(NodeId("w2")), b"")),
        Propose("c", 1, Put(herd_key(HERD), b"")),
        Propose("c", 1, Put(run_key(HERD, RUN), b"")),
        Propose("c", 1, Put(BINDINGS.key("h", "b"), b"")),
        Propose("c", 1, Compact(1)),
    ],
)
def test_an_agent_gives_no_rights_and_opens_no_key(message: object):
    with pytest.raises(Forbidden):
        guest(NodeRole.AGENT).examine(cluster.BARN, message)


@pytest.mark.parametrize(
    "wrapped", [lambda put: put, lambda put: Txn(then=(Txn(otherwise=(put,)),))]
)
def test_what_an_agent_offers_is_what_its_join_token_allowed(wrapped) -> None:
    def says(**said: tuple[str, ...]) -> Propose:
        record = NodeRecord(NodeId("w1"), Resources(), **said)
        return Propose("c", 1, wrapped(Put(node_key(NodeId("w1")), msgspec.json.encode(record))))

    bound = guest(NodeRole.AGENT, labels=("gpu", "zone=a"), herds=("crm",))
    bound.examine(cluster.BARN, says(labels=("gpu",), herds=("crm",)))
    guest(NodeRole.AGENT).examine(cluster.BARN, says(labels=("anything",)))
    for beyond in ({"labels": ("ssd",), "herds": ("crm",)}, {"herds": ("crm", "hr")}, {"labels": ("gpu",)}):  # fmt: skip
        with pytest.raises(Forbidden) as info:
            bound.examine(cluster.BARN, says(**beyond))
        assert info.value.code == "node_beyond"
    with pytest.raises(Forbidden):
        bound.examine(cluster.BARN, Propose("c", 1, wrapped(Put(node_key(NodeId("w1")), b"{"))))


def test_identity_writes_tokens_and_reads_who_may_do_what():
    identity = guest(NodeRole.IDENTITY)
    identity.examine(cluster.BARN, Select(()))
    identity.examine(cluster.BARN, Read((key_prefix(BINDINGS.prefix()),)))
    identity.examine(cluster.BARN, Read((one_key(run_key(HERD, RUN)),)))  # whose tokens end with it
    for key in (TOKENS.key("h", "t"), SIGNING.key("k")):
        identity.examine(cluster.BARN, Propose("c", 1, Put(key, b"")))
    for message in (
        Read((key_prefix("/pipelines/"),)),
        Read((one_key(AUTHORITY_KEYS.key("ab")),)),
        Propose("c", 1, Put(BINDINGS.key("h", "b"), b"")),
        Propose("c", 1, Put(run_key(HERD, RUN), b"")),
    ):
        with pytest.raises(Forbidden):
            identity.examine(cluster.BARN, message)
