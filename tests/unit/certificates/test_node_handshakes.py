"""Certificates that our authority issues, in real handshakes: who gets in, who is cut off, and what each side sees of it."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest
from runink.certificates.names import identity_of
from runink.certificates.roles import CONTROL, NodeRole, dns_names
from runink.errors import Refused
from runink.names import NodeId
from runink.testing.handshakes import Handshake, handshake
from runink.testing.node_certificates import (
    NOW_S,
    authority_of_test,
    bundle,
    certified,
    curve_key,
    edwards_key,
)
from runink.wire.tls import (
    TlsContexts,
    TlsIdentity,
    accepting_from,
    asking_context,
    connecting_from,
)

OURS = authority_of_test()
OTHERS = authority_of_test()  # of the same name
SERVER = certified(OURS, NodeRole.SERVER, "m1")
AGENT = certified(OURS, NodeRole.AGENT, "worker-1")
HOUR_S = 3600


def reach(
    client: ssl.SSLContext, name: str = CONTROL, *, lets_programs_in: bool = False
) -> Handshake:
    listening = accepting_from(SERVER.identity(OURS), lets_programs_in=lets_programs_in)
    return handshake(listening, client, name)


@pytest.mark.parametrize("key", [curve_key(), edwards_key()], ids=["P-256", "Ed25519"])
@pytest.mark.parametrize("role", NodeRole)
def test_a_node_with_a_certificate_of_ours_gets_in_and_is_known(key, role):
    node = certified(OURS, role, "worker_1", key=key)
    tried = reach(connecting_from(node.identity(OURS)))
    assert tried.is_admitted, tried.reasons
    found = identity_of(tried.server.peer)
    assert (found.cluster, found.role, found.name) == ("farm", role, "worker_1")
    assert tried.client.tls.version() == "TLSv1.3"
    assert tried.client.tls.selected_alpn_protocol() == "runink/1"


@pytest.mark.parametrize("role", NodeRole)
def test_who_listens_is_verified_by_its_name_whatever_was_dialled(role):
    node = certified(OURS, role, "n-1", key=edwards_key())
    listening = accepting_from(node.identity(OURS))
    for name in dns_names(role, NodeId("n-1")):
        tried = handshake(listening, connecting_from(AGENT.identity(OURS)), name)
        assert tried.is_admitted, tried.reasons


@pytest.mark.parametrize(
    "name",
    [
        "m2.server.runink.internal",
        "m1.agent.runink.internal",  # the wrong role in its name
        "server.runink.internal",
        "localhost",
        "127.0.0.1",
    ],
)
def test_a_server_of_another_name_or_role_is_not_spoken_to(name):
    tried = reach(connecting_from(AGENT.identity(OURS)), name)
    assert not tried.is_admitted
    assert "mismatch" in str(tried.client.error)


def test_only_servers_are_taken_for_the_control_plane():
    listening = accepting_from(AGENT.identity(OURS))
    tried = handshake(listening, connecting_from(SERVER.identity(OURS)))
    assert "mismatch" in str(tried.client.error)


def refused_by_server(tried: Handshake) -> str:
    """Return why the server did not want a client, whose own handshake was well all the same."""
    assert tried.client.is_done, tried.reasons
    assert tried.server.error is not None
    with pytest.raises(ssl.SSLError):
        tried.client.heard()
    return str(tried.server.error)


def test_a_client_without_a_certificate_learns_only_behind_its_handshake_that_it_is_cut_off():
    tried = reach(connecting_from(TlsIdentity(bundle(OURS))))
    assert "did not return a certificate" in refused_by_server(tried)


def test_a_certificate_of_another_authority_of_the_same_name_is_refused():
    evil = certified(OTHERS, NodeRole.AGENT, "worker-1")
    assert "verify failed" in refused_by_server(reach(connecting_from(evil.identity(OURS))))


def test_a_server_of_another_authority_is_not_spoken_to():
    tried = reach(connecting_from(AGENT.identity(OTHERS)))
    assert "verify failed" in str(tried.client.error)


def test_a_certificate_that_has_expired_or_is_not_good_yet_is_refused():
    old = certified(OURS, NodeRole.AGENT, "w", span=(NOW_S - HOUR_S, HOUR_S - 60))
    assert "expired" in refused_by_server(reach(connecting_from(old.identity(OURS))))
    early = certified(OURS, NodeRole.AGENT, "w", span=(NOW_S + HOUR_S, HOUR_S))
    assert "not yet valid" in refused_by_server(reach(connecting_from(early.identity(OURS))))


def test_clocks_may_differ_by_a_few_minutes():
    early = certified(OURS, NodeRole.AGENT, "w", span=(NOW_S + 240, HOUR_S))
    assert reach(connecting_from(early.identity(OURS))).is_admitted


def test_tls_1_2_is_refused():
    client = connecting_from(AGENT.identity(OURS))
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_2
    tried = reach(client)
    assert not tried.is_admitted
    assert "unsupported protocol" in str(tried.server.error)


def test_an_authority_cannot_be_made_by_a_node():
    """Who has a node's key and certificate signs with it as if it were an authority's: the chain is refused."""
    worker = certified(OURS, NodeRole.AGENT, "worker-1")
    pretended = replace(OURS, key=worker.key)
    forged = certified(pretended, NodeRole.SERVER, "m1")
    tried = reach(connecting_from(forged.identity(OURS)))
    assert "verify failed" in refused_by_server(tried)


def test_a_program_gets_in_without_a_certificate_where_that_is_allowed():
    tried = reach(connecting_from(TlsIdentity(bundle(OURS))), lets_programs_in=True)
    assert tried.is_admitted, tried.reasons
    assert tried.server.peer == b""


def test_a_certificate_that_is_shown_must_be_good_also_where_none_is_needed():
    evil = certified(OTHERS, NodeRole.AGENT, "worker-1")
    tried = reach(connecting_from(evil.identity(OURS)), lets_programs_in=True)
    assert "verify failed" in refused_by_server(tried)
    good = reach(connecting_from(AGENT.identity(OURS)), lets_programs_in=True)
    assert identity_of(good.server.peer).name == "worker-1"


def test_who_has_only_a_pin_can_ask_for_the_authority_and_is_nobody_there():
    tried = reach(asking_context(), lets_programs_in=True)
    assert tried.is_admitted, tried.reasons
    assert tried.server.peer == b""


def test_sessions_are_not_resumed():
    listening = accepting_from(SERVER.identity(OURS))
    tried = handshake(listening, connecting_from(AGENT.identity(OURS)))
    assert tried.is_admitted
    assert tried.client.tls.session is None or not tried.client.tls.session.has_ticket


def test_a_certificate_and_a_key_that_do_not_belong_together_are_refused():
    one, two = SERVER.identity(OURS), AGENT.identity(OURS)
    for wrong in (
        TlsIdentity(one.authority, one.certificate, two.key),
        TlsIdentity(b"no PEM", one.certificate, one.key),
        TlsIdentity(one.authority, b"no PEM", one.key),
        TlsIdentity(one.authority, one.certificate, b""),
        TlsIdentity("é".encode(), one.certificate, one.key),
    ):
        with pytest.raises(Refused) as caught:
            accepting_from(wrong)
        assert caught.value.code == "bad_certificate"


def test_a_key_that_needs_a_password_is_refused_and_nobody_is_asked_for_one():
    from cryptography.hazmat.primitives import serialization as forms

    locked = SERVER.key.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.BestAvailableEncryption(b"word")
    )
    found = SERVER.identity(OURS)
    with pytest.raises(Refused):
        accepting_from(TlsIdentity(found.authority, found.certificate, locked))


def test_a_renewed_certificate_is_shown_by_the_next_connection_and_a_bad_one_changes_nothing():
    contexts = TlsContexts(SERVER.identity(OURS))
    client = connecting_from(AGENT.identity(OURS))
    first = identity_of(handshake(contexts.accepting(), client).client.peer)
    renewed = certified(OURS, NodeRole.SERVER, "m1", generation=2)
    contexts.replace(renewed.identity(OURS))
    assert identity_of(handshake(contexts.accepting(), client).client.peer).generation == 2
    with pytest.raises(Refused):
        contexts.replace(TlsIdentity(b"damaged"))
    tried = handshake(contexts.accepting(), client)
    assert (identity_of(tried.client.peer).generation, first.generation) == (2, 1)
    assert handshake(contexts.accepting(), contexts.connecting()).is_admitted


def test_an_authority_that_was_dropped_is_refused_from_the_next_connection_on():
    contexts = TlsContexts(SERVER.identity(OURS, OTHERS))
    old = certified(OTHERS, NodeRole.AGENT, "worker-1")
    client = connecting_from(old.identity(OURS))
    assert handshake(contexts.accepting(), client).is_admitted
    dialling = contexts.connecting()
    assert contexts.connecting() is dialling
    contexts.replace(SERVER.identity(OURS))
    assert "verify failed" in refused_by_server(handshake(contexts.accepting(), client))
    assert contexts.connecting() is not dialling
