"""Cursors: they lead back to where they were made, for who they were made, and nowhere else."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from runink.errors import Invalid
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.calls import Position
from runink.operations.cursors import Cursors, binding_of
from runink.operations.declarations import AskedPage, Method, Operation
from runink.operations.patterns import HerdText

OLD, NEW = b"o" * 32, b"n" * 32
HERE = Position(7, "note-3")


class Listed(AskedPage, frozen=True):
    herd: HerdText
    states: frozenset[str] = frozenset()


LIST = Operation(
    name="runs.list",
    method=Method.GET,
    path="/herds/{herd}/runs",
    request=Listed,
    answer=Listed,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.RUNS,
    summary="List runs.",
)


def bound(operation: Operation = LIST, subject: str = "user:anna", **asked: Any) -> bytes:
    return binding_of(operation, Listed(**({"herd": "flights"} | asked)), subject)


def test_a_cursor_leads_back() -> None:
    cursors = Cursors([NEW])
    assert cursors.read(cursors.write(HERE, bound()), bound()) == HERE


def test_a_cursor_tells_its_bearer_nothing_not_even_how_long_a_name_is() -> None:
    cursors = Cursors([NEW])
    texts = [cursors.write(Position(7, "note" * count), bound()) for count in (1, 2, 3)]
    assert not any(b"note" in urlsafe_b64decode(one + "=" * (-len(one) % 4)) for one in texts)
    assert len(set(map(len, texts))) == 1
    assert len(set(texts)) == len(texts)


def test_another_size_of_page_has_the_same_cursor() -> None:
    assert bound(limit=5, cursor="x") == bound(limit=50)


@pytest.mark.parametrize(
    "other",
    [
        bound(subject="user:bert"),
        bound(herd="trains"),
        bound(states=frozenset({"done"})),
        bound(Operation(**{name: getattr(LIST, name) for name in LIST.__slots__} | {"name": "runs.others"})),
    ],
    ids=["caller", "herd", "filter", "operation"],
)  # fmt: skip
def test_a_cursor_of_another_list_or_caller_is_none(other: bytes) -> None:
    cursors = Cursors([NEW])
    with pytest.raises(Invalid) as caught:
        cursors.read(cursors.write(HERE, bound()), other)
    assert caught.value.code == "invalid_cursor"


def test_no_bit_of_a_cursor_can_be_changed() -> None:
    cursors = Cursors([NEW])
    text = cursors.write(HERE, bound())
    raw = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    for place in range(len(raw)):
        raw[place] ^= 1
        with pytest.raises(Invalid):
            cursors.read(urlsafe_b64encode(raw).rstrip(b"=").decode(), bound())
        raw[place] ^= 1
    assert urlsafe_b64encode(raw).rstrip(b"=").decode() == text


@pytest.mark.parametrize("text", ["A", "AA", "!!!!", "ä", "x" * 900, "=", "AQ==\n", "\ud800"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Cursors([NEW]).read(text, bound())


def test_spare_bits_of_the_last_character_count() -> None:
    cursors = Cursors([NEW])
    text = cursors.write(HERE, bound())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for last in alphabet:
        if last != text[-1]:
            with pytest.raises(Invalid):
                cursors.read(text[:-1] + last, bound())


def test_a_key_that_is_followed_by_another_is_still_read() -> None:
    text = Cursors([OLD]).write(HERE, bound())
    assert Cursors([NEW, OLD]).read(text, bound()) == HERE
    with pytest.raises(Invalid):
        Cursors([NEW]).read(text, bound())


def test_a_set_of_filters_is_the_same_in_any_order() -> None:
    names = [f"s{number}" for number in range(20)]
    assert bound(states=frozenset(names)) == bound(states=frozenset(reversed(names)))
