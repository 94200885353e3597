"""A node's trust folder: whom it trusts, what it shows, and the key that its next certificate is asked for with.

    authority.pem      the bundle
    certificate.pem    the node's certificate
    key.pem            its private key, for its owner alone
    next-key.pem       the key of a request that has no answer yet

Each file is replaced whole.  Certificate and key are two, so there is an order:

    1. `next_key`   next-key.pem is on the disk before anything is asked for: a request that is made again after a crash has the same key, and is the same request
    2. `install`    certificate.pem is the new one: from here on it belongs to next-key.pem
    3.              next-key.pem becomes key.pem

Whoever reads takes the key that the certificate belongs to, so the pair is whole after a crash between any two of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from runink.certificates.authority import PrivateKey, key_pem, pem_of
from runink.certificates.names import UNREADABLE, CertifiedNode, identity_of
from runink.certificates.pins import bundle_of, read_bundle
from runink.errors import Refused
from runink.private_files import (
    FILE_BYTES_MAX,
    make_private_folder,
    read_private,
    replace_private,
)
from runink.syncing import sync_place
from runink.wire.tls import TlsIdentity

AUTHORITY: Final = "authority.pem"
CERTIFICATE: Final = "certificate.pem"
KEY: Final = "key.pem"
NEXT_KEY: Final = "next-key.pem"
CODE: Final = "bad_certificate"
READS_MAX: Final = (
    3  # another process may be replacing the files meanwhile; a renewal is hours behind the last
)


class TrustFolder:
    """The folder of one node. One process at a time writes there; any number read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def next_key(self) -> PrivateKey:
        """Return the key to ask for the next certificate with: the one of a request that was not answered, or a fresh one on P-256. Raises Refused (`bad_certificate`), OSError."""
        make_private_folder(self._folder)
        path = self._folder / NEXT_KEY
        found = self._read_key(path)
        if found is not None and not self._is_certified(found):
            return found
        if found is not None:
            self._become_current()
        key = ec.generate_private_key(ec.SECP256R1())
        replace_private(path, key_pem(key))
        return key

    def install(self, certificate: bytes, bundle: bytes) -> CertifiedNode:
        """Take a certificate (DER) for the next key, or again for the current one, and whom to trust from now on. Returns whom it names.

        Raises Refused (`bad_certificate`, `bad_authority`) for one that belongs to none of our keys or to no authority of the bundle, Forbidden (`not_a_node`); then nothing has changed. OSError.
        """
        found = identity_of(certificate)
        if found.authority not in {one.fingerprint for one in read_bundle(bundle)}:
            raise Refused("the certificate is not of an authority that is trusted", code=CODE)
        is_next = self._is_key_of(self._read_key(self._folder / NEXT_KEY), certificate)
        if not is_next and not self._is_key_of(self._read_key(self._folder / KEY), certificate):
            raise Refused("the certificate belongs to none of this node's keys", code=CODE)
        self.trust(bundle)
        replace_private(self._folder / CERTIFICATE, pem_of(certificate))
        if is_next:
            self._become_current()
        return found

    def trust(self, bundle: bytes) -> None:
        """Trust these authorities from now on. Raises Refused (`bad_authority`), OSError."""
        trusted = bundle_of(read_bundle(bundle))  # without what else may stand in a PEM text
        make_private_folder(self._folder)
        replace_private(self._folder / AUTHORITY, trusted)

    def load(self) -> TlsIdentity | None:
        """Return what the node shows and trusts, nothing if it has never joined. Raises Refused (`bad_certificate`) for files that are damaged, do not fit or are open to others, OSError."""
        for _ in range(READS_MAX):
            certificate = self._read(CERTIFICATE)
            if certificate is None:
                return None
            bundle = self._read(AUTHORITY)
            if bundle is None:
                raise self._refused("holds a certificate, and no authority.pem")
            der = self._der(certificate)
            for name in (KEY, NEXT_KEY):
                key = self._read_key(self._folder / name)
                if key is not None and self._is_key_of(key, der):
                    return TlsIdentity(bundle, certificate, key_pem(key))
        raise self._refused("holds a certificate, and not its key")

    def shown(self) -> CertifiedNode | None:
        """Return whom the node's certificate names, nothing if it has none. Raises Refused (`bad_certificate`), Forbidden (`not_a_node`), OSError."""
        certificate = self.certificate()
        return None if certificate is None else identity_of(certificate)

    def certificate(self) -> bytes | None:
        """Return the node's certificate (DER), nothing if it has none. Raises Refused (`bad_certificate`), OSError."""
        certificate = self._read(CERTIFICATE)
        return None if certificate is None else self._der(certificate)

    def _become_current(self) -> None:
        (self._folder / NEXT_KEY).rename(self._folder / KEY)
        sync_place(self._folder)

    def _is_certified(self, key: PrivateKey) -> bool:
        certificate = self._read(CERTIFICATE)
        return certificate is not None and self._is_key_of(key, self._der(certificate))

    @staticmethod
    def _is_key_of(key: PrivateKey | None, der: bytes) -> bool:
        if key is None:
            return False
        return x509.load_der_x509_certificate(der).public_key() == key.public_key()

    def _read(self, name: str) -> bytes | None:
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return None

    def _read_key(self, path: Path) -> PrivateKey | None:
        try:
            content = read_private(path, code=CODE, harm="can be this node")
        except FileNotFoundError:
            return None
        try:
            key = serialization.load_pem_private_key(content, None)
        except UNREADABLE as error:
            raise self._refused(f"holds a damaged {path.name}: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
            raise self._refused(f"holds a {path.name} of a type that no node has")
        return key

    def _der(self, pem: bytes) -> bytes:
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            certificate.public_key()
        except UNREADABLE as error:
            raise self._refused(f"holds a damaged {CERTIFICATE}: {error}") from error
        return certificate.public_bytes(serialization.Encoding.DER)

    def _refused(self, what: str) -> Refused:
        return Refused(
            f"{self._folder} {what}",
            code=CODE,
            hint="put the files back from where they were kept, or have the node join again",
        )
