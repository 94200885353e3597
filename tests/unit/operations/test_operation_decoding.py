"""From path, query and body to the struct that is asked: types, all mistakes at once, unknown fields with a suggestion."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import pytest
from runink.errors import Invalid, NotFound
from runink.identity.vocabulary import Resource, Verb
from runink.operations.declarations import Asked, Method, Operation
from runink.operations.decoding import Pairs, decode, path_values
from runink.operations.json_text import DEPTH_MAX, read_json
from runink.operations.patterns import HerdText


class Wants(msgspec.Struct, frozen=True):
    cpu: int = 1
    memory: str = ""


class Step(msgspec.Struct, frozen=True):
    name: str
    wants: Wants | None = None


class Submit(Asked, frozen=True):
    herd: HerdText
    pipeline: str
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    steps: tuple[Step, ...] = ()
    labels: dict[str, Wants] = msgspec.field(default_factory=dict)
    pair: tuple[int, Wants] | None = None
    extra: Any = None
    dry_run: bool = False
    states: tuple[str, ...] = ()
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.priority == 9 and self.dry_run:
            raise ValueError("priority 9 is not for trying")


SUBMIT = Operation(
    name="runs.submit",
    method=Method.POST,
    path="/herds/{herd}/runs",
    request=Submit,
    answer=Step,
    verb=Verb.RUN,
    resource=Resource.RUNS,
    query=frozenset({"dry_run", "states", "rate"}),
    summary="Submit a run.",
)


def asked(body: Any = None, query: Pairs = ()) -> Submit:
    text = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    found = decode(SUBMIT, {"herd": "flights"}, query, text)
    assert isinstance(found, Submit)
    return found


def findings(body: Any = None, query: Pairs = ()) -> list[tuple[str, str, str]]:
    with pytest.raises(Invalid) as caught:
        asked(body, query)
    return [(one.code, one.text, one.hint) for one in caught.value.findings]


def test_each_part_is_read_by_the_type_of_its_field() -> None:
    found = asked(
        {"pipeline": "daily", "priority": 3, "steps": [{"name": "a", "wants": {"cpu": 2}}]},
        [("dry_run", "true"), ("states", "a"), ("states", "b"), ("rate", "2.5")],
    )
    assert found == Submit(
        "flights", "daily", 3, (Step("a", Wants(2)),), dry_run=True, states=("a", "b"), rate=2.5
    )  # fmt: skip


def test_all_mistakes_are_told_at_once() -> None:
    found = findings(
        {"pipelin": "daily", "priority": 12},
        [("dry_run", "perhaps"), ("rate", "1"), ("rate", "2"), ("colour", "red")],
    )
    assert [code for code, _, _ in found] == [
        "unknown_field", "invalid_field", "invalid_field", "unknown_field", "missing_field", "invalid_field",
    ]  # fmt: skip
    assert (
        "unknown_field",
        "the body has an unknown field 'pipelin'",
        "did you mean pipeline?",
    ) in found
    assert "stands 2 times" in found[2][1]
    assert found[-1][1].startswith("priority: ")


@pytest.mark.parametrize(
    ("body", "place", "hint"),
    [
        ({"steps": [{"name": "a", "wants": {"memry": ""}}]}, "steps.0.wants", "did you mean memory?"),
        ({"labels": {"x": {"cpus": 1}}}, "labels.x", "did you mean cpu?"),
        ({"pair": [1, {"cp": 1}]}, "pair.1", "did you mean cpu?"),
        ({"steps": [{"name": "a", "nam": "b"}]}, "steps.0", "did you mean name?"),
    ],
)  # fmt: skip
def test_unknown_fields_are_found_however_deep(body: Any, place: str, hint: str) -> None:
    ((code, text, said),) = findings({"pipeline": "daily", **body})
    assert code == "unknown_field"
    assert text.startswith(place + " has an unknown field")
    assert said == hint


@pytest.mark.parametrize("number", ["nan", "inf", "-Infinity", "1e999"])
def test_a_number_in_the_query_is_one(number: str) -> None:
    (found,) = findings({"pipeline": "daily"}, [("rate", number)])
    assert found[0] == "invalid_field"


def test_numbers_in_a_body_are_no_texts() -> None:
    (found,) = findings({"pipeline": "daily", "priority": "3"})
    assert found == ("invalid_field", "priority: Expected `int`, got `str`", "")


def test_a_whole_number_may_be_written_as_json_schema_has_it() -> None:
    """`integer` takes 3.0, and the document says `integer`."""
    assert asked(b'{"pipeline": "daily", "priority": 3.0}').priority == 3


def test_the_place_of_a_mistake_within_a_field_is_told() -> None:
    (found,) = findings({"pipeline": "daily", "steps": [{"name": 3}]})
    assert found[1] == "steps: [0].name: Expected `str`, got `int`"


def test_what_fields_say_together_is_checked_by_their_struct() -> None:
    (found,) = findings({"pipeline": "daily", "priority": 9}, [("dry_run", "true")])
    assert found[1] == "priority 9 is not for trying"


def test_parts_of_the_path_stand_nowhere_else() -> None:
    (found,) = findings({"pipeline": "daily", "herd": "trains"})
    assert found[0] == "unknown_field"
    (found,) = findings({"pipeline": "daily"}, [("herd", "trains")])
    assert found[0] == "unknown_field"


@pytest.mark.parametrize(
    "herd", ["", "Flights", "../x", "a/b", "a\0", "flights\n", "x" * 64, "ä", "\ud800"]
)
def test_a_part_of_a_path_that_is_no_name_is_not_found(herd: str) -> None:
    with pytest.raises(NotFound):
        path_values(SUBMIT, {"herd": herd})


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"'])
def test_a_body_is_an_object(body: bytes) -> None:
    with pytest.raises(Invalid, match="no JSON object"):
        asked(body)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}', b'{"x":{"a":1,"\\u0061":2}}', b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b'"\\ud800"', b'"\xff"',
        b"\xef\xbb\xbf{}", b"{} x", b"{", b"'a'", b"01", b'"\x01"', b"[1,]", b"1" * 5000, b"\xff\xfe{\x00}\x00", b"\x00", b"{'a':1}",
        b"[" * 100_000, b"[" * 40 + b"]" * 40, b'{"a":' * 40 + b"1" + b"}" * 40, b"][" * 50_000,
    ],
)  # fmt: skip
def test_json_that_two_readers_could_take_differently_is_refused(text: bytes) -> None:
    with pytest.raises(Invalid):
        read_json(text)


def test_json_is_read_as_deep_as_is_of_use_and_brackets_in_texts_are_none() -> None:
    deep = b"[" * DEPTH_MAX + b"]" * DEPTH_MAX
    assert read_json(deep) is not None
    assert read_json(b'["' + b"[" * 100 + b'\\"]"]') == ["[" * 100 + '"]']
    with pytest.raises(Invalid):
        read_json(b"[" + deep + b"]")
