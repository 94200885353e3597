"""Links between nodes with certificates of the cluster's own authority, over real connections: who gets in, and what the others hear."""

from __future__ import annotations

import ssl

import pytest
from runink.certificates.names import CertifiedNode, identity_of
from runink.certificates.renewal import NodeCertificate, recorded, revoked, why_refused
from runink.certificates.roles import CONTROL, NodeRole
from runink.errors import Forbidden, LinkLost
from runink.runtime.connections import Dialled, connect_tcp, serve_tcp
from runink.runtime.directory import Directory
from runink.runtime.guests import OpenEntrance, Shown
from runink.testing.node_certificates import (
    NOW_S,
    Node,
    authority_of_test,
    bundle,
    certified,
    curve_key,
    edwards_key,
)
from runink.wire.messages import Hello
from runink.wire.tls import TlsContexts, TlsIdentity, connecting_from
from runtime_world import Put, StoreMessage, one_store

pytestmark = pytest.mark.anyio

OURS, OTHERS = authority_of_test(), authority_of_test()
SERVER = certified(OURS, NodeRole.SERVER, "m1")
WORKER = certified(OURS, NodeRole.AGENT, "w")
HOUR_S = 3600


class Records(OpenEntrance):
    """Lets in whom the records know, as a server does."""

    def __init__(self, *records: NodeCertificate) -> None:
        self.records = {(one.role, one.name): one for one in records}
        self.admitted: list[CertifiedNode] = []

    def admit(self, hello: Hello, shown: Shown) -> None:
        found = identity_of(shown.certificate)
        denied = why_refused(self.records.get((found.role, found.name)), found, now_s=NOW_S)
        if denied is not None:
            raise denied.error()
        self.admitted.append(found)


def record_of(node: Node) -> NodeCertificate:
    return recorded(None, node.der, None, now_s=NOW_S)


async def reach(entrance: Records, client: ssl.SSLContext, name: str = CONTROL) -> int:
    contexts = TlsContexts(SERVER.identity(OURS))
    async with one_store() as ref:
        directory = Directory("m1")
        directory.serve(ref, StoreMessage)
        async with (
            serve_tcp("127.0.0.1", 0, directory, entrance=entrance, tls=contexts.accepting) as port,
            connect_tcp("127.0.0.1", port, tls=Dialled(client, name)) as peer,
        ):
            return await peer.ref("store").ask(Put("a"), within=60)


@pytest.mark.parametrize("key", [curve_key(), edwards_key()], ids=["P-256", "Ed25519"])
async def test_a_node_that_is_known_gets_in_and_is_who_its_certificate_names(key):
    node = certified(OURS, NodeRole.AGENT, "w", key=key)
    entrance = Records(record_of(node))
    assert await reach(entrance, connecting_from(node.identity(OURS))) == 1
    assert [str(one) for one in entrance.admitted] == ["agent w"]


OLD_TLS = connecting_from(WORKER.identity(OURS))
OLD_TLS.minimum_version = OLD_TLS.maximum_version = ssl.TLSVersion.TLSv1_2
REFUSED = {
    "no certificate": connecting_from(TlsIdentity(bundle(OURS))),
    "another authority": connecting_from(certified(OTHERS, NodeRole.AGENT, "w").identity(OURS)),
    "expired": connecting_from(
        certified(OURS, NodeRole.AGENT, "w", span=(NOW_S - HOUR_S, HOUR_S - 60)).identity(OURS)
    ),
    "TLS 1.2": OLD_TLS,
}


@pytest.mark.parametrize("client", REFUSED.values(), ids=REFUSED.keys())
async def test_who_shows_nothing_good_is_never_connected(client):
    """Also those whose own handshake was well, as that of TLS 1.3 is."""
    entrance = Records(record_of(WORKER))
    with pytest.raises(LinkLost):
        await reach(entrance, client)
    assert not entrance.admitted


@pytest.mark.parametrize(
    "name", ["m2.server.runink.internal", "m1.agent.runink.internal", "127.0.0.1"]
)
async def test_a_server_of_another_name_or_role_is_not_connected_to(name):
    entrance = Records(record_of(WORKER))
    with pytest.raises(LinkLost):
        await reach(entrance, connecting_from(WORKER.identity(OURS)), name)
    assert not entrance.admitted


async def test_a_server_of_another_authority_is_not_connected_to():
    with pytest.raises(LinkLost):
        await reach(Records(record_of(WORKER)), connecting_from(WORKER.identity(OTHERS)))


async def test_a_node_that_was_revoked_is_told_so_though_its_certificate_is_good():
    entrance = Records(revoked(record_of(WORKER), "sold", now_s=NOW_S))
    with pytest.raises(Forbidden, match="agent w is revoked: sold") as caught:
        await reach(entrance, connecting_from(WORKER.identity(OURS)))
    assert caught.value.code == "node_revoked"
    assert not entrance.admitted


async def test_a_certificate_of_ours_that_no_record_knows_gets_nobody_in():
    with pytest.raises(Forbidden) as caught:
        await reach(Records(), connecting_from(WORKER.identity(OURS)))
    assert caught.value.code == "node_unknown"
