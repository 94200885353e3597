"""The shell around providers: one fetch for all who wait, whoever of them goes away, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import pytest
from runink.actors.providers import Providers, providing, read_secret
from runink.errors import Invalid, NotFound, Refused, TimedOut, Unavailable
from runink.identity.flows import Form
from runink.identity.providers import CacheTimes, Provider
from runink.names import ProviderId
from runink.reach import Reach

pytestmark = pytest.mark.anyio


def build(provider: Provider, document: bytes) -> frozenset[str]:
    try:
        return frozenset(json.loads(document)["keys"])
    except (ValueError, KeyError) as error:
        raise Invalid("no keys") from error


class Idp:
    """A provider that answers when it is let, and counts."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.keys = ["a"]
        self.asked: list[str] = []
        self.open = anyio.Event()
        self.open.set()
        self.status = 200

    async def attend(self, stream: anyio.abc.ByteStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream):  # who asked has gone
                await self._attend(stream)

    async def _attend(self, stream: anyio.abc.ByteStream) -> None:
        path = (await stream.receive()).split(b" ")[1].decode()
        self.asked.append(path)
        await self.open.wait()
        found = {"keys": self.keys} if path == "/keys" else self.document()
        body = json.dumps(found).encode()
        head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\n\r\n"
        await stream.send(head.encode() + body)

    def document(self) -> dict[str, str]:
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}

    def settings(self, pause_s: float = 10) -> Provider:
        return Provider(
            id=ProviderId("x"),
            issuer=self.issuer,
            client_id="y",
            reach=Reach(loopback=True),
            times=CacheTimes(pause_s=pause_s),
        )


@asynccontextmanager
async def world(pause_s: float = 10) -> AsyncIterator[tuple[Idp, Providers[frozenset[str]]]]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    idp = Idp(listener.extra(anyio.abc.SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, idp.attend)
        async with providing([idp.settings(pause_s)], build) as providers:
            yield idp, providers
        group.cancel_scope.cancel()


async def test_keys_are_fetched_once_for_all_who_wait():
    async with world() as (idp, providers):
        found = []

        async def ask() -> None:
            found.append(await providers.keys(idp.issuer, "a"))

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(ask)
        assert len(found) == 100
        assert idp.asked == ["/.well-known/openid-configuration", "/keys"]
        assert {(one.version, one.ring) for one in found} == {(1, frozenset("a"))}


async def test_who_goes_away_ends_no_fetch_that_others_wait_for():
    async with world() as (idp, providers):
        idp.open = anyio.Event()
        async with anyio.create_task_group() as group:
            scopes = []

            async def ask(scope: anyio.CancelScope) -> None:
                with scope:
                    await providers.keys(idp.issuer, "a")

            for _ in range(3):
                scopes.append(anyio.CancelScope())
                group.start_soon(ask, scopes[-1])
            while not idp.asked:
                await anyio.lowlevel.checkpoint()
            scopes[0].cancel()
            await anyio.wait_all_tasks_blocked()
            idp.open.set()
        assert [one.cancelled_caught for one in scopes] == [True, False, False]
        assert len(idp.asked) == 2


async def test_a_key_that_the_provider_has_not_got_is_refused():
    async with world(pause_s=0) as (idp, providers):
        await providers.keys(idp.issuer, "a")
        with pytest.raises(Refused) as caught:
            await providers.keys(idp.issuer, "b")
        assert caught.value.code == "key_unknown"
        assert idp.asked[2:] == ["/keys"]


async def test_a_provider_that_fails_is_told_of_with_the_reason():
    async with world() as (idp, providers):
        idp.status = 503
        with pytest.raises(Unavailable) as caught:
            await providers.keys(idp.issuer, "a")
        assert caught.value.code == "issuer_unreachable"
        assert "status 503" in caught.value.text
        (statistics,) = providers.statistics()
        assert (statistics.version, statistics.looks, statistics.failures) == (0, 1, 1)


async def test_an_issuer_that_nobody_has_set_is_not_asked():
    async with world() as (idp, providers):
        for issuer in (idp.issuer + "/", "https://evil.example", ""):
            with pytest.raises(NotFound):
                await providers.keys(issuer, "a")
            with pytest.raises(NotFound):
                await providers.discovery(issuer)
        assert idp.asked == []


async def test_discovery_is_there_without_a_token():
    async with world() as (idp, providers):
        assert (await providers.discovery(idp.issuer)).jwks_uri == f"{idp.issuer}/keys"
        await providers.discovery(idp.issuer)
        await providers.keys(idp.issuer, "a")
        assert len(idp.asked) == 2
        assert providers.provider(idp.issuer).id == "x"


async def test_discovery_of_a_provider_that_fails_is_told():
    async with world() as (idp, providers):
        idp.status = 500
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                await providers.discovery(idp.issuer)
            assert caught.value.code == "issuer_unreachable"
        assert len(idp.asked) == 1


async def test_who_asks_waits_no_longer_than_it_wants():
    async with world() as (idp, providers):
        idp.open = anyio.Event()
        for wait in (providers.keys(idp.issuer, "a", within_s=0.05), providers.discovery(idp.issuer, within_s=0.05)):  # fmt: skip
            with pytest.raises(TimedOut):
                await wait


async def test_a_form_is_sent_to_where_its_provider_may_be_reached():
    async with world() as (idp, providers):
        answer = await providers.send(idp.issuer, Form(f"{idp.issuer}/keys", {"a": "b"}))
        assert answer.body == b'{"keys": ["a"]}'
        with pytest.raises(Refused) as caught:
            await providers.send(idp.issuer, Form("http://169.254.169.254/", {"a": "b"}))
        assert caught.value.code == "url_refused"


# Files of secrets.


def secret_file(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_a_secret_is_the_one_line_of_its_file(tmp_path: Path):
    assert read_secret(secret_file(tmp_path, b"horse%+/\n")) == "horse%+/"


@pytest.mark.parametrize(
    ("data", "mode"),
    [(b"", 0o600), (b"\n", 0o600), (b"a\nb\n", 0o600), (b"a b", 0o600), (b"\xc3\xa9", 0o600), (b"x" * 5_000, 0o600), (b"horse", 0o640)],
)  # fmt: skip
def test_a_file_that_holds_no_secret_or_is_none_is_refused(tmp_path: Path, data: bytes, mode: int):
    with pytest.raises(Refused) as caught:
        read_secret(secret_file(tmp_path, data, mode))
    assert caught.value.code == "bad_secret_file"
    assert "horse" not in caught.value.text


def test_a_file_that_is_missing_is_told(tmp_path: Path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(Refused) as caught:
            read_secret(path)
        assert caught.value.code == "bad_secret_file"
