"""The API against its own document: nothing answers with 5xx or with what the document does not say; and bugs that are planted are found."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from api_attack import Attacked, attack, clean
from notebook import ANNA, Guests
from runink.errors import Refused
from runink.identity.principals import Principal
from schemathesis.generation import GenerationMode


def test_nothing_answers_with_5xx_or_with_what_the_document_does_not_say() -> None:
    assert attack(clean(), examples=10) == {}


class Fails(Attacked):
    """Fails for a filter that nobody thinks of."""

    def _list(self, request: Any, context: Any) -> Any:
        if request.weight_min == 0:
            raise ZeroDivisionError
        return super()._list(request, context)


class Torn(msgspec.Struct, frozen=True):
    note: str
    text: int


class AnswersWrong(Attacked):
    """Answers with what the document does not say."""

    def _get(self, request: Any, context: Any) -> Any:
        del context
        return Torn(request.note, 3)


class SaysOther(Attacked):
    """Refuses with a status that the document does not say."""

    def _create(self, request: Any, context: Any) -> Any:
        del request, context
        raise Refused("gone", code="compacted")


class LetsAllIn(Guests):
    """Takes any token."""

    async def __call__(self, token: str) -> Principal:
        del token
        return ANNA


@pytest.mark.parametrize(
    ("planted", "operation", "kind"),
    [
        ({"notebook": Fails}, "notes.list", "ServerError"),
        ({"notebook": AnswersWrong}, "notes.get", "JsonSchemaError"),
        ({"notebook": SaysOther}, "notes.create", "UndefinedStatusCode"),
        ({"guests": LetsAllIn}, "notes.get", "IgnoredAuth"),
    ],
    ids=lambda one: next(iter(one.values())).__name__ if isinstance(one, dict) else "",
)
def test_a_bug_that_is_planted_is_found(planted: dict[str, Any], operation: str, kind: str) -> None:
    found = attack(clean(**planted), examples=5, modes=(GenerationMode.POSITIVE,))
    assert kind in found.get(operation, set()), found
