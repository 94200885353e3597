"""Laws of rotation: as long as no step is forced, any two nodes with good certificates take each other, whatever is lost and whoever is away."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from runink.certificates.denials import Denied
from runink.certificates.pins import TrustedAuthority
from runink.certificates.roles import Fingerprint
from runink.certificates.rotation import (
    Authorities,
    NodeView,
    Phase,
    Waiting,
    abandon,
    advance,
    begin,
    founded,
    issuer,
    trusted,
)
from runink.names import NodeId

LIFETIME_S = 100
NODES_MAX = 6


def authority(number: int) -> TrustedAuthority:
    return TrustedAuthority("farm", Fingerprint(f"{number:064x}"), 1 << 40, "")


@dataclass
class Member:
    """A node, server or agent: what it trusts and shows, and what the cluster has heard of that."""

    revision: int
    trusts: frozenset[Fingerprint]
    shows: Fingerprint
    until_s: int
    issued_until_s: int
    heard: NodeView

    def view(self) -> NodeView:
        """Return what the cluster knows: by the node's own words, and by what was issued to it."""
        return msgspec.structs.replace(self.heard, not_after_s=self.issued_until_s)


class Rotations(RuleBasedStateMachine):
    """A cluster whose authorities take turns. Nodes do what they have to do at any time, in any order, or not at all."""

    @initialize()
    def found(self) -> None:
        """Begin with three nodes: one alone shows nothing."""
        self.now_s = 1000
        self.made = 1
        self.names = 0
        self.record: Authorities = founded(authority(1), now_s=self.now_s)
        self.nodes: dict[NodeId, Member] = {}
        for _ in range(3):
            self.join()

    @precondition(lambda self: len(self.nodes) < NODES_MAX)
    @rule()
    def join(self) -> None:
        self.names += 1
        name = NodeId(f"n{self.names}")
        shows, until_s = issuer(self.record).fingerprint, self.now_s + LIFETIME_S
        heard = NodeView(name, self.record.revision, shows, until_s)
        self.nodes[name] = Member(self.record.revision, self.bundle, shows, until_s, until_s, heard)

    @property
    def bundle(self) -> frozenset[Fingerprint]:
        return frozenset(one.fingerprint for one in trusted(self.record))

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def a_node_takes_the_bundle(self, data: st.DataObject) -> None:
        node = self.nodes[data.draw(st.sampled_from(sorted(self.nodes)))]
        node.revision, node.trusts = self.record.revision, self.bundle

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def a_node_says_how_it_is(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.nodes)))
        node = self.nodes[name]
        node.heard = NodeView(name, node.revision, node.shows, node.until_s)

    @precondition(lambda self: self.nodes)
    @rule(data=st.data(), is_lost=st.booleans())
    def a_node_renews(self, data: st.DataObject, *, is_lost: bool) -> None:
        node = self.nodes[data.draw(st.sampled_from(sorted(self.nodes)))]
        node.issued_until_s = self.now_s + LIFETIME_S
        if not is_lost:
            node.shows, node.until_s = issuer(self.record).fingerprint, node.issued_until_s

    @precondition(lambda self: self.nodes)
    @rule(data=st.data(), takes=st.booleans(), renews=st.booleans())
    def all_but_one_come_along(self, data: st.DataObject, *, takes: bool, renews: bool) -> None:
        """What one node after the other does takes long to get anywhere."""
        late = data.draw(st.sampled_from(["", *sorted(self.nodes)]))
        for name, node in self.nodes.items():
            if name == late:
                continue
            if takes:
                node.revision, node.trusts = self.record.revision, self.bundle
            if renews:
                node.issued_until_s = node.until_s = self.now_s + LIFETIME_S
                node.shows = issuer(self.record).fingerprint
            node.heard = NodeView(name, node.revision, node.shows, node.until_s)

    @rule(seconds=st.integers(1, LIFETIME_S // 4))
    def time_goes_by(self, seconds: int) -> None:
        self.now_s += seconds
        self.nodes = {name: one for name, one in self.nodes.items() if one.until_s > self.now_s}

    @precondition(lambda self: self.record.phase is Phase.ONE)
    @rule()
    def begin(self) -> None:
        self.made += 1
        self.take(begin(self.record, authority(self.made), now_s=self.now_s))
        assert self.record.phase is Phase.BOTH

    @rule()
    def advance(self) -> None:
        self.take(
            advance(self.record, [one.view() for one in self.nodes.values()], now_s=self.now_s)
        )

    @precondition(lambda self: self.record.phase is Phase.BOTH)
    @rule(is_sure=st.sampled_from([False, False, False, True]))
    def abandon(self, *, is_sure: bool) -> None:
        if is_sure:
            self.take(abandon(self.record, now_s=self.now_s))
            assert self.record.phase is Phase.ONE

    def take(self, answer: Authorities | Waiting | Denied) -> None:
        if isinstance(answer, Authorities):
            assert answer.revision == self.record.revision + 1
            # Whoever goes on after a crash knows what was written, and nothing else.
            kept = msgspec.msgpack.encode(answer)
            self.record = msgspec.msgpack.decode(kept, type=Authorities)

    @invariant()
    def any_two_take_each_other(self) -> None:
        for one in self.nodes.values():
            for other in self.nodes.values():
                assert one.shows in other.trusts, (one, other)

    @invariant()
    def who_issues_is_trusted(self) -> None:
        assert issuer(self.record).fingerprint in self.bundle

    def teardown(self) -> None:
        """Whatever has happened, a rotation comes to its end when all nodes have done what they have to do."""
        if not hasattr(self, "record"):
            return
        for _ in range(3):
            for name, node in self.nodes.items():
                node.revision, node.trusts = self.record.revision, self.bundle
                node.shows = issuer(self.record).fingerprint
                node.heard = NodeView(name, node.revision, node.shows, node.until_s)
            self.advance()
            self.any_two_take_each_other()
        assert self.record.phase is Phase.ONE


TestRotations = Rotations.TestCase
TestRotations.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
