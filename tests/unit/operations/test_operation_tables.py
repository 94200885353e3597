"""Tables of operations: where fields come from, and what contradicts itself."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from runink.errors import InvariantBroken
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import (
    Asked,
    AskedPage,
    Method,
    Operation,
    Source,
    Table,
    mistakes_in,
    sources_of,
    subject_of,
)
from runink.operations.patterns import HerdText, RunText, exact, matches, shown


class Cancel(Asked, frozen=True):
    herd: HerdText
    run: RunText
    reason: str = ""
    force: bool = False


class Listed(AskedPage, frozen=True):
    herd: HerdText
    state: str = ""


class Run(msgspec.Struct, frozen=True):
    run: str
    revision: int


def operation(**changes: Any) -> Operation:
    usual: dict[str, Any] = {
        "name": "runs.cancel",
        "method": Method.POST,
        "path": "/herds/{herd}/runs/{run}/cancel",
        "request": Cancel,
        "answer": Run,
        "verb": Verb.CANCEL,
        "resource": Resource.RUNS,
        "summary": "End a run.",
    }
    return Operation(**(usual | changes))


def test_fields_come_from_the_path_the_query_that_is_named_and_the_body() -> None:
    one = operation(query=frozenset({"force"}))
    assert sources_of(one) == {
        "herd": Source.PATH,
        "run": Source.PATH,
        "reason": Source.BODY,
        "force": Source.QUERY,
    }


def test_what_has_no_body_asks_by_its_query() -> None:
    one = operation(method=Method.DELETE)
    assert sources_of(one)["reason"] is Source.QUERY


def test_the_last_name_of_the_path_is_what_is_asked_about_and_never_the_herd() -> None:
    assert subject_of(operation()) == "run"
    listed = operation(path="/herds/{herd}/runs", request=Listed, kind=Kind.PAGE)
    assert subject_of(listed) == ""
    herds = operation(path="/herds/{herd}/runs/{run}", resource=Resource.HERDS)
    assert subject_of(herds) == "herd"


def test_a_table_that_holds_together_finds_operations_by_their_names() -> None:
    one = operation()
    assert Table([one]).by_name == {"runs.cancel": one}


class Defaulted(Asked, frozen=True):
    herd: HerdText
    run: RunText = "x"


class Loose(Asked, frozen=True):
    herd: HerdText
    run: str


class Searched(Asked, frozen=True):
    herd: HerdText
    run: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")]


class InBody(Asked, frozen=True):
    herd: HerdText
    node: str = ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verb": None}, "a verb has a resource"),
        ({"is_public": True}, "it is public, or for those who are known, or has a verb"),
        ({"is_for_known": True}, "or has a verb"),
        ({"is_public": True, "is_for_known": True}, "it is public, or for those who are known"),
        ({"verb": None, "resource": None}, "it is public, or for those who are known, or has a verb"),
        ({"path": "/runs/{run}/cancel"}, "its path has no {herd}"),
        ({"path": "/runs/{run}/cancel"}, "the herd comes from the path"),
        ({"resource": Resource.NODES}, "belong to no herd"),
        ({"is_of_the_cluster": True}, "belong to no herd"),
        ({"is_sign_in": True}, "who signs in is not known yet"),
        ({"subject": "reason"}, "no part of its path"),
        ({"name": "cancel"}, "two or more words"),
        ({"path": "herds"}, "begins with a slash"),
        ({"path": "/herds/{herd}/runs/{run}.json"}, "a part of a path"),
        ({"path": "/herds/{herd}/runs/{run:.*}"}, "a part of a path"),
        ({"path": "/herds/{herd}/runs/{run}/{run}"}, "stands twice"),
        ({"path": "/herds/{herd}/runs/{other}"}, "has no field other"),
        ({"request": Defaulted}, "has a default"),
        ({"request": Loose}, "has no exact pattern"),
        ({"request": Searched}, "has no exact pattern"),
        ({"query": frozenset({"other"})}, "its query has no field other"),
        ({"kind": Kind.PAGE}, "asked for by an AskedPage"),
        ({"kind": Kind.EVENTS}, "asked for by AskedEvents"),
        ({"kind": Kind.CONTENT}, "read by GET"),
        ({"answer": None}, "what it is answered with"),
        ({"kind": Kind.NOTHING, "answer": None}, "answered with 204"),
        ({"method": Method.PUT, "is_idempotent": True}, "goes with POST"),
        ({"is_conditional": True}, "a change of one thing"),
        ({"errors": ("made_up",)}, "no code made_up"),
        ({"takes": "application/zip"}, "one field of bytes"),
        ({"summary": "End a run"}, "is a sentence"),
    ],
)  # fmt: skip
def test_a_table_says_what_contradicts_itself(changes: dict[str, Any], words: str) -> None:
    found = mistakes_in((operation(**changes),))
    assert [one for one in found if words in one], found
    with pytest.raises(InvariantBroken):
        Table([operation(**changes)])


class Named(Asked, frozen=True):
    herd: HerdText
    run: Annotated[str, msgspec.Meta(pattern=exact("[a-z]+"))]


def test_paths_that_one_request_could_mean_collide() -> None:
    one = operation(name="a.one", path="/herds/{herd}/runs/{run}", request=Named)
    fixed = operation(
        name="a.two", path="/herds/{herd}/runs/active", request=Listed, method=Method.POST
    )
    assert any("alike" in said for said in mistakes_in((one, fixed)))
    upper = operation(name="a.two", path="/herds/{herd}/runs/{run}", request=Cancel)
    assert any("alike" in said for said in mistakes_in((one, upper)))
    other = operation(name="a.two", path="/herds/{herd}/runs/{run}", request=Cancel, method=Method.DELETE)  # fmt: skip
    assert not any("alike" in said for said in mistakes_in((one, other)))
    no_run = operation(name="a.two", path="/herds/{herd}/runs/9-9", request=InBody)
    assert not any("alike" in said for said in mistakes_in((one, no_run)))


def test_a_name_stands_once_in_a_table() -> None:
    again = operation(method=Method.DELETE)
    assert any("twice" in said for said in mistakes_in((operation(), again)))


def test_an_exact_pattern_takes_no_line_end_and_is_shown_without_its_trick() -> None:
    pattern = exact("[a-z]+")
    assert matches(pattern, "abc")
    assert not matches(pattern, "abc\n")
    assert not matches(pattern, "abc\nd")
    assert shown(pattern) == "^[a-z]+$"
    assert shown("^[a-z]+$") == "^[a-z]+$"
