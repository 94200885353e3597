"""The page that shows the API to people: made of the OpenAPI document, without a script, and with a style sheet of our own.

Everything that it folds away is a `details`, which browsers open by keyboard; each operation, type and code has an address of its own on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from runink.operations.codes import CODES

Json = dict[str, Any]


def page(document: Json) -> str:
    """Return the page as HTML."""
    title = f"{document['info']['title']} API {document['info']['version']}"
    tags = [tag["name"] for tag in document["tags"]]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            f'<head><meta charset="utf-8"><title>{escape(title)}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="stylesheet" href="/api/v1/docs/style.css">',
            '<link rel="icon" href="/api/v1/docs/icon.svg"></head>',
            '<body><a class="skip" href="#main">To the operations</a>',
            f"<header><h1>{escape(title)}</h1><p>{escape(document['info']['description'])}</p>",
            '<p>For programs: <a href="/api/v1/openapi.json">the OpenAPI 3.1 document</a>.</p></header>',
            _navigation(tags),
            '<main id="main">',
            *(_chapter(tag, document) for tag in tags),
            _schemas(document),
            _codes(),
            "</main></body></html>",
        ]
    )


def _navigation(tags: list[str]) -> str:
    links = "".join(
        f'<li><a href="#{escape(one)}">{escape(one)}</a></li>'
        for one in [*(f"tag-{tag}" for tag in tags), "types", "problems"]
    )
    return f'<nav aria-label="Chapters"><ul>{links}</ul></nav>'


def _chapter(tag: str, document: Json) -> str:
    operations = [
        _operation(method, path, one)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
        if tag in one["tags"]
    ]
    return f'<section id="tag-{escape(tag)}"><h2>{escape(tag)}</h2>{"".join(operations)}</section>'


def _operation(method: str, path: str, one: Json) -> str:
    access = one.get("x-runink-access")
    needs = (
        f"Needs <code>{escape(access['verb'])}</code> on <code>{escape(access['resource'])}</code>."
        if access
        else "Everybody may ask."
    )
    parts = [
        f'<details id="{escape(one["operationId"])}"><summary>',
        f'<span class="method">{method.upper()}</span> <code>{escape(path)}</code> {escape(one["summary"])}</summary>',
        f"<p>{escape(one.get('description', ''))} {needs}</p>",
        _table(("parameter", "in", "what"), _parameter_rows(one)),
    ]
    if "requestBody" in one:
        ((media, body),) = one["requestBody"]["content"].items()
        parts += [f"<h4>Body: {escape(media)}</h4>", _json(body["schema"])]
        if "example" in body:
            parts += ["<h4>Example</h4>", _json(body["example"])]
    parts += [_table(("status", "answer"), _response_rows(one)), "</details>"]
    return "".join(parts)


def _parameter_rows(one: Json) -> Iterable[tuple[str, ...]]:
    for each in one["parameters"]:
        must = "" if each["required"] else " (may be left out)"
        about = f"{escape(each['description'])}{must} {_kind(each['schema'])}"
        yield f"<code>{escape(each['name'])}</code>", escape(each["in"]), about


def _response_rows(one: Json) -> Iterable[tuple[str, ...]]:
    for status, answer in one["responses"].items():
        kinds = [
            f"{escape(media)} {_kind(content['schema'])}"
            for media, content in answer.get("content", {}).items()
        ]
        yield status, f"{escape(answer['description'])} {' '.join(kinds)}"


def _kind(schema: Json) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        return f'<a href="#type-{escape(name)}">{escape(name)}</a>'
    return f"<code>{escape(json.dumps(schema))}</code>"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return ""
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _json(value: Any) -> str:
    return f'<pre tabindex="0">{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>'


def _schemas(document: Json) -> str:
    parts = [
        f'<details id="type-{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>'
        for name, schema in document["components"]["schemas"].items()
    ]
    return f'<section id="types"><h2>types</h2>{"".join(parts)}</section>'


def _codes() -> str:
    rows = "".join(
        f'<tr id="problem-{code}"><td><code>{code}</code></td><td>{said.status}</td>'
        f"<td>{escape(said.title)}. {escape(said.meaning)}</td></tr>"
        for code, said in CODES.items()
    )
    head = (
        '<tr><th scope="col">code</th><th scope="col">status</th><th scope="col">meaning</th></tr>'
    )
    return (
        f'<section id="problems"><h2>problems</h2><table><thead>{head}</thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )
