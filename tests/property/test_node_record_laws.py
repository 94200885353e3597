"""Laws of a node's record: a node that does as it should is never cut off, whatever is lost; and a copy of its key never renews unseen."""

from __future__ import annotations

import hashlib

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from runink.certificates.authority import Grant, issue, make_request, read_request
from runink.certificates.names import CertifiedNode, identity_of, serial_of
from runink.certificates.renewal import (
    Cloned,
    Denied,
    Issue,
    Issued,
    NodeCertificate,
    Standing,
    recorded,
    renew,
    why_refused,
)
from runink.certificates.roles import NodeRole
from runink.names import NodeId
from runink.testing.node_certificates import NOW_S, authority_of_test, edwards_key

OURS = authority_of_test()
REQUESTS = [read_request(make_request(edwards_key(), "w")) for _ in range(24)]
NAME = NodeId("w")


class Renewals(RuleBasedStateMachine):
    """One node whose answers are lost at times, and a thief who copied its certificate and key once."""

    @initialize()
    def join(self) -> None:
        self.now_s = NOW_S
        self.requests = iter(REQUESTS)
        self.serials = 0
        self.record: NodeCertificate = self.issued(None, next(self.requests), 1)
        self.shown: CertifiedNode = identity_of(self.record.certificate)
        self.pending = next(self.requests)
        self.stolen: CertifiedNode | None = None
        self.has_thief_renewed = False

    def issued(self, before, requested, generation) -> NodeCertificate:
        self.serials += 1
        serial = serial_of(hashlib.md5(bytes([self.serials])).digest())
        grant = Grant(role=NodeRole.AGENT, name=NAME, generation=generation, serial=serial)
        der = issue(OURS, requested, grant, now_s=self.now_s)
        return recorded(before, der, None, now_s=self.now_s)

    def asked(self, shown: CertifiedNode, requested) -> CertifiedNode | None:
        """Let somebody renew; returns what it gets."""
        answer = renew(self.record, shown, requested.fingerprint, now_s=self.now_s)
        match answer:
            case Issue(generation):
                self.record = self.issued(self.record, requested, generation)
                return identity_of(self.record.certificate)
            case Issued(certificate):
                return identity_of(certificate)
            case Cloned(record, _):
                self.record = record
            case Denied():
                pass
        return None

    @precondition(lambda self: self.stolen is None)
    @rule(is_lost=st.booleans())
    def the_node_renews(self, *, is_lost: bool) -> None:
        found = self.asked(self.shown, self.pending)
        assert found is not None, "it has done nothing wrong"
        assert found.key == self.pending.fingerprint
        if not is_lost:
            self.shown, self.pending = found, next(self.requests, self.pending)

    @precondition(lambda self: self.stolen is None)
    @rule()
    def its_key_is_copied(self) -> None:
        self.stolen = self.shown
        self.stolen_key = next(self.requests, REQUESTS[-1])

    @precondition(lambda self: self.stolen is not None)
    @rule()
    def the_node_renews_beside_the_thief(self) -> None:
        found = self.asked(self.shown, self.pending)
        if found is not None:
            assert not self.has_thief_renewed, "both have renewed from the same certificate"
            self.shown, self.pending = found, next(self.requests, self.pending)

    @precondition(lambda self: self.stolen is not None)
    @rule()
    def the_thief_renews(self) -> None:
        assert self.stolen is not None
        found = self.asked(self.stolen, self.stolen_key)
        if found is not None and found.key == self.stolen_key.fingerprint:
            self.has_thief_renewed = True
            self.stolen, self.stolen_key = found, next(self.requests, REQUESTS[-1])

    @precondition(lambda self: self.stolen is None)
    @rule(seconds=st.integers(0, 1800))
    def time_goes_by(self, seconds: int) -> None:
        if self.now_s + seconds < self.shown.not_after_s:
            self.now_s += seconds

    @rule()
    def it_is_kept(self) -> None:
        kept = msgspec.msgpack.encode(self.record)
        self.record = msgspec.msgpack.decode(kept, type=NodeCertificate)

    @invariant()
    def an_honest_node_is_admitted(self) -> None:
        if self.stolen is None:
            assert why_refused(self.record, self.shown, now_s=self.now_s) is None
            assert self.record.standing is Standing.GOOD

    @invariant()
    def two_at_the_most_are_admitted(self) -> None:
        if self.record.standing is not Standing.GOOD:
            assert why_refused(self.record, self.shown, now_s=self.now_s) is not None

    def teardown(self) -> None:
        """Once the thief has renewed, the node's own next renewal shows it, and the other way round."""
        if getattr(self, "stolen", None) is None or self.record.standing is not Standing.GOOD:
            return
        self.the_thief_renews()
        self.the_node_renews_beside_the_thief()
        self.the_thief_renews()
        assert self.record.standing is Standing.LOCKED
        for shown in (self.shown, self.stolen):
            assert why_refused(self.record, shown, now_s=self.now_s) is not None


TestRenewals = Renewals.TestCase
TestRenewals.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
