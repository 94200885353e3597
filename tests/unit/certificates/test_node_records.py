"""The record of a node's certificates: who is admitted, who renews, and how a copy of a key is found."""

from __future__ import annotations

import msgspec
import pytest
from runink.certificates.authority import LIFETIME_S
from runink.certificates.denials import Denied
from runink.certificates.join_tokens import Accepted, Minting, mint
from runink.certificates.names import GENERATION_MAX, CertifiedNode, fingerprint, identity_of
from runink.certificates.renewal import (
    Cloned,
    Issue,
    Issued,
    NodeCertificate,
    Standing,
    join,
    locked,
    may_be_forgotten,
    recorded,
    renew,
    renew_at_s,
    retry_at_s,
    revoked,
    revoked_by_serial,
    why_beyond,
    why_refused,
)
from runink.certificates.roles import Fingerprint, NodeRole
from runink.names import NodeId
from runink.testing.node_certificates import NOW_S, Node, authority_of_test, certified

OURS = authority_of_test()
HALF_S = LIFETIME_S // 2
LATER_S = NOW_S + HALF_S
FRESH = Fingerprint("33" * 32)
FRESH_TOO = Fingerprint("44" * 32)


def made(generation: int, now_s: int = NOW_S) -> Node:
    return certified(OURS, NodeRole.AGENT, "w", generation=generation, span=(now_s, LIFETIME_S))


FIRST, SECOND, THIRD = made(1), made(2, LATER_S), made(3, LATER_S + 5)
ONE, TWO, THREE = (identity_of(node.der) for node in (FIRST, SECOND, THIRD))
JOINED = recorded(None, FIRST.der, None, now_s=NOW_S)
RENEWED = recorded(JOINED, SECOND.der, None, now_s=LATER_S)
TWICE = recorded(RENEWED, THIRD.der, None, now_s=LATER_S + 5)


def refusal(record: NodeCertificate | None, shown: CertifiedNode, now_s: int = LATER_S) -> str:
    denied = why_refused(record, shown, now_s=now_s)
    return "" if denied is None else denied.code


def test_a_node_that_has_joined_is_admitted_until_its_certificate_expires():
    assert refusal(JOINED, ONE) == ""
    assert refusal(JOINED, ONE, ONE.not_after_s - 1) == ""
    assert refusal(JOINED, ONE, ONE.not_after_s) == "certificate_expired"


def test_the_certificate_before_the_current_one_is_admitted_until_it_expires():
    assert [refusal(RENEWED, shown) for shown in (ONE, TWO)] == ["", ""]
    assert refusal(RENEWED, ONE, ONE.not_after_s) == "certificate_expired"
    assert [refusal(TWICE, shown) for shown in (ONE, TWO, THREE)] == ["certificate_old", "", ""]


def test_who_is_not_in_the_record_is_not_admitted():
    assert refusal(None, ONE) == "node_unknown"
    for other in (
        msgspec.structs.replace(ONE, role=NodeRole.SERVER),
        msgspec.structs.replace(ONE, name=NodeId("v")),
    ):
        assert refusal(JOINED, other) == "node_unknown"
    assert refusal(JOINED, msgspec.structs.replace(ONE, serial=TWO.serial)) == "certificate_old"


def test_a_cluster_that_was_set_back_says_so():
    assert refusal(JOINED, TWO) == "node_ahead"
    denied = why_refused(JOINED, TWO, now_s=LATER_S)
    assert denied is not None
    assert "set back" in denied.text
    assert isinstance(renew(JOINED, TWO, FRESH, now_s=LATER_S), Denied)


def test_a_renewal_gets_the_next_generation():
    assert renew(JOINED, ONE, FRESH, now_s=LATER_S) == Issue(2)
    assert renew(RENEWED, TWO, FRESH, now_s=LATER_S) == Issue(3)


def test_a_renewal_needs_a_new_key():
    """Or a copy of the key could renew unseen."""
    denied = renew(JOINED, ONE, ONE.key, now_s=LATER_S)
    assert isinstance(denied, Denied)
    assert denied.code == "same_key"


