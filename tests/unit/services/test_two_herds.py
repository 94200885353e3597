"""Every operation, every kind of principal, in its own, a foreign and an absent herd: who is let in is whom the plain rules let in, and a foreign herd is never hinted at."""

from __future__ import annotations

from typing import Any

import pytest
from access_rows import ROWS
from named_people import ABOVE
from runink.operations.declarations import path_names, subject_of
from runink.operations.permission import read_with
from two_herds import BY_NAME, PRINCIPALS, InMemory, Outcome, Told, mistakes_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Who may what has nothing to do with the loop; that services run on both is tested by their own tests."""
    return "asyncio"


def test_every_operation_has_a_row_and_every_row_an_operation():
    assert ROWS.keys() == BY_NAME.keys()


@pytest.mark.parametrize("name", BY_NAME)
def test_every_operation_is_asked_by_a_name_or_has_none(name: str):
    row, operation = ROWS[name], BY_NAME[name]
    said = [one for one in (subject_of(operation), row.shows, row.makes, row.nameless) if one]
    assert len(said) == 1


@pytest.mark.parametrize("name", BY_NAME)
def test_what_a_path_stands_under_is_what_the_matrix_holds_it_to(name: str):
    path = {part: part for part in path_names(BY_NAME[name].path)}
    under = [
        (kind, one)
        for kind, one in read_with(BY_NAME[name], path)
        if kind is not BY_NAME[name].resource
    ]
    assert under == [ABOVE[one] for one in (name,) if one in ABOVE]


@pytest.mark.parametrize("name", BY_NAME)
async def test_who_is_let_in_is_whom_the_plain_rules_let_in(name: str):
    assert await mistakes_of(BY_NAME[name], InMemory()) == []


class LetsAllIn(InMemory):
    """Asks as somebody who may everything, whoever asks."""

    async def ask(self, world: Any, operation: Any, principal: Any, *rest: Any) -> Told:
        del principal
        return await super().ask(world, operation, PRINCIPALS["operator"], *rest)


class LetsNobodyIn(InMemory):
    async def ask(self, *asked: Any) -> Told:
        del asked
        return Told(Outcome.ABSENT, "not_found", "")


class Hints(InMemory):
    """Says another word where a herd is there."""

    async def ask(
        self, world: Any, operation: Any, principal: Any, fields: Any, content: Any
    ) -> Told:
        told = await super().ask(world, operation, principal, fields, content)
        if told.outcome is Outcome.ABSENT and fields.get("herd") != "nowhere":
            return Told(told.outcome, told.code, told.text + " for you")
        return told


@pytest.mark.parametrize(
    "carrier", [LetsAllIn(), LetsNobodyIn(), Hints()], ids=lambda one: type(one).__name__
)
async def test_a_way_in_that_is_planted_is_found(carrier: InMemory):
    name = next(one for one in BY_NAME if path_names(BY_NAME[one].path) == ("herd",))
    assert await mistakes_of(BY_NAME[name], carrier)
