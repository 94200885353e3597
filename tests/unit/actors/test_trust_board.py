"""What a member knows of nodes: nothing at first, and then servers alone come in."""

from __future__ import annotations

from runink.actors.trust_board import BUNDLE_KEY, TrustBoard
from runink.barn.keys import CERTIFICATES
from runink.barn.keyvalue import KeyValue
from runink.certificates.names import identity_of
from runink.certificates.renewal import recorded
from runink.certificates.roles import NodeRole
from runink.certificates.rotation import founded
from runink.clients.barn import encode_value
from runink.testing.node_certificates import NOW_S, authority_of_test, certified

AUTHORITY = authority_of_test()
SERVER = certified(AUTHORITY, NodeRole.SERVER, "member-2").der
AGENT = certified(AUTHORITY, NodeRole.AGENT, "w1").der


def item(key: str, value: object) -> KeyValue:
    return KeyValue(key, encode_value(value), 1, 1, 1)


def code(board: TrustBoard, certificate: bytes) -> str:
    denied = board.why_refused(identity_of(certificate), now_s=NOW_S)
    return denied.code if denied else ""


def test_before_the_cluster_is_founded_servers_come_in_and_nobody_else():
    board = TrustBoard()
    for _ in range(2):
        assert code(board, SERVER) == ""
        assert code(board, AGENT) == "trust_unknown"
        board.load([])  # a leader is there, and has written nothing: without the others it cannot


def test_behind_that_only_who_is_known_comes_in():
    board = TrustBoard()
    key = CERTIFICATES.key("agent", "w1")
    bundle = item(BUNDLE_KEY, founded(AUTHORITY.trusted, now_s=NOW_S))
    board.load([bundle, item(key, recorded(None, AGENT, None, now_s=NOW_S))])
    assert code(board, AGENT) == ""
    assert code(board, SERVER) == "node_unknown"
