"""A node's trust folder: certificate and key belong together whenever somebody looks, and what was asked for once is asked for again with the same key."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from runink.certificates.authority import key_pem
from runink.certificates.names import identity_of
from runink.certificates.roles import NodeRole
from runink.errors import Forbidden, Refused
from runink.testing.handshakes import handshake
from runink.testing.node_certificates import authority_of_test, bundle, certified, edwards_key
from runink.trust_files import TrustFolder
from runink.wire.tls import accepting_from, connecting_from

OURS = authority_of_test()
OTHERS = authority_of_test()
SERVER = accepting_from(certified(OURS, NodeRole.SERVER, "m1").identity(OURS))


def answered(trust: TrustFolder, generation: int = 1) -> bytes:
    """Return what the cluster answers to a request of this node."""
    return certified(
        OURS, NodeRole.AGENT, "worker-1", generation=generation, key=trust.next_key()
    ).der


def joined(folder: Path) -> TrustFolder:
    trust = TrustFolder(folder)
    trust.install(answered(trust), bundle(OURS))
    return trust


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def generation_shown(trust: TrustFolder) -> int:
    """Return which certificate gets the node in, in a real handshake."""
    identity = trust.load()
    assert identity is not None
    tried = handshake(SERVER, connecting_from(identity))
    assert tried.is_admitted, tried.reasons
    return identity_of(tried.server.peer).generation


def test_a_node_that_has_never_joined_has_nothing_to_show(tmp_path):
    trust = TrustFolder(tmp_path / "trust")
    assert trust.load() is None
    assert trust.shown() is None
    trust.next_key()
    assert trust.load() is None


def test_a_node_that_has_joined_gets_in(tmp_path):
    trust = joined(tmp_path / "trust")
    assert generation_shown(trust) == 1
    shown = trust.shown()
    assert shown is not None
    assert shown.name == "worker-1"
    assert names_in(tmp_path / "trust") == ["authority.pem", "certificate.pem", "key.pem"]


def test_keys_are_their_owners_alone(tmp_path):
    folder = tmp_path / "trust"
    trust = joined(folder)
    trust.next_key()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes["trust"] == 0o700
    assert modes["key.pem"] == modes["next-key.pem"] == 0o600


def test_each_renewal_has_a_key_of_its_own(tmp_path):
    trust = joined(tmp_path)
    first = trust.load()
    trust.install(answered(trust, 2), bundle(OURS))
    second = trust.load()
    assert first is not None
    assert second is not None
    assert first.key != second.key
    assert generation_shown(trust) == 2


def test_a_request_that_was_not_answered_is_made_again_with_the_same_key(tmp_path):
    key = joined(tmp_path).next_key()
    assert key_pem(TrustFolder(tmp_path).next_key()) == key_pem(key)
    assert generation_shown(TrustFolder(tmp_path)) == 1


@pytest.mark.parametrize("crash_at", range(4))
def test_a_crash_at_any_step_leaves_a_pair_that_gets_in_and_the_renewal_is_made_again(
    tmp_path, monkeypatch, crash_at
):
    trust = joined(tmp_path)
    key = trust.next_key()
    answer = certified(OURS, NodeRole.AGENT, "worker-1", generation=2, key=key).der
    steps = 0
    rename = Path.rename

    def crashing(self, target):
        nonlocal steps
        if steps == crash_at:
            raise KeyboardInterrupt
        steps += 1
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", crashing)
    if crash_at < 3:
        with pytest.raises(KeyboardInterrupt):
            trust.install(answer, bundle(OURS))
    else:
        trust.install(answer, bundle(OURS))
    monkeypatch.undo()

    after = TrustFolder(tmp_path)
    assert generation_shown(after) == (1 if crash_at < 2 else 2)
    after.install(answer, bundle(OURS))  # the cluster gives the same answer again
    assert generation_shown(after) == 2
    assert key_pem(after.next_key()) != key_pem(key)
    assert generation_shown(after) == 2
    assert not [name for name in names_in(tmp_path) if name.startswith(".")]


def test_after_a_crash_between_certificate_and_key_the_next_renewal_takes_a_fresh_key(tmp_path):
    trust = joined(tmp_path)
    key = trust.next_key()
    der = certified(OURS, NodeRole.AGENT, "worker-1", generation=2, key=key).der
    trust.install(der, bundle(OURS))
    (tmp_path / "key.pem").rename(tmp_path / "next-key.pem")  # as it is between the two
    assert generation_shown(TrustFolder(tmp_path)) == 2
    assert key_pem(TrustFolder(tmp_path).next_key()) != key_pem(key)
    assert generation_shown(TrustFolder(tmp_path)) == 2


def test_what_belongs_to_no_key_or_authority_of_ours_changes_nothing(tmp_path):
    trust = joined(tmp_path)
    key = trust.next_key()
    strange = certified(OURS, NodeRole.AGENT, "worker-1").der
    foreign = certified(OTHERS, NodeRole.AGENT, "worker-1", key=key).der
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for answer in (strange, foreign):
        with pytest.raises(Refused):
            trust.install(answer, bundle(OURS))
    with pytest.raises(Forbidden):
        trust.install(b"damaged", bundle(OURS))
    with pytest.raises(Refused):
        trust.trust(b"no bundle")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_node_may_have_a_key_of_its_own_choice(tmp_path):
    """Who runs an Ed25519 shop puts its key there before it joins."""
    (tmp_path / "next-key.pem").write_bytes(key_pem(edwards_key()))
    (tmp_path / "next-key.pem").chmod(0o600)
    assert generation_shown(joined(tmp_path)) == 1


def test_a_key_that_others_may_read_is_refused(tmp_path):
    trust = joined(tmp_path)
    (tmp_path / "key.pem").chmod(0o640)
    with pytest.raises(Refused, match="can be read by others"):
        trust.load()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("key.pem", b"damaged"),
        ("key.pem", None),
        ("key.pem", key_pem(edwards_key())),
        ("key.pem", key_pem(rsa.generate_private_key(65537, 2048))),
        ("certificate.pem", b"damaged"),
        ("authority.pem", None),
    ],
)
def test_files_that_are_damaged_or_do_not_fit_are_refused(tmp_path, name, content):
    trust = joined(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused) as caught:
        trust.load()
    assert caught.value.code == "bad_certificate"
    assert str(tmp_path) in caught.value.text


def test_whom_to_trust_changes_without_a_new_certificate(tmp_path):
    trust = joined(tmp_path)
    trust.trust(bundle(OURS, OTHERS))
    identity = trust.load()
    assert identity is not None
    assert identity.authority == bundle(OURS, OTHERS)
    assert generation_shown(trust) == 1
