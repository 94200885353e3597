"""Another authority takes the place of the first: by the record, and with real handshakes through all of its phases."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest
from runink.certificates.authority import Authority, key_pem, pem_of
from runink.certificates.denials import Denied
from runink.certificates.names import CertifiedNode, identity_of
from runink.certificates.pins import read_bundle
from runink.certificates.roles import NodeRole, dns_names
from runink.certificates.rotation import (
    WARNED_S,
    Authorities,
    NodeView,
    Phase,
    Waiting,
    abandon,
    advance,
    begin,
    founded,
    is_expiring,
    is_to_renew,
    issuer,
    trusted,
    trusted_bundle,
)
from runink.names import NodeId
from runink.testing.handshakes import Handshake, handshake
from runink.testing.node_certificates import NOW_S, Node, authority_of_test, certified
from runink.wire.tls import TlsContexts, TlsIdentity

OLD, NEW, THIRD = (authority_of_test() for _ in range(3))
FOUNDED = founded(OLD.trusted, now_s=NOW_S)
HOUR_S = 3600


def changed(answer: Authorities | Waiting | Denied) -> Authorities:
    assert isinstance(answer, Authorities), answer
    return answer


BOTH = changed(begin(FOUNDED, NEW.trusted, now_s=NOW_S))


def view(name: str, revision: int, authority: Authority, left_s: int = HOUR_S) -> NodeView:
    return NodeView(NodeId(name), revision, authority.trusted.fingerprint, NOW_S + left_s)


def told(record: Authorities, *nodes: NodeView) -> str:
    waiting = advance(record, nodes, now_s=NOW_S)
    assert isinstance(waiting, Waiting), waiting
    return str(waiting)


def test_the_phases_in_their_order():
    assert (FOUNDED.phase, trusted(FOUNDED)) == (Phase.ONE, (OLD.trusted,))
    assert (BOTH.phase, trusted(BOTH), issuer(BOTH)) == (Phase.BOTH, (OLD.trusted, NEW.trusted), OLD.trusted)  # fmt: skip
    issuing = changed(advance(BOTH, [view("a", BOTH.revision, OLD)], now_s=NOW_S))
    assert (issuing.phase, trusted(issuing), issuer(issuing)) == (Phase.ISSUING, trusted(BOTH), NEW.trusted)  # fmt: skip
    done = changed(advance(issuing, [view("a", issuing.revision, NEW)], now_s=NOW_S + 5))
    assert done == Authorities(revision=4, phase=Phase.ONE, current=NEW.trusted, since_s=NOW_S + 5)
    assert read_bundle(trusted_bundle(issuing)) == trusted(issuing)


def test_nothing_is_issued_by_the_new_one_before_all_trust_it():
    late = told(BOTH, view("a", BOTH.revision, OLD), view("b", BOTH.revision - 1, OLD))
    assert late == "b have not said that they trust the new authority"


def test_the_old_one_is_dropped_when_nobody_shows_a_certificate_of_it():
    """Whatever they trust: who has said that it trusts the new one still shows the old one to others."""
    issuing = changed(advance(BOTH, [], now_s=NOW_S))
    nodes = [view("a", issuing.revision, NEW), view("c", issuing.revision, OLD), view("b", 2, OLD)]
    assert told(issuing, *nodes) == "b, c do not show a certificate of the new authority yet"
    assert [is_to_renew(issuing, node.authority) for node in nodes] == [False, True, True]
    assert not is_to_renew(BOTH, OLD.trusted.fingerprint)


def test_who_has_no_good_certificate_any_more_holds_nothing_up():
    gone = view("gone", 1, OLD, left_s=0)
    assert changed(advance(BOTH, [gone], now_s=NOW_S)).phase is Phase.ISSUING
    assert told(BOTH, view("gone", 1, OLD, left_s=1))


def test_a_step_can_be_forced():
    nodes = [view("a", 1, OLD)]
    issuing = changed(advance(BOTH, nodes, now_s=NOW_S, is_forced=True))
    assert changed(advance(issuing, nodes, now_s=NOW_S, is_forced=True)).current == NEW.trusted


def test_many_who_are_late_are_counted():
    nodes = [view(f"n{number:02}", 1, OLD) for number in range(25)]
    assert "n19 and 5 more have not" in told(BOTH, *nodes)


def test_a_rotation_is_abandoned_as_long_as_nothing_was_issued_by_the_new_one():
    back = changed(abandon(BOTH, now_s=NOW_S + 1))
    assert (back.revision, back.phase, trusted(back)) == (3, Phase.ONE, (OLD.trusted,))
    again = changed(begin(back, THIRD.trusted, now_s=NOW_S + 2))
    assert told(again, view("a", BOTH.revision, OLD)), "it trusts another one than is meant now"
    for record in (FOUNDED, changed(advance(BOTH, [], now_s=NOW_S))):
        assert isinstance(abandon(record, now_s=NOW_S), Denied)


@pytest.mark.parametrize(
    ("record", "coming", "code"),
    [
        (BOTH, THIRD, "rotation_under_way"),
        (FOUNDED, OLD, "same_authority"),
        (FOUNDED, authority_of_test("other"), "other_cluster"),
    ],
)
def test_what_cannot_begin_is_denied(record, coming, code):
    answer = begin(record, coming.trusted, now_s=NOW_S)
    assert isinstance(answer, Denied)
    assert answer.code == code


def test_what_has_not_begun_does_not_go_on():
    answer = advance(FOUNDED, [], now_s=NOW_S)
    assert isinstance(answer, Denied)
    assert answer.code == "no_rotation"


def test_people_are_told_a_year_before_an_authority_expires():
    end_s = OLD.trusted.not_after_s
    assert not is_expiring(FOUNDED, now_s=end_s - WARNED_S - 1)
    assert is_expiring(FOUNDED, now_s=end_s - WARNED_S)
    assert not is_expiring(BOTH, now_s=end_s)


class Living:
    """A node that runs: its contexts are replaced while it does."""

    def __init__(self, role: NodeRole, name: str, record: Authorities) -> None:
        self.role = role
        self.name = NodeId(name)
        self.node: Node = certified(KEYS[issuer(record).fingerprint], role, name)
        self.revision = record.revision
        self.bundle = trusted_bundle(record)
        self.contexts = TlsContexts(self.identity)

    @property
    def identity(self) -> TlsIdentity:
        return TlsIdentity(self.bundle, pem_of(self.node.der), key_pem(self.node.key))

    @property
    def shown(self) -> CertifiedNode:
        return identity_of(self.node.der)

    def take(self, record: Authorities) -> None:
        self.revision, self.bundle = record.revision, trusted_bundle(record)
        self.contexts.replace(self.identity)

    def renew(self, record: Authorities) -> None:
        authority = KEYS[issuer(record).fingerprint]
        self.node = certified(authority, self.role, self.name, generation=self.shown.generation + 1)
        self.contexts.replace(self.identity)

    def dial(self, other: Living) -> Handshake:
        name = dns_names(other.role, other.name)[0]
        return handshake(other.contexts.accepting(), self.contexts.connecting(), name)

    def view(self) -> NodeView:
        return NodeView(self.name, self.revision, self.shown.authority, self.shown.not_after_s)


KEYS = {one.trusted.fingerprint: one for one in (OLD, NEW)}


def test_nobody_is_cut_off_while_the_authority_changes_and_who_stayed_behind_is_in_the_end():
    record = FOUNDED
    nodes = [
        Living(NodeRole.SERVER, "m1", record),
        Living(NodeRole.SERVER, "m2", record),
        Living(NodeRole.AGENT, "w1", record),
    ]
    left_behind = Living(NodeRole.AGENT, "w9", record)

    def all_reach_each_other() -> None:
        for one, other in permutations(nodes, 2):
            tried = one.dial(other)
            assert tried.is_admitted, (one.name, other.name, tried.reasons)

    all_reach_each_other()
    record = changed(begin(record, NEW.trusted, now_s=NOW_S))
    for node in nodes:
        assert isinstance(advance(record, [one.view() for one in nodes], now_s=NOW_S), Waiting)
        node.take(record)
        all_reach_each_other()
    record = changed(advance(record, [one.view() for one in nodes], now_s=NOW_S))
    nodes.append(Living(NodeRole.AGENT, "w2", record))  # joins in the middle
    all_reach_each_other()
    for node in nodes[:3]:
        assert isinstance(advance(record, [one.view() for one in nodes], now_s=NOW_S), Waiting)
        node.renew(record)
        all_reach_each_other()
    record = changed(advance(record, [one.view() for one in nodes], now_s=NOW_S))
    for node in nodes:
        node.take(record)
        all_reach_each_other()

    for node in nodes:
        tried = left_behind.dial(node)
        assert not tried.is_admitted
        assert "verify failed" in tried.reasons
        assert not node.dial(left_behind).is_admitted


def test_a_record_is_kept_as_it_is():
    for record in (FOUNDED, BOTH):
        assert msgspec.json.decode(msgspec.json.encode(record), type=Authorities) == record
