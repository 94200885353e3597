"""Tokens of slices at their agent: asked for when a slice asks, for the attempt at the other end of its link, and no oftener than is of use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio.testing
from runink.actors.slice_tokens import AGAIN_S, ANEW_S, Give, SliceTokens
from runink.clients.identity_requests import MintedToken, MintForSlice
from runink.dag import Resources
from runink.errors import Forbidden
from runink.jobs import TokenGiven, TokenWanted
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.runs.records import SliceRecord, SliceState

pytestmark = pytest.mark.trio
LIFE_S = 900
OF_SLICE = SliceRecord(SliceId("s"), RunId("01JDYX5K3QW8R2M4N6P7S9T0V1"), HerdName("sales"), "a", SliceState.RUNNING, Resources(), attempt=2, node=NodeId("w1"))  # fmt: skip


class Signer:
    """Stands for the cluster's identity: signs in a second what it is asked for, or refuses it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.refuses = False

    async def ask(self, message: Any, *, within: float) -> MintedToken:
        assert within > 1
        self.asked.append(message)
        await anyio.sleep(1)
        if self.refuses:
            raise Forbidden("it does not run", code="no_such_attempt")
        return MintedToken(f"t{len(self.asked)}", "id", 100, 100 + LIFE_S)


class Slice:
    """Asks, and keeps what it is given."""

    def __init__(self, wanted: Any) -> None:
        self._wanted = wanted
        self.given: list[TokenGiven] = []

    async def token(self, *, anew: bool = False) -> TokenGiven:
        self._wanted(TokenWanted(1, anew), self.given.append)
        await anyio.sleep(1.1)
        return self.given[-1]

    def ask(self, give: Give) -> None:
        self._wanted(TokenWanted(1), give)


@asynccontextmanager
async def asking(signer: Any) -> AsyncIterator[Slice]:
    async with anyio.create_task_group() as group:
        yield Slice(SliceTokens(signer).of(OF_SLICE, group.start_soon))


async def test_a_slice_that_asks_has_a_token_of_its_own_attempt(
    autojump_clock: trio.testing.MockClock,
):
    signer = Signer()
    async with asking(signer) as one:
        assert not signer.asked
        given = await one.token()
        assert (given.token, given.error) == ("t1", None)
        assert given.good_s == pytest.approx(LIFE_S - 1)
    assert signer.asked == [MintForSlice(NodeId("w1"), HerdName("sales"), OF_SLICE.run, SliceId("s"), 2)]  # fmt: skip


async def test_it_has_the_same_until_half_of_its_life_is_over(
    autojump_clock: trio.testing.MockClock,
):
    signer = Signer()
    async with asking(signer) as one:
        assert [(await one.token()).token for _ in range(5)] == ["t1"] * 5
        await anyio.sleep(LIFE_S / 2)
        assert (await one.token()).token == "t2"


async def test_one_that_was_not_taken_is_made_anew_and_no_oftener_than_is_of_use(
    autojump_clock: trio.testing.MockClock,
):
    signer = Signer()
    async with asking(signer) as one:
        assert (await one.token()).token == "t1"
        assert (await one.token(anew=True)).token == "t1", "it was made a moment ago"
        await anyio.sleep(ANEW_S)
        assert (await one.token(anew=True)).token == "t2"
        assert [(await one.token(anew=True)).token for _ in range(3)] == ["t2"] * 3


async def test_of_many_questions_at_once_one_is_asked_and_two_are_kept(
    autojump_clock: trio.testing.MockClock,
):
    signer = Signer()
    async with asking(signer) as one:
        given: list[int] = []
        for number in range(100):
            one.ask(lambda _, number=number: given.append(number))
        await anyio.sleep(2)
    assert (len(signer.asked), given) == (1, [99])


async def test_a_refusal_is_told_and_asked_about_again_only_after_a_while(
    autojump_clock: trio.testing.MockClock,
):
    signer = Signer()
    signer.refuses = True
    async with asking(signer) as one:
        for _ in range(2):
            error = (await one.token()).error
            assert error is not None
            assert error.code == "no_such_attempt"
            one.ask(one.given.append)
        assert len(signer.asked) <= 2
        signer.refuses = False
        await anyio.sleep(AGAIN_S + 1)
        assert (await one.token()).error is None


async def test_where_nobody_signs_it_is_told_what_to_begin(autojump_clock: trio.testing.MockClock):
    async with asking(None) as one:
        error = (await one.token()).error
    assert error is not None
    assert error.code == "no_tokens"
    assert "runi server --init" in error.hint
