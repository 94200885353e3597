"""A program in no need of Runink, with a token, at a member's port: TLS 1.3 with the server's certificate checked, operations, pages, streams, and what is refused."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from msgspec.structs import replace as changed
from plain_client import PeerError, PlainClient, connect_tcp, trusting
from runink.certificates.roles import CONTROL, NodeRole
from runink.clients.herds import create_herd
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.vocabulary import Resource, Verb
from runink.names import HerdName
from runink.operations.answers import Bookmark, Content, Event, Kind
from runink.operations.calls import Caller, Context
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import Asked, AskedEvents, Method, Operation
from runink.operations.patterns import HerdText
from runink.testing.node_certificates import authority_of_test, certified
from runink.testing.served import NOW_MS, Served, bound, program, served
from runink.testing.wire_door import Tokens, desk_parts, wire_door
from runink.wire.tls import accepting_from

sys.path.insert(0, str(Path(__file__).parents[1] / "unit/services"))
from run_records import PIPELINE, deploy

BOT, OTHER = program("sales", "bot"), program("stock", "bot")
AUTHORITY = authority_of_test()
SERVER = certified(AUTHORITY, NodeRole.SERVER, "member-1").identity(AUTHORITY)
TEXT = b"a,b\n" * 400_000
CUT_S = 2.0


class WatchTicks(AskedEvents, frozen=True):
    herd: HerdText


class ReadText(Asked, frozen=True):
    herd: HerdText


class Tick(msgspec.Struct, frozen=True):
    text: str


_OF_RUNS: dict[str, Any] = {"method": Method.GET, "resource": Resource.RUNS}
WATCH = Operation(
    name="ticks.watch",
    path="/herds/{herd}/ticks",
    request=WatchTicks,
    answer=Tick,
    kind=Kind.EVENTS,
    verb=Verb.WATCH,
    summary="Follow ticks.",
    **_OF_RUNS,
)
READ = Operation(
    name="texts.read",
    path="/herds/{herd}/text",
    request=ReadText,
    kind=Kind.CONTENT,
    media_type="text/csv",
    verb=Verb.GET,
    summary="Read a text.",
    **_OF_RUNS,
)


class WithStreams:
    """The services of a cluster, and two streams beside."""

    def __init__(self, world: Served) -> None:
        self._world = world

    async def call(
        self, operation: Operation, request: Any, caller: Caller, context: Context
    ) -> Any:
        match operation.name:
            case "ticks.watch":
                return self._ticks(request.since)
            case "texts.read":
                return Content("text/csv", TEXT)
        return await self._world.services.call(operation, request, caller, context)

    async def denied(self, operation: Operation, path: Any, caller: Caller, **said: str) -> None:
        if operation not in (WATCH, READ):
            await self._world.services.denied(operation, path, caller, **said)

    async def _ticks(self, since: int) -> AsyncIterator[Event | Bookmark]:
        for revision in range(since + 1, 1_000_000):
            yield Event(revision, "tick", Tick(f"{revision}"))
        await anyio.sleep_forever()


class Door:
    """A member's port, its tokens, and how a program comes in."""

    def __init__(self, port: int, tokens: Tokens) -> None:
        self._port = port
        self.tokens = tokens

    def come(self, token: str = "bot-token", tls: ssl.SSLContext | None = None) -> PlainClient:
        context = tls or trusting(AUTHORITY.trusted.pem)
        link = connect_tcp("127.0.0.1", self._port, context, name=CONTROL)
        return PlainClient(link, credentials=token.encode())

    def refusal(self, token: str, tls: ssl.SSLContext | None = None) -> str:
        with pytest.raises(PeerError) as info:
            self.come(token, tls)
        assert info.value.is_close
        return info.value.code


@asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    bindings = [
        bound("bots", "author", BOT.subject, herd="sales"),
        bound("bots", "author", OTHER.subject, herd="stock"),
    ]
    async with served(bindings=bindings) as world:
        for herd in ("sales", "stock"):
            await create_herd(world.barn, HerdRecord(HerdName(herd)), By("operator:root", NOW_MS))
            await deploy(world.barn, herd)
        tokens = Tokens({"bot-token": BOT, "other-token": OTHER})
        parts = desk_parts(tokens, WithStreams(world), world.access, (*CATALOG, WATCH, READ))
        context = accepting_from(SERVER, lets_programs_in=True)
        async with wire_door(parts, tls=lambda: context) as door:
            yield Door(door.port, tokens)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened()) as door:
        yield door


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(PeerError) as info:
        yield
    assert info.value.code == code


def test_it_lists_page_by_page_makes_once_and_changes_what_it_has_read(door: Door) -> None:
    with door.come() as bot:
        assert [one["herd"] for one in bot.items("herds.list")] == ["sales"]
        assert bot.operate("herds.get", herd="sales")["document"]["herd"] == "sales"
        noted = {"herd": "sales", "kind": "dataset", "name": "file:///a.csv"}
        made = [
            bot.operate("annotations.create", key=f"note-{count}", text=f"{count}", **noted)
            for count in range(7)
        ]
        again = bot.operate("annotations.create", key="note-3", text="3", **noted)
        assert again == made[3] | {"is_again": True}
        listed = list(bot.items("annotations.list", herd="sales", limit=3))
        assert sorted(one["text"] for one in listed) == [f"{count}" for count in range(7)]
        note = made[0]["document"]
        named = {"herd": "sales", "annotation": note["annotation"]}
        with refused("precondition_required"):
            bot.operate("annotations.update", text="late", **named)
        with refused("precondition_failed"):
            bot.operate("annotations.update", if_match="1", text="late", **named)
        new = bot.operate("annotations.update", if_match=str(note["revision"]), text="late", **named)  # fmt: skip
        assert new["document"]["text"] == "late"


