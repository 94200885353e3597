"""A cluster's own authority in a test, and nodes that it has given certificates: made as a cluster makes them, with numbers that count up in place of random ones."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from runink.certificates.authority import (
    LIFETIME_S,
    Authority,
    Grant,
    PrivateKey,
    issue,
    key_pem,
    make_authority,
    make_request,
    pem_of,
    read_request,
)
from runink.certificates.names import serial_of
from runink.certificates.roles import NodeRole, Serial
from runink.names import NodeId
from runink.wire.tls import TlsIdentity

CLUSTER: Final = "farm"
NOW_S: Final = int(time.time())  # OpenSSL looks at the clock of the machine

_serials = count(1)


def next_serial() -> Serial:
    return serial_of(next(_serials).to_bytes(16, "big"))


def curve_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def edwards_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def authority_of_test(cluster: str = CLUSTER, *, now_s: int = NOW_S) -> Authority:
    return make_authority(cluster, curve_key(), serial=next_serial(), now_s=now_s)


@dataclass(frozen=True)
class Node:
    """A node with a certificate."""

    der: bytes
    key: PrivateKey

    def identity(self, *trusted: Authority) -> TlsIdentity:
        """Return what it shows, and whom it trusts."""
        return TlsIdentity(bundle(*trusted), pem_of(self.der), key_pem(self.key))


def bundle(*trusted: Authority) -> bytes:
    return "".join(one.trusted.pem for one in trusted).encode()


def certified(
    authority: Authority,
    role: NodeRole,
    name: str,
    *,
    generation: int = 1,
    span: tuple[int, int] = (NOW_S, LIFETIME_S),
    key: PrivateKey | None = None,
) -> Node:
    """Return a node with a certificate of the authority. `span` is when it is issued and for how long, seconds."""
    key = key or curve_key()
    grant = Grant(role=role, name=NodeId(name), generation=generation, serial=next_serial())
    requested = read_request(make_request(key, name))
    der = issue(authority, requested, grant, now_s=span[0], lifetime_s=span[1])
    return Node(der, key)
