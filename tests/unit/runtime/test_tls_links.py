"""Connections over mutual TLS 1.3: who has no certificate of the cluster's authority does not get in, on either side."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from runink.errors import LinkLost, Refused
from runink.runtime.connections import connect_tcp, serve_tcp
from runink.runtime.directory import Directory
from runink.wire.tls import accepting_context, connecting_context
from runtime_world import Put, StoreMessage, one_store

pytestmark = pytest.mark.anyio

NOW = dt.datetime.now(dt.UTC)
HOUR = dt.timedelta(hours=1)


class Authority:
    """A certificate authority, and the files of the nodes that it knows."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        self._certificate = (
            self._builder(name, name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._name = name
        self.file = self._write("ca.pem", self._certificate)

    def node(self, name: str, host: str = "127.0.0.1") -> tuple[Path, Path]:
        """Return the files of a node's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder(name, self._name, key)
            .add_extension(names, critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / f"{name}.key"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return self._write(f"{name}.pem", certificate), path

    def _builder(
        self, name: str, issuer: str, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - HOUR)
            .not_valid_after(NOW + HOUR)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self._folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


async def reach(server: ssl.SSLContext, client: ssl.SSLContext | None) -> int:
    async with one_store() as ref:
        directory = Directory("there")
        directory.serve(ref, StoreMessage)
        async with (
            serve_tcp("127.0.0.1", 0, directory, tls=server) as port,
            connect_tcp("127.0.0.1", port, tls=client) as peer,
        ):
            return await peer.ref("store").ask(Put("a"), within=5)


async def test_nodes_of_one_authority_reach_each_other(tmp_path: Path):
    ours = Authority(tmp_path, "ours")
    server = accepting_context(*ours.node("server"), ours.file)
    assert await reach(server, connecting_context(*ours.node("client"), ours.file)) == 1


async def test_a_client_of_another_authority_or_without_a_certificate_does_not_get_in(
    tmp_path: Path,
):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    server = accepting_context(*ours.node("server"), ours.file)
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.load_verify_locations(ours.file)
    for client in (connecting_context(*others.node("client"), ours.file), bare):
        with pytest.raises(LinkLost):
            await reach(server, client)


async def test_a_client_does_not_speak_to_a_server_of_another_authority_or_host(tmp_path: Path):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    client = connecting_context(*ours.node("client"), ours.file)
    for files in (others.node("server"), ours.node("elsewhere", host="10.1.2.3")):
        with pytest.raises(LinkLost):
            await reach(accepting_context(*files, ours.file), client)


async def test_older_versions_of_tls_are_refused(tmp_path: Path):
    ours = Authority(tmp_path, "ours")
    server = accepting_context(*ours.node("server"), ours.file)
    client = connecting_context(*ours.node("client"), ours.file)
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(LinkLost):
        await reach(server, client)


async def test_plain_text_to_a_tls_port_is_cut_off(tmp_path: Path):
    ours = Authority(tmp_path, "ours")
    with pytest.raises(LinkLost):
        await reach(accepting_context(*ours.node("server"), ours.file), None)


def test_files_that_do_not_fit_are_refused(tmp_path: Path):
    ours = Authority(tmp_path, "ours")
    certificate, _ = ours.node("one")
    _, key = ours.node("two")
    for files in ((certificate, key, ours.file), (certificate, tmp_path / "missing", ours.file)):
        with pytest.raises(Refused) as info:
            accepting_context(*files)
        assert info.value.code == "bad_certificate"