def test_a_renewal_whose_answer_was_lost_gets_the_same_answer():
    assert renew(RENEWED, ONE, TWO.key, now_s=LATER_S) == Issued(SECOND.der)
    assert renew(RENEWED, ONE, TWO.key, now_s=ONE.not_after_s - 1) == Issued(SECOND.der)


def test_who_renews_what_was_renewed_already_is_a_clone_and_both_are_cut_off():
    answer = renew(RENEWED, ONE, FRESH, now_s=LATER_S)
    assert isinstance(answer, Cloned)
    assert answer.denied.code == "node_locked"
    assert "copy of its key" in answer.denied.text
    assert "runi node rejoin w" in answer.denied.hint
    assert [refusal(answer.record, shown) for shown in (ONE, TWO)] == ["node_locked"] * 2
    assert isinstance(renew(answer.record, TWO, FRESH_TOO, now_s=LATER_S), Denied)


def test_a_clone_is_found_two_renewals_later_too():
    answer = renew(TWICE, ONE, FRESH, now_s=LATER_S)
    assert isinstance(answer, Cloned)


def test_a_clone_with_the_key_of_a_later_renewal_is_found():
    """Not the one whose answer was lost, whoever it is: that one comes with the certificate before."""
    assert isinstance(renew(TWICE, ONE, THREE.key, now_s=LATER_S), Cloned)


def accepted(*, rejoins: bool, is_repeat: bool = False, **limits) -> Accepted:
    asked = Minting(role=NodeRole.AGENT, minted_by="ada", name="w", rejoins=rejoins, **limits)
    _, token = mint(asked, OURS.trusted.fingerprint, now_s=NOW_S, entropy=bytes(38))
    return Accepted(token, NodeId("w"), is_repeat=is_repeat)


def test_a_name_is_given_once():
    assert join(None, accepted(rejoins=False), FRESH) == Issue(1)
    denied = join(JOINED, accepted(rejoins=False), FRESH)
    assert isinstance(denied, Denied)
    assert denied.code == "node_exists"


def test_a_join_whose_answer_was_lost_gets_the_same_answer():
    again = accepted(rejoins=False, is_repeat=True)
    assert join(JOINED, again, ONE.key) == Issued(FIRST.der)
    assert isinstance(join(JOINED, again, FRESH), Denied)
    assert isinstance(join(RENEWED, again, ONE.key), Denied), "it has had its answer"


@pytest.mark.parametrize("cut_off", [locked, revoked])
def test_a_person_lets_a_node_in_again_that_was_cut_off(cut_off):
    record = cut_off(RENEWED, "lost in a train", now_s=LATER_S)
    assert refusal(record, TWO) == f"node_{record.standing}"
    assert isinstance(join(record, accepted(rejoins=False), FRESH), Denied)
    assert isinstance(join(record, accepted(rejoins=False, is_repeat=True), TWO.key), Denied)
    assert join(record, accepted(rejoins=True), THREE.key) == Issue(3)
    after = recorded(record, THIRD.der, accepted(rejoins=True), now_s=LATER_S)
    assert [refusal(after, shown) for shown in (ONE, TWO, THREE)] == ["certificate_old", "certificate_old", ""]  # fmt: skip
    assert join(after, accepted(rejoins=True, is_repeat=True), THREE.key) == Issued(THIRD.der)


def test_who_was_cut_off_locks_nobody_after_the_node_came_back():
    after = recorded(
        locked(RENEWED, "clone", now_s=LATER_S), THIRD.der, accepted(rejoins=True), now_s=LATER_S
    )
    for shown in (ONE, TWO):
        denied = renew(after, shown, FRESH, now_s=LATER_S)
        assert isinstance(denied, Denied)
        assert denied.code == "certificate_old"


def test_a_revoked_node_stays_revoked_whatever_a_clone_does():
    record = revoked(RENEWED, "sold", now_s=LATER_S)
    assert locked(record, "clone", now_s=LATER_S) == record
    denied = renew(record, ONE, FRESH, now_s=LATER_S)
    assert isinstance(denied, Denied)
    assert denied.code == "node_revoked"
    assert "sold" in denied.text


