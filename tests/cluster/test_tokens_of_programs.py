"""Tokens between real processes: a cluster that was begun with `--init` and has grown to three members, one of which is killed. What one has signed all take, what one takes back nobody takes."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
from barn_group import until
from barn_networks import free_port
from runink.client import AsyncClient
from runink.errors import Forbidden, RuninkError
from test_trusted_nodes import Farm, farm

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

FORCE_S = 2.0  # within which a revocation is in force at all members
MEMBERS = ("m1", "m2", "m3")
OF = {"herd": "sales", "account": "nightly"}


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@asynccontextmanager
async def asking(made: Farm, member: str, token: str | None = None) -> AsyncIterator[AsyncClient]:
    """Ask a member by its socket: as its operator, or as whoever a token speaks for."""
    place = f"unix:{made.folder / member / 'api.sock'}"
    async with AsyncClient(place, token=token) as client:
        yield client


async def grow(made: Farm, number: int) -> None:
    """Let one more member in, which then votes."""
    place = f"127.0.0.1:{free_port()}"
    token = made.runi("node", "token", "--role", "server", "--name", f"member-{number}")["token"]
    assert made.asked("cluster", "add", str(number), place, "--state", "m1").returncode == 0
    words = ("--member", str(number), "--address", f"{number}={place}", "--server", made.place)
    made.start(f"m{number}", "server", *words, "--join", token)
    await made.says(f"m{number}", "ready")

    async def promoted() -> bool:
        return made.asked("cluster", "promote", str(number), "--state", "m1").returncode == 0

    await until(promoted, "a member that has caught up")


async def code_at(made: Farm, member: str, token: str) -> str:
    """Return with which code a token is refused, empty if it is taken."""
    try:
        async with asking(made, member, token) as client:
            await client.herds.get(herd="sales")
    except RuninkError as error:
        return error.code
    return ""


async def all_say(made: Farm, token: str, code: str, *members: str) -> None:
    """Wait until members say that of a token."""

    async def said() -> bool:
        return all([await code_at(made, one, token) == code for one in members])

    await until(said, f"{code or 'a token that is taken'} at {members}")


async def issued(made: Farm, member: str, secret: str) -> str:
    """Have a token for a program's secret."""
    form = urlencode({"grant_type": "client_credentials", "client_id": "sales/nightly", "client_secret": secret})  # fmt: skip

    async def asked() -> str:
        async with asking(made, member) as client:
            found: Any = await client.tokens.issue(form=form.encode())
            return str(found.access_token)

    return await until(asked, f"a token of {member}")


async def test_a_token_is_good_at_all_members_until_one_takes_it_back_whoever_is_killed(
    tmp_path: Path,
) -> None:
    with farm(tmp_path) as made:
        made.member("--init")
        await made.says("m1", "ready")
        for number in (2, 3):
            await grow(made, number)
        async with asking(made, "m1") as operator:
            await operator.herds.create(says={"herd": {"id": "sales"}})
            await operator.accounts.create(**OF)
            secret = (await operator.accounts.secrets.create(**OF)).client_secret
            subjects = ["service-account:sales/nightly"]
            await operator.bindings.create(herd="sales", binding="nightly", role="viewer", subjects=subjects)  # fmt: skip
        await check_first_administrator(made)
        token = await issued(made, "m2", secret)
        await all_say(made, token, "", *MEMBERS)

        made.kill("m1")
        other = await issued(made, "m3", secret)
        for one in (token, other):
            await all_say(made, one, "", "m2", "m3")
        async with asking(made, "m2") as operator:
            listed = [one async for one in operator.tokens.list(herd="sales")]
            first = min(listed, key=lambda one: one.token)
            await operator.tokens.revoke(token=first.token, **OF)
        began_s = time.monotonic()
        await all_say(made, token, "unauthenticated", "m2", "m3")
        assert time.monotonic() - began_s < FORCE_S
        assert await code_at(made, "m3", other) == ""
        lost = await issued(made, "m2", secret)
        async with asking(made, "m2", lost) as whoever_has_it:
            await whoever_has_it.auth.sign_out()
        await all_say(made, lost, "unauthenticated", "m2", "m3")
        assert await code_at(made, "m3", other) == ""

        made.member()
        await made.says("m1", "ready in", times=2)
        await all_say(made, token, "unauthenticated", "m1")
        await all_say(made, other, "", *MEMBERS)
        await check_cut_key(made, secret, other)


async def check_first_administrator(made: Farm) -> None:
    """The word that was printed makes one administrator, at whichever member it is shown."""
    word = re.search(r"rna1\.\S+", made.said("m1"))
    assert word is not None
    async with asking(made, "m2") as client:
        await client.access.bootstrap(token=word[0], subject="user:corp:ann")
    async with asking(made, "m3") as client:
        with pytest.raises(Forbidden) as info:
            await client.access.bootstrap(token=word[0], subject="user:corp:ben")
    assert info.value.code == "bootstrap_used"


async def check_cut_key(made: Farm, secret: str, old: str) -> None:
    """A key that is revoked while programs ask all the time ends what it has signed, and another one has signed what comes then."""
    is_over = anyio.Event()
    codes: set[str] = set()

    async def ask(member: str) -> None:
        while not is_over.is_set():
            codes.add(await code_at(made, member, await issued(made, member, secret)))

    async with anyio.create_task_group() as programs:
        for member in MEMBERS:
            programs.start_soon(ask, member)
        async with asking(made, "m1") as operator:
            keys = await operator.signing_keys.get()
            await operator.signing_keys.rotate()
            await operator.signing_keys.revoke(key=keys.keys[0].key)
        began_s = time.monotonic()
        await all_say(made, old, "unauthenticated", *MEMBERS)
        assert time.monotonic() - began_s < 2 * FORCE_S  # programs keep the machine busy
        is_over.set()
    assert codes <= {"", "unauthenticated"}
    await all_say(made, await issued(made, "m3", secret), "", *MEMBERS)
