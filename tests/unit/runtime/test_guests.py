"""What the other end of a connection may send is asked before its messages are read, and again when they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from runink.errors import Forbidden
from runink.loops import Bell
from runink.runtime.connections import (
    Dialled,
    Peer,
    connect_tcp,
    connect_unix,
    serve_tcp,
    serve_unix,
)
from runink.runtime.directory import Directory
from runink.runtime.guests import Guest, OpenEntrance, Shown
from runink.testing.certificates import Authority
from runink.wire.events import Greeted
from runink.wire.link import Link
from runink.wire.messages import Hello
from runink.wire.tls import accepting_from, connecting_from
from runtime_world import Get, Put, StoreMessage, one_store

pytestmark = pytest.mark.anyio


class Reader:
    """May read, but not what is called `secret`."""

    is_node = False

    def __init__(self) -> None:
        self.checked: list[tuple[str, str]] = []

    def check(self, target: str, kind: str) -> None:
        self.checked.append((target, kind))
        if kind != "Get":
            raise Forbidden(f"{kind} is for others", code="message_forbidden")

    def examine(self, target: str, message: Any) -> Any:
        if isinstance(message, Get) and message.key == "secret":
            raise Forbidden("not that one", code="keys_forbidden")
        return message


class Door(OpenEntrance):
    def __init__(self, guest: Guest | None = None) -> None:
        self.guest = guest
        self.shown: list[Shown] = []
        self.inside: list[Link] = []
        self._changed = Bell()

    async def until_inside(self, count: int) -> None:
        while len(self.inside) != count:
            await self._changed.wait()

    def admit(self, hello: Hello, shown: Shown) -> Guest | None:
        self.shown.append(shown)
        return self.guest

    def entered(self, link: Link) -> None:
        self.inside.append(link)
        self._changed.ring()

    def left(self, link: Link) -> None:
        self.inside.remove(link)
        self._changed.ring()


@asynccontextmanager
async def visited(folder: Path, door: Door) -> AsyncIterator[Peer]:
    async with one_store() as ref:
        directory = Directory("there")
        directory.serve(ref, StoreMessage)
        path = folder / "s"
        async with serve_unix(path, directory, entrance=door), connect_unix(path) as peer:
            yield peer


async def test_a_guest_is_answered_what_it_may_ask_and_refused_the_rest(tmp_path: Path):
    guest = Reader()
    async with visited(tmp_path, Door(guest)) as peer:
        store = peer.ref("store")
        with pytest.raises(Forbidden) as refused:
            await store.ask(Put("a"), within=60)
        assert refused.value.code == "message_forbidden"
        with pytest.raises(Forbidden) as refused:
            await store.ask(Get("secret"), within=60)
        assert refused.value.code == "keys_forbidden"
    assert guest.checked == [("store", "Put"), ("store", "Get")]


async def test_a_message_that_is_forbidden_says_nothing_of_who_is_there(tmp_path: Path):
    async with visited(tmp_path, Door(Reader())) as peer:
        with pytest.raises(Forbidden) as refused:
            await peer.ref("nobody").ask(Put("a"), within=60)
    assert refused.value.code == "message_forbidden"


async def test_what_is_told_and_forbidden_is_dropped_and_the_connection_stays(tmp_path: Path):
    async with visited(tmp_path, Door(Reader())) as peer:
        store = peer.ref("store")
        for _ in range(600):  # more than there is credit for, so it is given back
            await store.tell(Put("a"))
        with pytest.raises(Forbidden):
            await store.ask(Put("a"), within=60)


async def test_a_door_knows_who_is_inside(tmp_path: Path):
    door = Door()
    async with visited(tmp_path, door) as peer:
        assert await peer.ref("store").ask(Put("a"), within=60) == 1
        (link,) = door.inside
        link.close(Forbidden("out", code="revoked"))
        await peer.link.wait_over()
    assert peer.link.error is not None
    assert peer.link.error.code == "revoked"
    assert door.inside == []
    assert door.shown == [Shown(is_ours=True)]


async def test_a_door_is_shown_the_certificate_of_who_comes(tmp_path: Path):
    ours = Authority(tmp_path, "ours")
    server = accepting_from(ours.identity("server"))
    client = connecting_from(ours.identity("client"))
    door = Door()
    async with (
        serve_tcp("127.0.0.1", 0, Directory("there"), entrance=door, tls=lambda: server) as port,
        connect_tcp("127.0.0.1", port, tls=Dialled(client)),
    ):
        pass
    ((shown,),) = [door.shown]
    assert shown.certificate[:1] == b"\x30"
    assert not shown.is_ours


async def test_only_a_node_takes_the_place_of_its_name(tmp_path: Path):
    directory = Directory("there")
    door = Door()
    path = tmp_path / "s"
    async with (
        serve_unix(path, directory, entrance=door),
        connect_unix(path, directory=Directory("worker")),
    ):
        await door.until_inside(1)
        node = directory.link("worker")
        door.guest = Reader()
        async with connect_unix(path, directory=Directory("worker")):
            await door.until_inside(2)
            assert directory.link("worker") is node, "whoever shows less than a node is none"
        await door.until_inside(1)
        assert directory.link("worker") is node


async def test_who_is_looked_at_for_a_while_is_let_in_then_or_told_why_not(tmp_path: Path):
    looked, may_come = anyio.Event(), True

    async def look() -> Guest:
        looked.set()
        await anyio.lowlevel.checkpoint()
        if not may_come:
            raise Forbidden("not you", code="no_certificate")
        return Reader()

    class Slow(Door):
        def admit(self, hello: Hello, shown: Shown) -> Greeted:  # type: ignore[override] # it takes time
            return Greeted(look)

    async with visited(tmp_path, Slow()) as peer:
        assert looked.is_set()
        with pytest.raises(Forbidden):
            await peer.ref("store").ask(Put("a"), within=60)
    may_come = False
    with pytest.raises(Forbidden) as refused:
        async with visited(tmp_path, Slow()):
            pass
    assert refused.value.code == "no_certificate"