def test_a_certificate_is_revoked_by_its_serial_number():
    current = revoked_by_serial(RENEWED, TWO.serial, "leaked", now_s=LATER_S)
    assert isinstance(current, NodeCertificate)
    assert current.standing is Standing.REVOKED
    previous = revoked_by_serial(RENEWED, ONE.serial, "leaked", now_s=LATER_S)
    assert isinstance(previous, NodeCertificate)
    assert [refusal(previous, shown) for shown in (ONE, TWO)] == ["certificate_old", ""]
    thief = renew(previous, ONE, FRESH, now_s=LATER_S)
    assert isinstance(thief, Denied), "it must not have the power to lock the node either"
    for strange in (THREE.serial, ""):
        assert isinstance(revoked_by_serial(JOINED, strange, "x", now_s=LATER_S), Denied)


def test_a_node_that_was_removed_does_not_come_back_by_asking_again():
    denied = join(None, accepted(rejoins=False, is_repeat=True), ONE.key)
    assert isinstance(denied, Denied)
    assert denied.code == "node_removed"


def test_a_record_is_kept_until_the_last_certificate_has_expired():
    gone = revoked(RENEWED, "sold", now_s=LATER_S)
    end_s = TWO.not_after_s
    assert [may_be_forgotten(gone, now_s=at_s) for at_s in (end_s - 1, end_s)] == [False, True]
    assert not may_be_forgotten(RENEWED, now_s=end_s)


def test_generations_come_to_an_end():
    last = msgspec.structs.replace(JOINED, generation=GENERATION_MAX)
    shown = msgspec.structs.replace(ONE, generation=GENERATION_MAX)
    denied = renew(last, shown, FRESH, now_s=LATER_S)
    assert isinstance(denied, Denied)
    assert denied.code == "generations_exhausted"


def test_nodes_that_joined_together_renew_apart_around_half_of_the_lifetime():
    times = [renew_at_s(ONE, issued_s=NOW_S, jitter=jitter) for jitter in (0, 0.5, 1)]
    assert times == sorted(set(times))
    assert times[1] == NOW_S + HALF_S
    assert (times[2] - times[0]) == LIFETIME_S // 10


def test_a_failed_renewal_is_tried_again_the_sooner_the_less_is_left():
    def pause(left_s: int) -> int:
        now_s = ONE.not_after_s - left_s
        return retry_at_s(ONE, now_s=now_s, jitter=0) - now_s

    assert [pause(left_s) for left_s in (HALF_S, 3600, 600, 60, 0, -60)] == [600, 180, 30, 5, 5, 5]


EU_ONLY = accepted(rejoins=False, labels=("gpu", "zone=eu"), herds=("sales", "finance"))


@pytest.mark.parametrize(
    ("labels", "herds", "said"),
    [
        ((), ("sales",), ""),
        (("gpu", "zone=eu"), ("sales", "finance"), ""),
        (("zone=us",), ("sales",), "label zone=us"),
        (("gpu",), ("sales", "hr"), "herd hr"),
        (("gpu",), (), "slices of all herds"),
    ],
)
def test_what_a_join_token_allowed_holds_for_as_long_as_the_node_is_there(labels, herds, said):
    joined = recorded(None, FIRST.der, EU_ONLY, now_s=NOW_S)
    for record in (joined, recorded(joined, SECOND.der, None, now_s=LATER_S)):
        denied = why_beyond(record, labels=labels, herds=herds)
        assert (denied is None) is (said == "")
        assert denied is None or said in denied.text


def test_a_token_that_names_no_labels_and_herds_allows_all_and_a_new_one_counts():
    assert why_beyond(JOINED, labels=["a=b"], herds=["hr"]) is None
    assert why_beyond(JOINED, labels=[], herds=[]) is None
    joined = recorded(None, FIRST.der, EU_ONLY, now_s=NOW_S)
    again = recorded(joined, SECOND.der, accepted(rejoins=True), now_s=LATER_S)
    assert why_beyond(again, labels=["zone=us"], herds=[]) is None


def test_a_record_is_kept_as_it_is():
    for record in (JOINED, TWICE, locked(RENEWED, "clone", now_s=5)):
        kept = msgspec.msgpack.encode(record)
        assert msgspec.msgpack.decode(kept, type=NodeCertificate) == record


def test_a_record_says_whose_key_it_is():
    assert JOINED.key == fingerprint(FIRST.key.public_key())
    assert JOINED.authority == OURS.trusted.fingerprint
