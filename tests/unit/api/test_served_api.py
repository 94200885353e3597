"""The API of a member, put together: its doors, its cursors, its certificate."""

from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from runink import serving_api as module
from runink.api.serving import Serving
from runink.clients.herds import create_herd
from runink.config import Address, ApiSettings
from runink.errors import Invalid, Refused
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal
from runink.names import HerdName
from runink.observe.api_metrics import ApiMetrics
from runink.operations.calls import Unauthenticated
from runink.services.cursor_keys import cursor_keys
from runink.services.offer import offer_of
from runink.serving_api import serving_api
from runink.testing.served import IndexAccess, served
from test_api_doors import trusting, write

pytestmark = pytest.mark.anyio
BOTH_LOOPS = True
SOON_S = 10.0


class Guests(IndexAccess):
    """Lets in nobody with a token."""

    def __init__(self) -> None:
        super().__init__(AccessIndex.compiled((), ()))

    async def authenticate(self, token: str) -> Principal:
        raise Unauthenticated(token)


@asynccontextmanager
async def api(
    settings: ApiSettings, keys: tuple[bytes, ...] = (b"k" * 32,)
) -> AsyncIterator[Serving]:
    """Serve a cluster with the herds a and b."""
    async with served() as cluster:
        for name in ("a", "b"):
            await create_herd(cluster.barn, HerdRecord(HerdName(name)), By("operator:root", 1))
        async with serving_api(
            settings, offer_of(cluster.cluster, Guests(), ApiMetrics()), keys
        ) as server:
            yield server


async def ask(path: Path, query: str = "", **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get(f"http://x/api/v1/herds{query}", headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_who_reaches_the_socket_is_the_operator_and_everybody_else_needs_a_token(
    tmp_path: Path,
) -> None:
    path = tmp_path / "api.sock"
    async with api(ApiSettings(socket=path, listen=Address("127.0.0.1", 0))) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        status, page = await ask(path)
        assert (status, [one["herd"] for one in page["items"]]) == (200, ["a", "b"])
        assert (await ask(path, Authorization="Bearer made.up.token"))[0] == 401
        port = next(one[1] for one in server.addresses if isinstance(one, tuple))
        async with aiohttp.ClientSession() as session:
            over_tcp = await session.get(f"http://127.0.0.1:{port}/api/v1/herds")
            assert over_tcp.status == 401


async def test_a_socket_may_lie_deeper_than_its_address_holds(
    tmp_path: Path, monkeypatch: Any
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    async with api(ApiSettings(socket=folder / "api.sock")):
        monkeypatch.chdir(folder)
        assert (await ask(Path("api.sock")))[0] == 200


async def test_a_cursor_is_read_by_who_has_the_same_secrets_and_by_nobody_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "api.sock"
    settings = ApiSettings(socket=path)
    async with api(settings, cursor_keys([b"old"])):
        _, page = await ask(path, "?limit=1")
    query = f"?limit=1&cursor={page['next']}"
    async with api(settings, cursor_keys([b"new", b"old"])):
        status, rest = await ask(path, query)
        assert (status, [one["herd"] for one in rest["items"]]) == (200, ["b"])
    async with api(settings, cursor_keys([b"new"])):
        assert (await ask(path, query))[0] == 422


def test_keys_of_cursors_follow_from_secrets_and_are_not_them() -> None:
    assert cursor_keys([b"a", b"b"]) == (cursor_keys([b"a"])[0], cursor_keys([b"b"])[0])
    assert b"a" * 32 not in cursor_keys([b"a" * 32])
    assert cursor_keys(()) != cursor_keys(())
    hkdf = HKDF(hashes.SHA256(), 32, salt=None, info=b"runink api cursors")
    assert cursor_keys([b"a"]) == (hkdf.derive(b"a"),)


async def test_a_certificate_that_is_renewed_is_taken_in_by_itself_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    first, second = trustme.CA(), trustme.CA()
    files = write(tmp_path, first)
    settings = ApiSettings(
        socket=tmp_path / "s",
        listen=Address("127.0.0.1", 0),
        certificate=files.chain,
        key=files.key,
    )
    async with api(settings) as server, asyncio.timeout(SOON_S):
        assert await is_trusted(server, first)
        files.key.write_text("nonsense")
        while "certificate not taken in" not in caplog.text:
            assert await is_trusted(server, first)
        write(tmp_path, second)
        while not await is_trusted(server, second):
            pass
        assert caplog.text.count("certificate not taken in") <= 2  # between the two files once more


async def is_trusted(server: Serving, authority: trustme.CA) -> bool:
    """Say whether who trusts this authority is served."""
    port = next(one[1] for one in server.addresses if isinstance(one, tuple))
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(authority))
    except ssl.SSLError:
        return False
    writer.close()
    return True


async def test_beyond_loopback_a_certificate_is_wanted(tmp_path: Path) -> None:
    settings = ApiSettings(socket=tmp_path / "s", listen=Address("0.0.0.0", 0))
    with pytest.raises(Refused) as caught:
        async with api(settings):
            pass
    assert caught.value.code == "insecure_listener"


@pytest.mark.parametrize(
    "changes",
    [
        {"certificate": Path("c")},
        {"key": Path("k")},
        {"certificate": Path("c"), "key": Path("k")},
        {"origins": ("*",)},
        {"origins": ("https://a.example/path",)},
        {"origins": ("null",)},
        {"budget_times": 0},
        {"budget_times": 1_001},
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_refused(changes: Any) -> None:
    with pytest.raises(Invalid) as caught:
        ApiSettings(socket=Path("s"), **changes).validate()
    assert caught.value.code == "config_invalid"


@pytest.mark.parametrize(
    "origin", ["https://console.example", "http://127.0.0.1:3000", "http://[::1]:80"]
)
def test_origins_are_scheme_host_and_port(origin: str) -> None:
    ApiSettings(socket=Path("s"), origins=(origin,)).validate()
