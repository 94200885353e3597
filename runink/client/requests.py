"""From an operation and its fields to a request: method, target, headers, body. Pure.

Names are checked here, with a suggestion for a slip, and parts of the path by their patterns, as they would change which place is meant.  All other
values are for the server to judge: it may be newer than this client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from runink.errors import Finding, Invalid
from runink.operations.declarations import (
    JSON,
    Method,
    Operation,
    Source,
    fields_of,
    path_names,
    sources_of,
)
from runink.operations.decoding import path_values
from runink.suggestions import near_or_all

BASE: Final = "/api/v1"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `headers` are those of this request alone. Its body, which may hold a secret, does not show in a `repr`."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)

    @property
    def is_repeatable(self) -> bool:
        """Say whether it has the same effect when it is made twice."""
        return self.method in SAFE or any(
            name.lower() == "idempotency-key" for name, _ in self.headers
        )

    def with_header(self, name: str, text: str) -> Request:
        """Return the request with a header in place of what it said before."""
        others = tuple(pair for pair in self.headers if pair[0] != name)
        return Request(self.method, self.target, (*others, (name, text)), self.body)


def request_of(
    operation: Operation, fields: Mapping[str, Any], *, if_match: Any = None, key: str = ""
) -> Request:
    """Return the request of an operation. `if_match` is a document that was read, its revision, an ETag, or `*`; `key` an Idempotency-Key.

    Raises Invalid for fields that the operation does not have or that are missing, and NotFound for a part of the path that can be no name.
    """
    fields = named_outside(operation, fields)
    sources = sources_of(operation)
    asked = {name: value for name, value in fields.items() if sources[name] is Source.QUERY}
    headers = []
    if key:
        headers.append(("Idempotency-Key", key))
    if if_match is not None:
        headers.append(("If-Match", tag_of(if_match)))
    body = _body(operation, fields, headers)
    return Request(
        operation.method.value,
        BASE + _path(operation, fields) + _query(asked),
        tuple(headers),
        body,
    )


def named_outside(operation: Operation, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields by the names that they have outside: `as` where Python has to write `as_`. Raises Invalid for fields that the operation does not have, or that are missing."""
    outside = {one.name: name for name, one in fields_of(operation.request).items()}
    found = {outside.get(name, name): value for name, value in fields.items()}
    _check_names(operation, found)
    return found


def tag_of(read: Any) -> str:
    """Return what If-Match says for a document with a revision, a revision, an ETag, or `*`. Raises Invalid for anything else."""
    if isinstance(read, str):
        return read
    revision = read if isinstance(read, int) else getattr(read, "revision", None)
    if isinstance(revision, bool) or not isinstance(revision, int) or revision < 1:
        raise Invalid(
            "if_match is neither a document with a revision, nor a revision, an ETag or '*'",
            hint="give what you have read: its revision is what the change was decided on",
        )
    return f'"{revision}"'


def _check_names(operation: Operation, fields: Mapping[str, Any]) -> None:
    known = fields_of(operation.request)
    found = [
        Finding(
            "unknown_field",
            f"{operation.name} has no field {name!r}",
            hint=near_or_all(name, list(known)) or "it has no fields",
        )
        for name in fields
        if name not in known
    ]
    found += [
        Finding("missing_field", f"{operation.name} needs {name}")
        for name, one in known.items()
        if one.required and fields.get(name) is None
    ]
    if found:
        raise Invalid(found[0].text, findings=tuple(found), hint=found[0].hint)


def _path(operation: Operation, fields: Mapping[str, Any]) -> str:
    texts = {name: _text(fields[name]) for name in path_names(operation.path)}
    path = operation.path
    for name, text in path_values(operation, texts).items():
        path = path.replace(f"{{{name}}}", quote(text, safe=""))
    return path


def _query(asked: Mapping[str, Any]) -> str:
    pairs = [
        (name, _text(one))
        for name, value in asked.items()
        if value is not None
        for one in (value if isinstance(value, list | tuple | set | frozenset) else (value,))
    ]
    return f"?{urlencode(pairs)}" if pairs else ""


def _text(value: Any) -> str:
    plain = msgspec.to_builtins(value)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return str(plain)


def _body(
    operation: Operation, fields: Mapping[str, Any], headers: list[tuple[str, str]]
) -> bytes | None:
    if not operation.method.has_body:
        return None
    sources = sources_of(operation)
    said = {name: value for name, value in fields.items() if sources[name] is Source.BODY}
    if operation.takes != JSON:
        (content,) = said.values()
        headers.append(("Content-Type", operation.takes))
        return bytes(content)
    if not said:
        return b""
    headers.append(("Content-Type", JSON))
    return msgspec.json.encode(said)


def raw_request(
    method: str, path: str, *, headers: tuple[tuple[str, str], ...] = (), body: bytes | None = None
) -> Request:
    """Return the request for a path below `/api/v1`, or for a whole one that begins with it. Raises Invalid for what is no path."""
    is_plain = path.startswith("/") and path.isascii() and path.isprintable() and " " not in path
    if not is_plain or path.startswith("//"):
        raise Invalid(
            f"{path[:200]!r} is no path that can be asked",
            hint=f"it begins with a slash, as {BASE}/herds or /herds does; other characters stand as %XX",
        )
    is_whole = path == BASE or path.startswith(f"{BASE}/")
    if body is None and method in {one.value for one in Method if one.has_body}:
        body = b""
    return Request(method, path if is_whole else BASE + path, headers, body)
