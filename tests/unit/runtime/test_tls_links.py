"""Connections over mutual TLS 1.3: who has no certificate of the cluster's authority does not get in, on either side."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from runink.errors import LinkLost, Refused
from runink.runtime.connections import Dialled, connect_tcp, serve_tcp
from runink.runtime.directory import Directory
from runink.testing.certificates import Authority
from runink.wire.tls import accepting_from, connecting_from
from runtime_world import Put, StoreMessage, one_store

pytestmark = pytest.mark.anyio


async def reach(server: ssl.SSLContext, client: ssl.SSLContext | None) -> int:
    async with one_store() as ref:
        directory = Directory("there")
        directory.serve(ref, StoreMessage)
        async with (
            serve_tcp("127.0.0.1", 0, directory, tls=lambda: server) as port,
            connect_tcp("127.0.0.1", port, tls=Dialled(client) if client else None) as peer,
        ):
            return await peer.ref("store").ask(Put("a"), within=60)


async def test_nodes_of_one_authority_reach_each_other(tmp_path: Path):
    ours = Authority(tmp_path, "ours")
    server = accepting_from(ours.identity("server"))
    assert await reach(server, connecting_from(ours.identity("client"))) == 1


async def test_a_client_of_another_authority_or_without_a_certificate_does_not_get_in(
    tmp_path: Path,
):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    server = accepting_from(ours.identity("server"))
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.load_verify_locations(ours.file)
    for client in (
        connecting_from(replace(others.identity("client"), authority=ours.file.read_bytes())),
        bare,
    ):
        with pytest.raises(LinkLost):
            await reach(server, client)


async def test_a_client_does_not_speak_to_a_server_of_another_authority_or_host(tmp_path: Path):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    client = connecting_from(ours.identity("client"))
    for shown in (others.identity("server"), ours.identity("elsewhere", host="10.1.2.3")):
        server = accepting_from(replace(shown, authority=ours.file.read_bytes()))
        with pytest.raises(LinkLost):
            await reach(server, client)


async def test_older_versions_of_tls_are_refused(tmp_path: Path):
    ours = Authority(tmp_path, "ours")
    server = accepting_from(ours.identity("server"))
    client = connecting_from(ours.identity("client"))
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(LinkLost):
        await reach(server, client)


async def test_plain_text_to_a_tls_port_is_cut_off(tmp_path: Path):
    ours = Authority(tmp_path, "ours")
    with pytest.raises(LinkLost):
        await reach(accepting_from(ours.identity("server")), None)


def test_files_that_do_not_fit_are_refused(tmp_path: Path):
    ours = Authority(tmp_path, "ours")
    one, other = ours.identity("one"), ours.identity("two")
    for shown in (replace(one, key=other.key), replace(one, key=b"")):
        with pytest.raises(Refused) as info:
            accepting_from(shown)
        assert info.value.code == "bad_certificate"
