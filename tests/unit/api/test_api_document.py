"""The OpenAPI document and its page: valid, complete, of the same types, and usable without a script."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from api_world import world
from notebook import OPERATIONS
from openapi_spec_validator import OpenAPIV31SpecValidator
from runink.api.openapi import BASE, codes_of, document
from runink.api.page import page
from runink.api.system import SYSTEM
from runink.errors import Forbidden, InvariantBroken, NotLeader, Refused
from runink.operations.catalog.table import CATALOG
from runink.operations.codes import CODES, said_of
from runink.operations.declarations import Table

TABLE = Table((*SYSTEM, *OPERATIONS))
DOCUMENT = document(TABLE, version="0")


def test_the_document_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_operation_stands_in_it_with_who_may_and_every_code() -> None:
    for one in TABLE.operations:
        told = DOCUMENT["paths"][BASE + one.path][one.method.lower()]
        assert told["operationId"] == one.name
        assert told["security"] == ([] if one.is_public else [{"bearer": []}])
        if not one.is_public:
            assert told["x-runink-access"] == {"verb": one.verb, "resource": one.resource}
        for code in codes_of(one):
            assert f"`{code}`" in told["responses"][str(CODES[code].status)]["description"]
        for status, answer in told["responses"].items():
            if int(status) >= 400:
                assert [*answer["content"]] == ["application/problem+json"]


def test_parameters_and_bodies_are_the_fields_of_the_request() -> None:
    create = DOCUMENT["paths"][BASE + "/herds/{herd}/notes"]["post"]
    assert {(one["name"], one["in"]) for one in create["parameters"]} == {
        ("herd", "path"),
        ("dry_run", "query"),
        ("Idempotency-Key", "header"),
    }
    body = create["requestBody"]["content"]["application/json"]["schema"]
    assert body["additionalProperties"] is False
    assert body["required"] == ["text"]
    assert set(body["properties"]) == {"text", "note", "marks"}
    listed = DOCUMENT["paths"][BASE + "/herds/{herd}/notes"]["get"]
    limit = next(one for one in listed["parameters"] if one["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}
    update = DOCUMENT["paths"][BASE + "/herds/{herd}/notes/{note}"]["put"]
    (matching,) = [one for one in update["parameters"] if one["name"] == "If-Match"]
    assert matching["required"] is True


def test_patterns_are_those_that_other_programs_understand() -> None:
    assert "(?!" not in str(DOCUMENT)
    herd = DOCUMENT["paths"][BASE + "/herds/{herd}/notes"]["get"]["parameters"][0]
    assert herd["schema"]["pattern"] == "^[a-z][a-z0-9_-]{0,62}$"


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src"}:
                self.links.append(value or "")


def test_the_page_shows_everything_without_scripts_or_anything_from_elsewhere() -> None:
    text = page(DOCUMENT)
    seen = Seen()
    seen.feed(text)
    assert not {"script", "iframe", "object", "form", "style", "img"} & set(seen.tags)
    assert not [name for name in seen.attributes if name.startswith("on") or name == "style"]
    assert len(set(seen.ids)) == len(seen.ids)
    ids = set(seen.ids)
    assert {one.name for one in TABLE.operations} <= ids
    assert {f"problem-{code}" for code in CODES} <= ids
    for link in seen.links:
        assert link.removeprefix("#") in ids if link.startswith("#") else link.startswith(BASE), (
            link
        )
    assert seen.tags.count("summary") == seen.tags.count("details") > 10
    assert {"main", "nav", "header", "h1"} <= set(seen.tags)


def test_what_the_table_says_cannot_become_markup() -> None:
    evil: Any = document(TABLE, version='"><script>alert(1)</script>')
    assert "<script" not in page(evil)


def test_a_code_that_the_table_does_not_have_is_told_by_its_kind() -> None:
    assert said_of(Refused("x", code="run_over")).status == 422
    assert said_of(Forbidden("x", code="not_yours")).status == 403
    assert said_of(NotLeader("x")).status == 503
    assert said_of(InvariantBroken("x")).status == 500


@pytest.mark.anyio
async def test_the_server_serves_the_document_that_it_answers_by() -> None:
    async with world() as api:
        served = await api.ask("GET", "/openapi.json", {})
        assert served.json["paths"].keys() == DOCUMENT["paths"].keys()
        shown = await api.ask("GET", "/docs", {})
        assert shown.headers["Content-Type"] == "text/html; charset=utf-8"
        style = re.search(rb'href="(/api/v1/docs/[^"]+)"', shown.body)
        assert style is not None
        css = await api.ask("GET", style[1].decode().removeprefix(BASE), {})
        assert css.headers["Content-Type"] == "text/css; charset=utf-8"
        assert b"url(" not in css.body
        assert b"@import" not in css.body
        version = await api.ask("GET", "/version", {})
        assert version.json["api"] == "v1"
        assert (await api.ask("GET", "/health", {})).json == {"status": "ok"}


def test_the_whole_catalog_has_a_document() -> None:
    """Two answers of one name, each in pages, cannot be told apart in it: no member with that catalog would begin."""
    made = document(Table(CATALOG), version="1")
    assert len(made["components"]["schemas"]) > len(CATALOG) / 2
