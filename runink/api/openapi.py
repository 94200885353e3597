"""The OpenAPI 3.1 document, made of the table of operations and of the types that the server itself reads and writes with.

So the document cannot say anything else than what runs: parameters, bodies and answers are the structs of the operations, and the errors are those of
the code's table.  msgspec writes the schemas (JSON Schema 2020-12, as OpenAPI 3.1 has it).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, cast

import msgspec

from runink.api.problems import MEDIA_TYPE, Problem
from runink.operations.answers import Kind, Page
from runink.operations.codes import CODES
from runink.operations.declarations import (
    JSON,
    Operation,
    Source,
    Table,
    fields_of,
    path_names,
    sources_of,
)
from runink.operations.patterns import shown

BASE: Final = "/api/v1"
EVENT_STREAM: Final = "text/event-stream"
_REF: Final = "#/components/schemas/{name}"
_REF_ASKED: Final = "#/components/schemas/{name}.asked"
_ABOUT: Final = "Herds, pipelines, runs and all else of a Runink cluster. Errors are RFC 9457 problems with stable codes; unknown fields and parameters are refused."
_ETAG: Final = {
    "description": "The revision, and what was shown of it: for If-Match and If-None-Match.",
    "schema": {"type": "string"},
}
_RETRY: Final = {
    "description": "Seconds until it is worth asking again.",
    "schema": {"type": "integer"},
}
# Of each event: who reads a stream by its document reads it event by event.
_EVENT: Final = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": JSON},
    },
}

Json = dict[str, Any]


def document(table: Table, *, version: str) -> Json:
    """Return the whole document, as a plain value."""
    schemas = _Schemas(table.operations)
    paths: dict[str, Json] = defaultdict(dict)
    for one in table.operations:
        paths[BASE + one.path][one.method.lower()] = _operation(one, schemas)
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": "Runink",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(map(tag_of, table.operations))],
        "paths": dict(paths),
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the cluster, or of a provider that it trusts.",
                }
            },
        },
    }
    return cast(
        "Json", msgspec.json.decode(msgspec.json.encode(made))
    )  # lists, where msgspec has tuples


def tag_of(operation: Operation) -> str:
    """Return the chapter that an operation stands in: the first word of its name."""
    return operation.name.partition(".")[0]


def codes_of(operation: Operation) -> list[str]:
    """Return all the codes that an operation may be answered with."""
    found = ["bad_request", "invalid", "rate_limited", "broken"]
    found += ["unavailable", "overloaded", "stopping", "timed_out", "outcome_unknown"]
    if not operation.is_public:
        found += ["unauthenticated", "forbidden", "not_found", "too_many_failures"]
    if path_names(operation.path):
        found.append("not_found")
    if operation.method.has_body:
        found += ["body_too_slow", "body_too_large", "unsupported_media_type"]
    if operation.is_conditional:
        found += ["precondition_required", "precondition_failed"]
    if operation.is_idempotent:
        found += ["in_flight", "key_reused"]
    if operation.kind is Kind.PAGE:
        found += ["invalid_cursor", "compacted"]
    if operation.kind is Kind.EVENTS:
        found += ["compacted", "too_many_streams"]
    return sorted({*found, *operation.errors}, key=lambda code: (CODES[code].status, code))


class _Schemas:
    """The schemas of all types, made together, so that each struct stands in the document once: as it is answered and, closed, as it is asked.

    What is asked has no other fields than those; what is answered may have more in a later version.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        asked: dict[Any, None] = {}
        answered: dict[Any, None] = {Problem: None}
        for one in operations:
            asked |= dict.fromkeys(field.type for field in fields_of(one.request).values())
            if one.answer is not None:
                answered[answer_type(one)] = None
        self._asked, closed = _schemas(asked, _REF_ASKED)
        self._answered, components = _schemas(answered, _REF)
        self.components: Json = components | {
            f"{name}.asked": _closed(schema) for name, schema in closed.items()
        }

    def asked(self, kind: Any) -> Json:
        return dict(self._asked[kind])

    def answered(self, kind: Any) -> Json:
        return dict(self._answered[kind])


def _schemas(kinds: dict[Any, None], template: str) -> tuple[dict[Any, Json], Json]:
    found, components = msgspec.json.schema_components(kinds, ref_template=template)
    of = dict(zip(kinds, map(_with_plain_patterns, found), strict=True))
    return of, _with_plain_patterns(components)


def _closed(schema: Json) -> Json:
    return schema | {"additionalProperties": False} if "properties" in schema else schema


def answer_type(operation: Operation) -> Any:
    """Return the type of what comes back as JSON."""
    item: Any = operation.answer
    return Page[item] if operation.kind is Kind.PAGE else item


