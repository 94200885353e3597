"""Slices and spooling over any graph of steps: nothing is lost, no process waits for itself, and every batch arrives.

The last is tried on a model of what slices do: links hold one batch, a node takes a batch from its main input only when its side inputs
are whole, and goes on only when all that are behind it have taken its last one.
"""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.dag import MAIN, Format, Link, Node, Resources, Source, Sql, Step
from runink.dsl.asks import Asks
from runink.dsl.slicing import Wish, sliced
from runink.dsl.spooling import spooled
from runink.networks import Network
from runink.topology import topological

REMOTE = "s3://bucket/x"
BATCHES = 20  # more than all links of such a graph hold
wishes = st.one_of(
    st.just(Wish()),
    st.just(Wish(isolate=True)),
    st.just(Wish(resources=Resources(1000, 1 << 30))),
    st.just(Wish(asks=Asks(labels=("gpu",)))),
    st.builds(Wish, network=st.sampled_from(Network)),
)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Node], list[Link], dict[str, Wish]]:
    """Sources, then steps that read any of what is before them: one or more as main input, others as side inputs."""
    count = draw(st.integers(1, 3))
    places = draw(st.lists(st.sampled_from(["x", REMOTE]), min_size=count, max_size=count))
    nodes: list[Node] = [
        Source(f"s.{n}", "s", f"csv://{place}", Format.CSV, place) for n, place in enumerate(places)
    ]
    links: list[Link] = []
    for number in range(count, count + draw(st.integers(0, 6))):
        before = [node.id for node in nodes]
        mains = draw(st.sets(st.sampled_from(before), min_size=1, max_size=2))
        sides = draw(st.sets(st.sampled_from(before), max_size=2))
        name = f"s.{number}"
        nodes.append(Step(name, "s", Sql("")))
        links.extend(Link(one, name) for one in sorted(mains))
        links.extend(Link(one, name, f"side{place}") for place, one in enumerate(sorted(sides)))
    return nodes, links, {node.id: draw(wishes) for node in nodes}


class Flow:
    """The model. `spool` links take everything at once."""

    def __init__(self, nodes: list[Node], links: list[Link]) -> None:
        self.links = links
        self.queues: dict[Link, deque[int]] = {link: deque() for link in links}
        self.ended: set[Link] = set()
        self.made = {node.id: 0 for node in nodes if isinstance(node, Source)}
        self.pending: dict[str, list[Link]] = {node.id: [] for node in nodes}
        self.done: set[str] = set()
        self.nodes = nodes

    def run(self) -> bool:
        """Go on until nothing moves; say whether all nodes have ended."""
        while sum(self.step(node) for node in self.nodes):
            pass
        return len(self.done) == len(self.nodes)

    def step(self, node: Node) -> bool:
        name = node.id
        if self.pending[name]:
            link = self.pending[name][0]
            if len(self.queues[link]) >= 1 and link.role == MAIN and not link.spool:
                return False
            self.queues[link].append(0)
            self.pending[name].pop(0)
            return True
        if name in self.done:
            return False
        if name in self.made:
            if self.made[name] == BATCHES:
                return self.end(name)
            self.made[name] += 1
            return self.hand_on(name)
        inputs = [link for link in self.links if link.target == name]
        if any(link.role != MAIN and link not in self.ended for link in inputs):
            return False
        mains = [link for link in inputs if link.role == MAIN]
        for link in mains:
            if self.queues[link]:
                self.queues[link].popleft()
                return self.hand_on(name)
        return self.end(name) if all(link in self.ended for link in mains) else False

    def hand_on(self, name: str) -> bool:
        self.pending[name] = [link for link in self.links if link.source == name]
        return True

    def end(self, name: str) -> bool:
        self.done.add(name)
        self.ended |= {link for link in self.links if link.source == name}
        return True


@settings(max_examples=120)
@given(graphs())
def test_every_batch_arrives(graph: tuple[list[Node], list[Link], dict[str, Wish]]) -> None:
    nodes, links, _ = graph
    assert Flow(nodes, list(spooled(nodes, links))).run()


@settings(max_examples=120)
@given(graphs())
def test_nothing_is_spooled_where_all_flows_by_itself(
    graph: tuple[list[Node], list[Link], dict[str, Wish]],
) -> None:
    nodes, links, _ = graph
    if Flow(nodes, links).run():
        assert spooled(nodes, links) == tuple(links)


def test_a_step_that_reads_a_stream_both_ways_would_wait_for_ever() -> None:
    nodes = [
        Source("s.a", "s", "csv://x", Format.CSV, "x"),
        Step("s.b", "s", Sql("")),
    ]
    links = [Link("s.a", "s.b"), Link("s.a", "s.b", "again")]
    assert not Flow(nodes, links).run()
    assert Flow(nodes, list(spooled(nodes, links))).run()


@settings(max_examples=120)
@given(graphs())
def test_slices_hold_every_node_once_and_never_wait_for_themselves(
    graph: tuple[list[Node], list[Link], dict[str, Wish]],
) -> None:
    nodes, links, asked = graph
    slices = sliced("s", nodes, links, wishes=asked, default=Wish())
    assert sorted(one for spec in slices for one in spec.nodes) == sorted(node.id for node in nodes)
    assert len({spec.id for spec in slices}) == len(slices)
    home = {node: spec.id for spec in slices for node in spec.nodes}
    needs: dict[str, frozenset[str]] = {spec.id: frozenset() for spec in slices}
    for link in links:
        if home[link.source] != home[link.target]:
            needs[home[link.target]] |= {home[link.source]}
    assert topological(tuple(needs), needs) is not None
    gang = {spec.id: spec.gang for spec in slices}
    assert all(gang[home[link.source]] == gang[home[link.target]] for link in links)
    for spec in slices:
        alone = [one for one in spec.nodes if asked[one].isolate]
        assert not alone or len(spec.nodes) == 1


@settings(max_examples=100)
@given(graphs())
def test_slices_are_the_same_each_time(
    graph: tuple[list[Node], list[Link], dict[str, Wish]],
) -> None:
    nodes, links, asked = graph
    assert sliced("s", nodes, links, wishes=asked, default=Wish()) == sliced(
        "s", nodes, links, wishes=dict(reversed(asked.items())), default=Wish()
    )


@settings(max_examples=120)
@given(graphs())
def test_a_step_has_the_network_that_it_asks_for_and_none_where_it_wants_none(
    graph: tuple[list[Node], list[Link], dict[str, Wish]],
) -> None:
    nodes, links, asked = graph
    by_id = {node.id: node for node in nodes}
    for spec in sliced("s", nodes, links, wishes=asked, default=Wish()):
        members = [by_id[name] for name in spec.nodes]
        is_remote = any(isinstance(node, Source) and node.path == REMOTE for node in members)
        assert spec.reaches == ((REMOTE,) if is_remote else ())
        for node in members:
            if isinstance(node, Step):
                assert spec.network is (asked[node.id].network or Network.NONE)
                assert not (is_remote and asked[node.id].network is Network.NONE)