def test_it_submits_a_run_once_follows_it_and_cancels_it(door: Door) -> None:
    with door.come() as bot:
        asked = {"herd": "sales", "pipeline": PIPELINE}
        run = bot.operate("runs.submit", key="run-1", **asked)["document"]["run"]
        assert bot.operate("runs.submit", key="run-1", **asked)["document"]["run"] == run
        of_run = {"herd": "sales", "run": run}
        assert [one["run"] for one in bot.items("runs.list", herd="sales")] == [run]
        follower = bot.events("runs.follow", **of_run)
        first = next(follower)
        assert first["data"]["run"]["run"] == run
        with refused("not_found"):
            bot.operate("runs.cancel", **(of_run | {"herd": "stock"}))
        with door.come("other-token") as other:
            with refused("not_found"):
                other.operate("runs.cancel", **of_run)
            with refused("no_such_run"):
                other.operate("runs.cancel", **(of_run | {"herd": "stock"}))
        bot.operate("runs.cancel", **of_run)
        assert next(one for one in follower if one["revision"] > first["revision"])
        follower.close()


def test_a_foreign_herd_is_told_as_one_that_is_not_there(door: Door) -> None:
    with door.come() as bot:
        told = []
        for herd in ("stock", "nowhere"):
            with pytest.raises(PeerError) as info:
                bot.operate("herds.get", herd=herd)
            told.append((info.value.kind, info.value.code, info.value.text))
        assert told[0] == told[1]
        assert told[0][:2] == ("NotFound", "not_found")
        with refused("not_found"):
            list(bot.events("ticks.watch", herd="stock"))


def test_it_says_what_is_wrong_with_a_call_and_the_connection_stays(door: Door) -> None:
    with door.come() as bot:
        with refused("not_found"):
            bot.operate("herds.explode")
        with refused("invalid"):
            bot.operate("herds.list", limit=0, colour="red")
        with refused("bad_message"):
            bot.call("api", "Call", {"operation": "herds.list", "principal": "operator:root"})
        assert list(bot.items("herds.list"))


def test_it_follows_a_stream_at_its_own_pace_and_leaves_it(door: Door) -> None:
    with door.come() as bot:
        seen = [one["data"]["text"] for one in islice(bot.events("ticks.watch", herd="sales", since=5), 3_000)]  # fmt: skip
        assert seen == [f"{count}" for count in range(6, 3_006)]
        # Many at once over one connection; what is not asked for does not come.
        streams = [bot.events("ticks.watch", herd="sales", since=since) for since in range(10)]
        for _ in range(300):
            assert [next(one)["kind"] for one in streams] == ["tick"] * 10
        for one in streams:
            one.close()
        opened = [bot.operate("ticks.watch", herd="sales")["stream"] for _ in range(16)]
        with refused("too_many_streams"):
            bot.operate("ticks.watch", herd="sales")
        with door.come("other-token") as other, refused("no_such_stream"):
            other.call("api", "Next", {"stream": opened[0], "part": 1})


def test_it_reads_content_to_its_end(door: Door) -> None:
    with door.come() as bot:
        assert bot.content("texts.read", herd="sales") == TEXT


@pytest.mark.parametrize("token", ["wrong", "x" * 9000, "a b", "join "])
def test_without_a_valid_token_it_does_not_come_in(door: Door, token: str) -> None:
    assert door.refusal(token) == "unauthenticated"


def test_without_a_token_it_does_not_come_in(door: Door) -> None:
    assert door.refusal("") == "no_certificate"


def test_it_speaks_tls_13_with_a_server_of_the_authority_that_it_trusts_and_with_no_other(
    door: Door,
) -> None:
    older = trusting(AUTHORITY.trusted.pem)
    older.minimum_version = ssl.TLSVersion.TLSv1_2
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    for context in (older, trusting(authority_of_test().trusted.pem)):
        with pytest.raises(ssl.SSLError):
            door.come(tls=context)
    named = trusting(AUTHORITY.trusted.pem)
    with pytest.raises(ssl.SSLError):
        connect_tcp("127.0.0.1", door._port, named, name="elsewhere.example")


@pytest.mark.parametrize(
    ("target", "name", "body"),
    [
        ("barn", "Read", {"spans": [["/", "0"]]}),
        ("barn", "Propose", {"client": "c", "number": 1, "command": {}}),
        ("runs", "Submit", {}),
        ("trust", "MintJoin", {"role": "agent", "by": "me"}),
        ("runs-inner", "Cancel", {"run": "x"}),
        ("api", "Said", {}),
    ],
)
def test_it_sends_nothing_that_only_nodes_and_commands_send(
    door: Door, target: str, name: str, body: Any
) -> None:
    with door.come() as bot, refused("message_forbidden"):
        bot.call(target, name, body)


def test_whose_token_is_revoked_is_cut_off_within_two_seconds(door: Door) -> None:
    door.tokens.known["short-token"] = BOT
    with door.come("short-token") as bot:
        assert list(bot.items("herds.list"))
        del door.tokens.known["short-token"]
        began_s = time.monotonic()
        assert bot.until_closed().code == "unauthenticated"
        assert time.monotonic() - began_s < CUT_S
    assert door.refusal("short-token") == "unauthenticated"


def test_a_token_ends_while_it_is_connected(door: Door) -> None:
    soon_s = int(time.time()) + 2
    door.tokens.known["ending-token"] = changed(BOT, until_s=soon_s)
    with door.come("ending-token") as bot:
        assert bot.until_closed().code == "unauthenticated"
        assert time.time() >= soon_s
