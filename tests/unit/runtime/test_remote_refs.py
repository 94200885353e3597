"""Actors reached over a Unix socket: the same promises as in a process, and what a lost connection means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from runink.errors import (
    Invalid,
    LinkLost,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    ProtocolViolation,
    RuninkError,
    TimedOut,
    Unavailable,
)
from runink.runtime.actor import Actor, Request
from runink.runtime.connections import Peer, connect_tcp, connect_unix, serve_tcp, serve_unix
from runink.runtime.directory import Directory
from runink.runtime.envelope import TRACEPARENT
from runink.runtime.guests import OpenEntrance, Shown
from runink.runtime.supervisor import ChildSpec, supervise
from runtime_world import (
    Crash,
    Diary,
    Get,
    Hang,
    Keep,
    Promise,
    Put,
    Store,
    StoreMessage,
    one_store,
)

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def served(
    folder: Path,
    make: Callable[[], Actor[Any]] = Store,
    *,
    messages: Any = StoreMessage,
    **spec: Any,
) -> AsyncIterator[Peer]:
    """Serve one actor at a socket and connect to it."""
    async with one_store(make, **spec) as ref:
        directory = Directory("there")
        directory.serve(ref, messages)
        async with serve_unix(folder / "s", directory), connect_unix(folder / "s") as peer:
            yield peer


async def test_asks_and_tells_cross_the_wire(tmp_path: Path):
    async with served(tmp_path) as peer:
        ref = peer.ref("store")
        assert ref.address == "runi://there/store"
        assert await ref.ask(Put("a", b"\xff\0"), within=60) == 1
        await ref.tell(Put("b"))
        ref.tell_nowait(Put("c"))
        assert await ref.ask(Put("d"), within=60) == 4
        assert await ref.ask(Get("a"), within=60) == b"\xff\0"


async def test_errors_are_the_same_as_in_a_process(tmp_path: Path):
    async with served(tmp_path, stop_s_max=0.01) as peer:
        ref = peer.ref("store")
        with pytest.raises(NotFound, match="no key a"):
            await ref.ask(Get("a"), within=60)
        with pytest.raises(OutcomeUnknown):
            await ref.ask(Crash(), within=60)
        assert await ref.ask(Put("a"), within=60) == 1
        with pytest.raises(
            TimedOut, match=r"runi://there/store did not answer Hang within 0\.01 s"
        ):
            await ref.ask(Hang(), within=0.01)


async def test_an_actor_that_is_not_there_is_not_found(tmp_path: Path):
    async with served(tmp_path) as peer:
        with pytest.raises(NotFound) as info:
            await peer.ref("nobody").ask(Get("a"), within=60)
        assert info.value.code == "no_such_actor"
        await peer.ref("nobody").tell(Get("a"))
        assert await peer.ref("store").ask(Put("a"), within=60) == 1


async def test_what_an_actor_does_not_take_is_refused_by_name(tmp_path: Path):
    class Other(Request[int], frozen=True):
        pass

    async with served(tmp_path, messages=Put | Get) as peer:
        ref = peer.ref("store")
        with pytest.raises(Invalid, match="store takes no message 'Other'") as info:
            await ref.ask(Other(), within=60)
        assert info.value.hint == "it takes Get, Put"
        with pytest.raises(Invalid, match=r"Put: Expected `str`, got `int` - at `\$\.key`"):
            await ref.ask(Put(1), within=60)
        await ref.tell(Put(1))
        await ref.tell(Other())
        assert await ref.ask(Put("a"), within=60) == 1


async def test_an_answer_of_the_wrong_type_is_the_other_sides_violation(tmp_path: Path):
    class Wrong(Store):
        async def receive(self, message: object) -> object:
            return "no number"

    async with served(tmp_path, Wrong) as peer:
        with pytest.raises(ProtocolViolation, match="the answer of runi://there/store to Put"):
            await peer.ref("store").ask(Put("a"), within=60)


async def test_an_answer_that_fits_no_frame_is_an_error_of_its_own(tmp_path: Path):
    class Generous(Store):
        async def receive(self, message: object) -> object:
            return b"x" * (17 << 20)

    async with served(tmp_path, Generous) as peer:
        with pytest.raises(Invalid) as info:
            await peer.ref("store").ask(Get("a"), within=60)
        assert info.value.code == "frame_too_large"
        with pytest.raises(Invalid):
            await peer.ref("store").ask(Put("a", b"x" * (17 << 20)), within=60)


async def test_answers_may_come_later(tmp_path: Path):
    async with served(tmp_path) as peer, anyio.create_task_group() as group:
        ref = peer.ref("store")

        async def hear() -> None:
            assert await ref.ask(Promise("a"), within=60) == "yes"

        group.start_soon(hear)
        await anyio.wait_all_tasks_blocked()
        await ref.ask(Keep("a", "yes"), within=60)


async def test_a_slow_actor_holds_up_only_its_own_senders(tmp_path: Path):
    diary = Diary()
    seen: list[str] = []

    class Slow(Store):
        async def receive(self, message: Put) -> int:
            await diary.gate.wait()
            seen.append(message.key)
            return len(seen)

    async with supervise() as supervisor:
        directory = Directory("there")
        directory.serve(await supervisor.start(ChildSpec("slow", Slow, messages_max=1)), Put)
        directory.serve(await supervisor.start(ChildSpec("store", Store)), StoreMessage)
        path = tmp_path / "s"
        async with serve_unix(path, directory), connect_unix(path) as peer:
            slow, store = peer.ref("slow"), peer.ref("store")
            keys = [f"{number:03}" for number in range(200)]
            for key in keys:
                await slow.tell(Put(key))
            assert await store.ask(Put("a"), within=60) == 1
            with pytest.raises(Overloaded):  # noqa: PT012 - one of them is too many
                for _ in range(1000):
                    slow.tell_nowait(Put("more"))
            diary.gate.set()
            assert await slow.ask(Put("last"), within=60) > len(keys)
            await slow.tell(Put("there is credit again"))
    assert seen[: len(keys)] == keys


async def test_more_askers_than_places_take_turns(tmp_path: Path):
    done: list[int] = []
    async with served(tmp_path) as peer:
        ref = peer.ref("store")

        async def ask(number: int) -> None:
            done.append(await ref.ask(Put(str(number)), within=30))

        async with anyio.create_task_group() as group:
            for number in range(1500):
                group.start_soon(ask, number)
    assert sorted(done) == list(range(1, 1501))


async def test_a_request_whose_asker_has_left_the_connection_is_not_begun(tmp_path: Path):
    diary = Diary()
    seen: list[str] = []

    class Gated(Store):
        async def receive(self, message: Put) -> int:
            seen.append(message.key)
            await diary.gate.wait()
            return 1

    path = tmp_path / "s"
    async with one_store(Gated) as local:
        directory = Directory("there")
        directory.serve(local, Put)
        async with serve_unix(path, directory):
            async with connect_unix(path) as peer, anyio.create_task_group() as group:
                for key in "ab":
                    group.start_soon(lambda key=key: peer.ref("store").ask(Put(key), within=60))
                    await anyio.wait_all_tasks_blocked()
                while not seen:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            await anyio.wait_all_tasks_blocked()
            diary.gate.set()
            await local.ask(Put("c"), within=60)
    assert seen == ["a", "c"]


async def test_what_was_under_way_when_the_connection_ended_has_an_unknown_outcome(tmp_path: Path):
    path = tmp_path / "s"
    async with one_store(stop_s_max=0.01) as local, anyio.create_task_group() as group:
        directory = Directory("there")
        directory.serve(local, StoreMessage)
        async with anyio.create_task_group() as servers:
            ready = anyio.Event()
            stop = anyio.Event()

            async def serve() -> None:
                async with serve_unix(path, directory):
                    ready.set()
                    await stop.wait()

            servers.start_soon(serve)
            await ready.wait()
            async with connect_unix(path) as peer:
                ref = peer.ref("store")

                async def hang() -> None:
                    with pytest.raises(OutcomeUnknown):
                        await ref.ask(Hang(), within=60)

                group.start_soon(hang)
                await anyio.wait_all_tasks_blocked()
                stop.set()
                while not peer.link.is_over:
                    await anyio.lowlevel.checkpoint()
                for attempt in (ref.ask(Get("a"), within=60), ref.tell(Get("a"))):
                    with pytest.raises(LinkLost):
                        await attempt
                with pytest.raises(LinkLost):
                    ref.tell_nowait(Get("a"))
                assert isinstance(peer.link.error, Unavailable)


async def test_a_request_travels_in_its_trace(tmp_path: Path):
    class Where(Request[str], frozen=True):
        pass

    class Traced(Store):
        async def receive(self, message: object) -> str:
            return TRACEPARENT.get()

    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    async with served(tmp_path, Traced, messages=Where) as peer:
        TRACEPARENT.set(parent)
        assert await peer.ref("store").ask(Where(), within=60) == parent
        TRACEPARENT.set("")


async def test_a_directory_finds_the_node_at_the_other_end_while_it_is_connected(tmp_path: Path):
    there, here = Directory("there"), Directory("here")
    path = tmp_path / "s"
    async with one_store() as local, serve_unix(path, there):
        there.serve(local, StoreMessage)
        ref = here.ref("runi://there/store")
        for number in (1, 2):
            with pytest.raises(LinkLost):
                await ref.ask(Put("a"), within=60)
            async with connect_unix(path, directory=here):
                assert await ref.ask(Put(str(number)), within=60) == number


async def test_tcp_on_loopback():
    async with one_store() as local:
        directory = Directory("there")
        directory.serve(local, StoreMessage)
        async with (
            serve_tcp("127.0.0.1", 0, directory) as port,
            connect_tcp("127.0.0.1", port) as peer,
        ):
            assert await peer.ref("store").ask(Put("a"), within=60) == 1
        with pytest.raises(LinkLost):
            async with connect_tcp("127.0.0.1", port):
                pass


async def test_an_error_of_the_body_of_a_connection_is_raised_as_it_is(tmp_path: Path):
    with pytest.raises(KeyError):
        async with served(tmp_path):
            raise KeyError


async def test_a_node_that_is_refused_is_told_why(tmp_path: Path):
    from runink.errors import Forbidden

    class Closed(OpenEntrance):
        def admit(self, hello: msgspec.Struct, shown: Shown) -> None:
            raise Forbidden("not today", code="closed", hint="tomorrow")

    path = tmp_path / "s"
    async with serve_unix(path, Directory("there"), entrance=Closed()):
        with pytest.raises(Forbidden, match="not today") as info:
            async with connect_unix(path):
                pass
    assert (info.value.code, info.value.hint) == ("closed", "tomorrow")


async def test_deadlines_end_before_anything_is_sent_when_there_is_no_place(tmp_path: Path):
    async with served(tmp_path) as peer:
        ref = peer.ref("store")
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                with pytest.raises(RuninkError):
                    await ref.ask(Promise(str(object())), within=60)

            for _ in range(1024):
                group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(TimedOut):
                await ref.ask(Put("a"), within=0.01)
            group.cancel_scope.cancel()