def _with_plain_patterns(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: shown(one)
            if name == "pattern" and isinstance(one, str)
            else _with_plain_patterns(one)
            for name, one in schema.items()
        }
    return [*map(_with_plain_patterns, schema)] if isinstance(schema, list) else schema


def _operation(one: Operation, schemas: _Schemas) -> Json:
    made: Json = {
        "operationId": one.name,
        "tags": [tag_of(one)],
        "summary": one.summary,
        "parameters": [*_parameters(one, schemas), *_header_parameters(one)],
        "responses": {str(one.status): _answer(one, schemas), **_errors(one, schemas)},
        "security": [] if one.is_public else [{"bearer": []}],
    }
    if one.description:
        made["description"] = one.description
    if one.verb is not None and one.resource is not None:
        made["x-runink-access"] = {"verb": one.verb.value, "resource": one.resource.value}
    if one.method.has_body and (body := _body(one, schemas)) is not None:
        made["requestBody"] = body
    return made


def _parameters(one: Operation, schemas: _Schemas) -> Iterable[Json]:
    sources = sources_of(one)
    for name, field in fields_of(one.request).items():
        if sources[name] is Source.BODY:
            continue
        schema = schemas.asked(field.type)
        if not field.required:
            schema["default"] = msgspec.to_builtins(_default_of(field))
        yield {
            "name": name,
            "in": sources[name].value,
            "required": field.required,
            "schema": schema,
            "description": schema.pop("description", ""),
        }


def _default_of(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def _header_parameters(one: Operation) -> Iterable[Json]:
    if one.is_idempotent:
        text = "Repeats of a call with the same key have the effect of one; kept for a day."
        yield _header("Idempotency-Key", text, pattern="^[!-~]{1,255}$")
    if one.is_conditional:
        yield _header("If-Match", "The ETag of what was read.", is_required=True)
    if one.kind in {Kind.DOCUMENT, Kind.PAGE} and one.method == "GET":
        yield _header("If-None-Match", "The ETag of what is known already.")
    if one.kind is Kind.EVENTS:
        text = "The id of the last event that was seen: the stream goes on behind it. An empty one is none."
        yield _header("Last-Event-ID", text, pattern="^[0-9]{0,18}$")


def _header(name: str, text: str, *, is_required: bool = False, pattern: str = "") -> Json:
    schema = {"type": "string", "pattern": pattern} if pattern else {"type": "string"}
    return {
        "name": name,
        "in": "header",
        "required": is_required,
        "description": text,
        "schema": schema,
    }


def _body(one: Operation, schemas: _Schemas) -> Json | None:
    if one.takes != JSON:
        return {"required": True, "content": {one.takes: {"schema": {}}}}
    sources = sources_of(one)
    fields = {
        name: field
        for name, field in fields_of(one.request).items()
        if sources[name] is Source.BODY
    }
    properties = {}
    for name, field in fields.items():
        properties[name] = schemas.asked(field.type)
        if not field.required:
            properties[name]["default"] = msgspec.to_builtins(_default_of(field))
    required = [name for name, field in fields.items() if field.required]
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    media: Json = {"schema": schema}
    if one.example is not None:
        media["example"] = one.example
    return {"required": bool(required), "content": {JSON: media}} if fields else None


def _answer(one: Operation, schemas: _Schemas) -> Json:
    if one.kind is Kind.NOTHING:
        return {"description": "Done."}
    if one.kind is Kind.EVENTS:
        text = "Server-sent events. An event's id is its revision, its data this type; `bookmark` says how far nothing has happened, `end` that there is no more."
        return {
            "description": text,
            "content": {EVENT_STREAM: {"schema": _EVENT}},
            "x-runink-event": schemas.answered(one.answer),
        }
    if one.kind is Kind.CONTENT:
        kind = "object" if one.media_type == JSON else "string"
        return {
            "description": "The bytes.",
            "content": {one.media_type: {"schema": {"type": kind}}},
        }
    return {
        "description": "What was asked for." if one.method == "GET" else "How it is now.",
        "headers": {"ETag": _ETAG},
        "content": {JSON: {"schema": schemas.answered(answer_type(one))}},
    }


def _errors(one: Operation, schemas: _Schemas) -> dict[str, Json]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes_of(one):
        by_status[CODES[code].status].append(code)
    if one.kind in {Kind.DOCUMENT, Kind.PAGE} and one.method == "GET":
        by_status[304] = []
    return {str(status): _error(status, by_status[status], schemas) for status in sorted(by_status)}


def _error(status: int, codes: list[str], schemas: _Schemas) -> Json:
    if status == 304:
        return {"description": "It has not changed."}
    told: Json = {
        "description": " ".join(f"`{code}`: {CODES[code].title}." for code in codes),
        "content": {MEDIA_TYPE: {"schema": schemas.answered(Problem)}},
    }
    if status in {429, 503}:
        told["headers"] = {"Retry-After": _RETRY}
    return told
