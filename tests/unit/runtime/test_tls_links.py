"""Connections over mutual TLS 1.3: who has no certificate of the cluster's authority does not get in, on either side."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from runink.errors import LinkLost, Refused
from runink.runtime.connections import connect_tcp, serve_tcp
from runink.runtime.directory import Directory
from runink.testing.certificates import Authority
from runink.wire.tls import accepting_context, connecting_context
from runtime_world import Put, StoreMessage, one_store

pytestmark = pytest.mark.anyio


async def reach(server: ssl.SSLContext, client: ssl.SSLContext | None) -> int:
    async with one_store() as ref:
        directory = Directory("there")
        directory.serve(ref, StoreMessage)
        async with (
            serve_tcp("127.0.0.1", 0, directory, tls=server) as port,
            connect_tcp("127.0.0.1", port, tls=client) as peer,
        ):
            return await peer.ref("store").ask(Put("a"), within=60)


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
