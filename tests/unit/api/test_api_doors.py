"""Doors: TLS 1.3, plain on loopback only, a Unix socket of its user only."""

from __future__ import annotations

import asyncio
import ssl
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from api_world import LOOPBACK, SOON_S
from notebook import OPERATIONS, ROOT, Notebook, parts_of
from runink.api.app import App, make_app
from runink.api.limits import Limits
from runink.api.serving import Certificate, Door, Serving, serving
from runink.config import Address
from runink.errors import Refused

pytestmark = pytest.mark.anyio
BOTH_LOOPS = True


def app_of(**changes: Any) -> App:
    return make_app(OPERATIONS, parts_of(Notebook(), **changes))


def write(folder: Path, authority: trustme.CA) -> Certificate:
    issued = authority.issue_cert("127.0.0.1")
    certificate = Certificate(folder / "chain.pem", folder / "key.pem")
    certificate.chain.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    certificate.key.write_bytes(issued.private_key_pem.bytes())
    return certificate


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def get(server: Serving, context: ssl.SSLContext) -> aiohttp.ClientResponse:
    port = server.addresses[0][1]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SOON_S)) as session:
        return await session.get(f"https://127.0.0.1:{port}/api/v1/health", ssl=context)


async def test_tls_is_served_and_says_that_it_stays(tmp_path: Path) -> None:
    authority = trustme.CA()
    door = Door(LOOPBACK, write(tmp_path, authority))
    async with serving(app_of(), [door]) as server:
        answer = await get(server, trusting(authority))
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_an_older_tls_and_plain_http_are_not_served(tmp_path: Path) -> None:
    authority = trustme.CA()
    door = Door(LOOPBACK, write(tmp_path, authority))
    async with serving(app_of(), [door]) as server:
        old = trusting(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientConnectorError):
            await get(server, old)
        with pytest.raises(aiohttp.ClientConnectorError):
            await get(server, ssl.create_default_context())  # who does not trust the authority
        reader, writer = await asyncio.open_connection("127.0.0.1", server.addresses[0][1])
        writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(SOON_S):
            with suppress(ConnectionError):
                assert b"200" not in await reader.read()
        writer.close()


async def test_a_handshake_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    door = Door(LOOPBACK, write(tmp_path, trustme.CA()))
    async with serving(app_of(limits=Limits(handshake_s=0.2)), [door]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.addresses[0][1])
        async with asyncio.timeout(SOON_S):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


async def test_a_certificate_that_is_renewed_is_taken_in(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    door = Door(LOOPBACK, write(tmp_path, old))
    async with serving(app_of(), [door]) as server:
        assert (await get(server, trusting(old))).status == 200
        write(tmp_path, new)
        server.reload()
        assert (await get(server, trusting(new))).status == 200
        (tmp_path / "key.pem").write_text("nonsense")
        with pytest.raises(Refused) as caught:
            server.reload()
        assert caught.value.code == "certificate_unusable"
        assert (await get(server, trusting(new))).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
async def test_without_tls_it_listens_where_only_this_machine_comes(host: str) -> None:
    with pytest.raises(Refused) as caught:
        async with serving(app_of(), [Door(LOOPBACK), Door(Address(host, 0))]):
            pass
    assert caught.value.code == "insecure_listener"


@pytest.mark.parametrize("name", ["chain", "key"])
async def test_a_certificate_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    certificate = write(tmp_path, trustme.CA())
    getattr(certificate, name).unlink()
    with pytest.raises(Refused) as caught:
        async with serving(app_of(), [Door(LOOPBACK, certificate)]):
            pass
    assert caught.value.code == "certificate_unusable"


async def test_an_address_that_is_taken_is_told() -> None:
    async with serving(app_of(), [Door(LOOPBACK)]) as server:
        taken = Address("127.0.0.1", server.addresses[0][1])
        with pytest.raises(Refused) as caught:
            async with serving(app_of(), [Door(taken)]):
                pass
        assert caught.value.code == "address_taken"


async def ask(path: Path, headers: dict[str, str]) -> int:
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://x/api/v1/herds/trains/notes", headers=headers) as answer,
    ):
        return answer.status


async def test_a_socket_is_of_its_user_who_speaks_as_the_operator(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    path.write_text("left behind by a crash")
    async with serving(app_of(operator=ROOT), [Door(path), Door(LOOPBACK)]) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await ask(path, {}) == 200
        assert await ask(path, {"Authorization": "Bearer wrong"}) == 401
        assert await ask(path, {"Authorization": "Bearer anna-token"}) == 404
        port = next(one[1] for one in server.addresses if isinstance(one, tuple))
        async with aiohttp.ClientSession() as session:
            over_tcp = await session.get(f"http://127.0.0.1:{port}/api/v1/herds/trains/notes")
            assert over_tcp.status == 401
    assert not path.exists()
    async with serving(app_of(), [Door(path)]):
        assert await ask(path, {}) == 401


async def test_who_runs_the_server_may_ask_more_often_than_others_and_not_without_end(
    tmp_path: Path,
) -> None:
    path = tmp_path / "api.sock"
    limits = Limits(requests_burst=2, requests_per_s=0.001, operator_times=3)
    async with serving(app_of(operator=ROOT, limits=limits), [Door(path)]):
        assert [await ask(path, {}) for _ in range(7)] == [200] * 6 + [429]


async def test_a_socket_that_another_server_has_put_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async with serving(app_of(operator=ROOT), [Door(path)]) as first:
        async with serving(app_of(operator=ROOT), [Door(path)]):
            await first.close()
            assert await ask(path, {}) == 200
        assert not path.exists()


async def test_a_door_that_was_not_opened_takes_nobodys_socket_away(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async with serving(app_of(operator=ROOT), [Door(path)]):
        with pytest.raises(Refused):
            async with serving(app_of(), [Door(Address("0.0.0.0", 0)), Door(path)]):
                pass
        assert await ask(path, {}) == 200
