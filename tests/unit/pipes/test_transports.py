"""What carries a link is decided by where its ends are."""

from __future__ import annotations

from runink.jobs import Seat, Transport, transport_between
from runink.names import HerdName, NodeId

HERE = Seat(HerdName("sales"), NodeId("one"))


def test_slices_of_one_herd_on_one_node_share_memory() -> None:
    assert transport_between(HERE, HERE) is Transport.SLOTS


def test_slices_on_two_nodes_cannot() -> None:
    assert transport_between(HERE, HERE._replace(node=NodeId("two"))) is Transport.WIRE
    assert transport_between(HERE, HERE._replace(node=None)) is Transport.WIRE


def test_slices_of_two_herds_never_do() -> None:
    assert transport_between(HERE, HERE._replace(herd=HerdName("law"))) is Transport.PIPE
