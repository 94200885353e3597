"""Providers that would have the cluster ask what it must not, or wait for ever: who they point at is never connected to, and what is known goes on being served."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import anyio.abc
import msgspec
import pytest
from runink.actors.providers import Providers, from_here, providing
from runink.errors import Invalid, RuninkError, Unavailable
from runink.identity.providers import PAUSE_S, Provider
from runink.names import ProviderId
from runink.reach import Reach

pytestmark = pytest.mark.anyio
FETCH_S = 0.2
HUGE = 10 << 20


def build(provider: Provider, document: bytes) -> frozenset[str]:
    try:
        return frozenset(json.loads(document)["keys"])
    except (ValueError, KeyError) as error:
        raise Invalid("no keys") from error


class Listening:
    """Somebody who listens on loopback, and what was asked there."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.asked: list[str] = []
        self.pages: dict[str, bytes | None] = {}  # nothing hangs

    async def attend(self, stream: anyio.abc.ByteStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream):  # who asked had enough
                path = (await stream.receive()).split(b" ")[1].decode()
                self.asked.append(path)
                page = self.pages[path]
                if page is None:
                    await anyio.sleep_forever()
                    return
                await stream.send(page)

    def document(self, **changes: str) -> None:
        """Have it tell of itself, with these members in place of the right ones."""
        right = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.pages["/.well-known/openid-configuration"] = ok(json.dumps(right | changes).encode())

    def keys(self, *kids: str) -> None:
        self.pages["/keys"] = ok(json.dumps({"keys": kids}).encode())


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Clock:
    now_s = 0.0


class World:
    def __init__(self, rogue: Listening, victim: Listening, clock: Clock) -> None:
        self.rogue = rogue
        self.victim = victim
        self.clock = clock
        self.providers: Providers[frozenset[str]]

    async def failure(self) -> str:
        """Ask for a key, and return why there is none."""
        with pytest.raises(Unavailable) as caught:
            await self.providers.keys(self.rogue.url, "a")
        assert caught.value.code == "issuer_unreachable"
        return caught.value.text


Resolve = Callable[[str, int], Awaitable[list[str]]]


@asynccontextmanager
async def listening() -> AsyncIterator[Listening]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    found = Listening(listener.extra(anyio.abc.SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, found.attend)
        yield found
        group.cancel_scope.cancel()


def settings(url: str, reach: Reach) -> Provider:
    return Provider(id=ProviderId("rogue"), issuer=url, client_id="y", reach=reach)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    clock = Clock()
    async with listening() as rogue, listening() as victim:
        rogue.document()
        rogue.keys("a")
        our = World(rogue, victim, clock)
        provider = settings(rogue.url, Reach(loopback=True))
        async with providing(
            [provider], build, now=lambda: clock.now_s, fetch_s=FETCH_S
        ) as our.providers:
            yield our


async def test_a_provider_that_behaves_is_asked_for_its_keys():
    """What is refused below is refused for its own reason."""
    async with world() as our:
        assert "a" in (await our.providers.keys(our.rogue.url, "a")).ring


async def test_keys_at_another_origin_are_not_fetched():
    async with world() as our:
        our.rogue.document(jwks_uri=f"{our.victim.url}/keys")
        assert "another origin" in await our.failure()
        assert our.victim.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/keys",
        "http://login.example.com/keys",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/x",
        "//127.0.0.1/keys",
    ],
)
async def test_keys_that_lead_elsewhere_are_not_fetched(url: str):
    async with world() as our:
        our.rogue.document(jwks_uri=url)
        assert "jwks_uri" in await our.failure()
        assert our.rogue.asked == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys"])
@pytest.mark.parametrize("where", ["http://169.254.169.254/latest/", "victim", "/elsewhere"])
async def test_no_redirection_is_followed(path: str, where: str):
    async with world() as our:
        target = our.victim.url if where == "victim" else where
        our.rogue.pages[path] = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode()
        assert "redirection" in await our.failure()
        assert our.victim.asked == []
        assert our.rogue.asked[-1] == path


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys"])
@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HUGE, b"HTTP/1.1 200 OK\r\n\r\n"]
)
async def test_no_endless_document_is_read(path: str, head: bytes):
    async with world() as our:
        our.rogue.pages[path] = head + b" " * HUGE
        assert "64 KiB" in await our.failure()


async def test_a_document_of_another_issuer_is_not_taken():
    async with world() as our:
        our.rogue.document(issuer="https://accounts.google.com")
        assert "another issuer" in await our.failure()
        assert our.rogue.asked == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "fd00:ec2::254"])
async def test_a_name_that_leads_to_an_address_within_is_not_asked(address: str):
    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    async with listening() as victim:
        issuer = f"https://login.example.com:{victim.port}"
        async with providing(
            [settings(issuer, Reach())], build, client=partial(from_here, resolve=resolve)
        ) as providers:
            with pytest.raises(Unavailable, match=f"login.example.com is {address}"):
                await providers.keys(issuer, "a")
            assert victim.asked == []


async def test_a_name_whose_meaning_changes_in_between_is_not_asked():
    """It means a public address when it is looked up first, and this machine from then on."""
    meanings = ["192.0.2.1", *["127.0.0.1"] * 10]
    asked = 0

    async def resolve(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return [meanings[asked - 1]]

    async with listening() as victim:
        issuer = f"https://rebind.example:{victim.port}"
        clock = Clock()
        async with providing(
            [settings(issuer, Reach())],
            build,
            client=partial(from_here, resolve=resolve),
            now=lambda: clock.now_s,
        ) as providers:
            for _ in range(3):
                with pytest.raises(RuninkError) as caught:
                    await providers.keys(issuer, "a")
                assert caught.value.code == "issuer_unreachable"
                clock.now_s += PAUSE_S
        assert asked == 3
        assert victim.asked == []


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys"])
async def test_a_provider_that_hangs_is_waited_for_once_and_then_served_around(path: str):
    async with world() as our:
        await our.providers.keys(our.rogue.url, "a")
        our.rogue.pages[path] = None
        our.clock.now_s += 3_600  # also what it tells of itself is read anew
        with anyio.fail_after(FETCH_S * 20):
            assert (await our.providers.keys(our.rogue.url, "a")).version == 1
        asked = len(our.rogue.asked)
        with anyio.CancelScope() as scope:
            scope.cancel()  # who waited for anything would be gone
            for _ in range(100):
                await our.providers.keys(our.rogue.url, "a")
        assert not scope.cancelled_caught
        assert len(our.rogue.asked) == asked
        assert "within" in our.providers.statistics()[0].last_failure


async def test_one_provider_that_hangs_keeps_nobody_of_another_waiting():
    async with listening() as hanging, listening() as good:
        hanging.pages["/.well-known/openid-configuration"] = None
        good.document()
        good.keys("a")
        slow = settings(hanging.url, Reach(loopback=True))
        fast = msgspec.structs.replace(slow, id=ProviderId("good"), issuer=good.url)
        async with providing([slow, fast], build) as providers, anyio.create_task_group() as group:
            group.start_soon(providers.keys, hanging.url, "a")
            while not hanging.asked:
                await anyio.lowlevel.checkpoint()
            with anyio.fail_after(2):
                assert "a" in (await providers.keys(good.url, "a")).ring
            group.cancel_scope.cancel()
