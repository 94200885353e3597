"""A real member lets a program in with a token that it has signed, does what that may, and cuts it off when the token is revoked. The user of the machine makes all of that by the same calls, over the socket."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from plain_client import PeerError, PlainClient, connect_tcp, connect_unix, trusting
from runink.certificates.roles import CONTROL
from test_trusted_nodes import Farm, farm, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
CUT_S = 2.0
BOT = {"herd": "sales", "account": "bot"}


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


def operator(made: Farm) -> PlainClient:
    return PlainClient(connect_unix(made.folder / "m1/runi.sock"))


def prepare(made: Farm) -> None:
    """Make two herds, a program, and what it may in one of them."""
    with operator(made) as ours:
        for herd in ("sales", "stock"):
            ours.operate("herds.create", says={"herd": {"id": herd}}, key=f"make-{herd}")
        ours.operate("accounts.create", **BOT)
        subjects = ["service-account:sales/bot"]
        ours.operate("bindings.create", herd="sales", binding="bots", role="author", subjects=subjects)  # fmt: skip


async def minted(made: Farm) -> dict[str, Any]:
    """Return a token of the program, as soon as there is a key that signs."""

    def mint() -> dict[str, Any] | None:
        with operator(made) as ours:
            try:
                found: dict[str, Any] = ours.operate("tokens.mint", **BOT, lifetime_s=600)["document"]  # fmt: skip
            except PeerError as error:
                if error.kind != "Unavailable":
                    raise
                return None
            return found

    return await until(partial(anyio.to_thread.run_sync, mint), "a token")


def revoke(made: Farm, token_id: str) -> None:
    with operator(made) as ours:
        ours.operate("tokens.revoke", **BOT, token=token_id)


def come(made: Farm, token: str) -> PlainClient:
    """Come in as a program does: with the authority's file, the name that every member has, and a token."""
    host, _, port = made.place.rpartition(":")
    authority = (made.folder / "m1/trust/authority.pem").read_text()
    link = connect_tcp(host, int(port), trusting(authority), name=CONTROL)
    return PlainClient(link, credentials=token.encode())


def work(made: Farm, token: str) -> None:
    """Do what a program does, within what it may."""
    with come(made, token) as bot:
        assert bot.operate("auth.whoami")["document"]["subject"] == "service-account:sales/bot"
        assert [one["herd"] for one in bot.items("herds.list")] == ["sales"]
        noted = {"herd": "sales", "kind": "dataset", "name": "file:///a.csv", "text": "late"}
        made_note = bot.operate("annotations.create", key="once", **noted)["document"]
        assert bot.operate("annotations.create", key="once", **noted)["is_again"]
        assert list(bot.items("annotations.list", herd="sales")) == [made_note]
        for operation, fields, code in (
            ("herds.get", {"herd": "stock"}, "not_found"),
            ("herds.get", {"herd": "nowhere"}, "not_found"),
            ("tokens.mint", BOT, "forbidden"),
            ("nodes.list", {}, "forbidden"),
        ):
            with pytest.raises(PeerError) as info:
                bot.operate(operation, **fields)
            assert info.value.code == code, operation
        with pytest.raises(PeerError) as info:
            bot.call("barn", "Read", {"spans": [["/", "0"]]})
        assert info.value.code == "message_forbidden"


def refused(made: Farm, token: str) -> str:
    with pytest.raises(PeerError) as info:
        come(made, token)
    return info.value.code


async def test_a_program_works_with_a_token_until_that_is_revoked(tmp_path: Path) -> None:
    in_thread = anyio.to_thread.run_sync
    with farm(tmp_path) as made:
        made.member("--init")
        await made.says("m1", "ready")
        await in_thread(prepare, made)
        token = await minted(made)
        word = token["access_token"]
        await in_thread(work, made, word)
        assert await in_thread(refused, made, word[:-8] + "AAAAAAAA") == "unauthenticated"
        bot = await in_thread(come, made, word)
        with bot:
            await in_thread(revoke, made, token["token"])
            began_s = time.monotonic()
            closed = await in_thread(bot.until_closed)
            assert time.monotonic() - began_s < CUT_S
            assert closed.code == "unauthenticated"
        assert await in_thread(refused, made, word) == "unauthenticated"
        assert word not in made.said("m1")
