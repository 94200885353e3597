"""Who comes with a token by the wire: let in, refused, cut off, and what it may send."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace as changed
from notebook import ANNA, OPERATIONS, Guests, Notebook
from runink.certificates.names import identity_of
from runink.certificates.roles import NodeRole
from runink.clients.api_requests import ApiRequest, Call, Leave, Next
from runink.clients.barn_requests import Read
from runink.clients.run_requests import NodeLives
from runink.clients.trust_requests import AuthorityOf, MintJoin
from runink.errors import Forbidden, ProtocolViolation, Refused, RuninkError, Unavailable
from runink.identity.principals import Principal, PrincipalKind
from runink.names import NodeId
from runink.operations.calls import Unauthenticated
from runink.operations.hearing import Hearing
from runink.operations.rates import Rates
from runink.runtime.connections import connect_tcp, connect_unix, serve_unix
from runink.runtime.directory import Directory
from runink.runtime.supervisor import ChildSpec, supervise
from runink.services.desk import ApiDesk
from runink.services.parties import Party, Said
from runink.testing.node_certificates import authority_of_test, certified
from runink.testing.wire_door import desk_parts
from runink.trust.entrance import JOINING
from runink.trust.programs import TOKEN_BYTES_MAX, OperatorEntrance, ProgramGuest
from runink.trust.rights import guest_of
from wire_world import WireWorld, wire_world

pytestmark = pytest.mark.anyio
BOTH_LOOPS = True
NOTE = {"herd": "flights", "note": "first"}


async def refused(world: WireWorld, token: bytes, **hello: Any) -> RuninkError:
    with pytest.raises(RuninkError) as info:
        async with world.client(token, **hello):
            pass
    return info.value


@pytest.mark.parametrize(
    "token",
    [b"wrong-token", b"x" * (TOKEN_BYTES_MAX + 1), b"anna token", b"anna-token\n", b"\xff\xfe", b"=", b"anna-token\0"],
)  # fmt: skip
async def test_what_is_no_valid_token_is_refused_in_the_same_words(
    token: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with wire_world() as world:
        error = await refused(world, token)
    assert isinstance(error, Refused)
    assert (error.code, error.text) == ("unauthenticated", "the token is not valid")
    (line,) = [one for one in caplog.records if one.message == "program refused"]
    assert line.__dict__["address"] == "127.0.0.1"


async def test_without_a_token_only_who_joins_is_let_in() -> None:
    async with wire_world() as world:
        assert (await refused(world, b"")).code == "no_certificate"
        async with connect_tcp("127.0.0.1", world.door.port, credentials=JOINING) as peer:
            for target, message in (("api", Call("notes.get", NOTE)), ("barn", Read(()))):
                with pytest.raises(Forbidden) as info:
                    await peer.ref(target).ask(message, within=30)
                assert info.value.code == "no_certificate"


async def test_a_hello_speaks_for_the_herd_of_its_token_or_for_none() -> None:
    async with wire_world() as world:
        bot = Principal(PrincipalKind.SERVICE_ACCOUNT, "flights/bot", herd="flights")
        world.guests.by_token["bot-token"] = bot
        for herd in ("", "flights"):
            async with world.client(b"bot-token", herd=herd):
                pass
        assert (await refused(world, b"bot-token", herd="trains")).code == "other_herd"
        assert (await refused(world, b"anna-token", herd="flights")).code == "other_herd"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("barn", Read(())),
        ("runs", NodeLives(NodeId("w1"), "i")),
        ("trust", MintJoin(NodeRole.AGENT, "me")),
        ("trust", AuthorityOf()),
        ("runs-inner", Call("notes.get", NOTE)),
        ("nobody", Next(1, 1)),
    ],
)
async def test_what_nodes_and_commands_send_is_not_for_who_shows_a_token(target: str, message: Any) -> None:  # fmt: skip
    async with wire_world() as world, world.client() as ann:
        ref = ann.peer.ref(target)
        if isinstance(message, NodeLives):
            await ref.tell(message)  # and nobody hears it
        else:
            with pytest.raises(Forbidden) as info:
                await ref.ask(message, within=30)
            assert info.value.code == "message_forbidden"
        world.notebook.put("flights", "first", "x")
        assert (await ann.document("notes.get", **NOTE))["text"] == "x"


async def test_what_is_told_in_place_of_asked_is_done_with_the_same_rights_and_harms_nobody() -> (
    None
):
    async with wire_world() as world, world.client() as ann:
        desk = ann.peer.ref("api")
        said = {"herd": "flights", "note": "first", "text": "x"}
        for message in (
            Call("notes.create", said),
            Call("notes.create", said | {"herd": "trains"}),
            Call("notes.explode", said),
            Next(7, 1),
            Leave(7),
        ):
            await desk.tell(message)
        page = await ann.document("notes.list", herd="flights")
        assert [one["note"] for one in page["items"]] == ["first"]
        assert world.notebook.made == ["first"]


async def test_a_call_whose_link_ends_goes_on_and_its_answer_is_nobodys() -> None:
    gate, begun = anyio.Event(), anyio.Event()

    async def wait(_: Any) -> None:
        begun.set()
        await gate.wait()

    async with wire_world() as world:
        world.notebook.turn = wait
        async with world.client() as ann, anyio.create_task_group() as group:

            async def call() -> None:
                with pytest.raises(Unavailable):
                    await ann.call("notes.create", herd="flights", note="first", text="x")

            group.start_soon(call)
            await begun.wait()
            ann.peer.link.close(Unavailable("bye", code="stopping"))
        gate.set()
        world.notebook.turn = None
        async with world.client() as again:
            assert (await again.document("notes.get", **NOTE))["text"] == "x"


async def test_who_tries_out_tokens_is_not_heard_after_some_and_good_ones_are() -> None:
    async with wire_world(failed=Rates(per_s=0.001, burst=3)) as world:
        async with world.client():
            pass
        for _ in range(3):
            assert (await refused(world, b"wrong")).code == "unauthenticated"
        asked = world.guests.asked
        assert (await refused(world, b"wrong")).code == "too_many_failures"
        assert (await refused(world, b"bert-token")).code == "too_many_failures"
        assert world.guests.asked == asked, "nobody looks at what is not heard"
        async with world.client():
            pass  # was good a moment ago


async def test_doors_of_one_server_count_together() -> None:
    hearing = Hearing(Guests(), clock=time.monotonic, failed=Rates(per_s=0.001, burst=2))
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await hearing.principal("wrong", "127.0.0.1")  # as HTTP asks
    async with wire_world(hearing=hearing) as world:
        assert (await refused(world, b"wrong")).code == "too_many_failures"


async def test_a_check_that_takes_too_long_ends_the_handshake() -> None:
    class Slow(Guests):
        async def __call__(self, token: str) -> Principal:
            await anyio.sleep_forever()
            raise AssertionError(token)

    hearing = Hearing(Slow(), clock=time.monotonic)
    async with wire_world(hearing=hearing) as world:
        error = await refused(world, b"anna-token")
    # Both ends wait as long; whose clock is first, closes.
    assert isinstance(error, ProtocolViolation)
    assert error.code == "handshake_timed_out"


async def test_where_it_cannot_be_said_who_it_is_it_is_told_so() -> None:
    class Away(Guests):
        async def __call__(self, token: str) -> Principal:
            raise Unavailable("identity is away")

    async with wire_world(hearing=Hearing(Away(), clock=time.monotonic)) as world:
        assert isinstance(await refused(world, b"anna-token"), Unavailable)


async def test_whose_token_is_revoked_is_cut_off_and_so_are_its_streams() -> None:
    async with wire_world() as world, world.client(b"bert-token") as bert:
        async with world.client() as ann:
            stream = (await ann.call("notes.watch", herd="flights")).stream
            del world.guests.by_token["anna-token"]
            began_s = time.monotonic()
            with pytest.raises(Unavailable):
                await ann.part(stream, 1)
            await ann.peer.link.wait_over()
            assert time.monotonic() - began_s < 8, "a part would have been answered by then"
            assert ann.peer.link.error is not None
            assert ann.peer.link.error.code == "unauthenticated"
        while world.door.statistics()["streams"]:
            await anyio.lowlevel.checkpoint()
        assert (await bert.document("notes.list", herd="trains"))["items"] == []


async def test_whose_token_speaks_for_somebody_else_is_cut_off_and_nobody_with_it() -> None:
    async with wire_world() as world, world.client(b"bert-token") as bert:
        async with world.client() as ann:
            await ann.document("notes.list", herd="flights")
            # As when an issuer is set to have another claim name its people.
            world.guests.by_token["anna-token"] = changed(ANNA, name="corp:other")
            await ann.peer.link.wait_over()
            assert ann.peer.link.error is not None
            assert ann.peer.link.error.code == "unauthenticated"
        assert (await bert.document("notes.list", herd="trains"))["items"] == []


async def test_a_token_that_ends_ends_its_link_and_nothing_is_done_between() -> None:
    async with wire_world() as world:
        until_s = world.clock.ms // 1000 + 60
        world.guests.by_token["anna-token"] = changed(ANNA, until_s=until_s)
        async with world.client() as ann:
            await ann.document("notes.list", herd="flights")
            world.clock.ms = until_s * 1000
            with pytest.raises((Refused, Unavailable)):
                await ann.document("notes.list", herd="flights")
            await ann.peer.link.wait_over()
            assert ann.peer.link.error is not None
            assert ann.peer.link.error.code == "unauthenticated"


async def test_who_was_good_stays_while_identity_is_away(caplog: pytest.LogCaptureFixture) -> None:
    class Sometimes(Guests):
        is_away = False

        async def __call__(self, token: str) -> Principal:
            if self.is_away:
                asked.set()
                raise Unavailable("identity is away")
            return await super().__call__(token)

    guests, asked = Sometimes(), anyio.Event()
    hearing = Hearing(guests, clock=time.monotonic)
    async with wire_world(hearing=hearing) as world, world.client() as ann:
        guests.is_away = True
        await asked.wait()
        assert (await ann.document("notes.list", herd="flights"))["items"] == []
    assert "anna-token" not in caplog.text


async def test_the_user_of_the_socket_calls_as_an_operator_and_sends_all_else(tmp_path: Path) -> None:  # fmt: skip
    guests, notebook = Guests(), Notebook()
    parts = desk_parts(guests, notebook, guests, OPERATIONS)
    path = tmp_path / "s"
    async with supervise() as supervisor:
        directory = Directory("member-1")
        desk = await supervisor.start(ChildSpec("api", lambda: ApiDesk(parts)))
        directory.serve(desk, ApiRequest)
        entrance = OperatorEntrance("root")
        async with serve_unix(path, directory, entrance=entrance), connect_unix(path) as peer:
            call = Call("notes.create", {"herd": "flights", "note": "first", "text": "x"})
            made = await peer.ref("api").ask(call, within=30)
            assert made.document["note"] == "first"
    (_, caller, _) = notebook.calls[0]
    assert caller.principal == Principal(PrincipalKind.OPERATOR, "root")


def test_a_command_with_a_certificate_calls_as_an_operator_and_no_node_calls_at_all() -> None:
    authority = authority_of_test()
    call = Call("notes.get", NOTE)
    der = certified(authority, NodeRole.CLIENT, "laptop").der
    client = guest_of(identity_of(der), der, None, address="10.0.0.1")
    client.check("api", "Call")
    said = client.examine("api", call)
    assert isinstance(said, Said)
    assert said.party.principal == Principal(PrincipalKind.OPERATOR, "laptop")
    assert said.party.address == "10.0.0.1"
    for role in (NodeRole.AGENT, NodeRole.IDENTITY):
        node = guest_of(identity_of(der := certified(authority, role, "w1").der), der, None)
        with pytest.raises(Forbidden):
            node.check("api", "Call")
    server = guest_of(identity_of(der := certified(authority, NodeRole.SERVER, "m").der), der, None)
    assert server.examine("api", call) is call, "the desk refuses what nobody has said"


def test_nothing_of_a_token_shows() -> None:
    assert repr(ProgramGuest(Party(ANNA), "anna-token", now_ms=lambda: 0)) == f"ProgramGuest(Party('{ANNA.subject}'))"  # fmt: skip
