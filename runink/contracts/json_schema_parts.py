"""Parts of a JSON Schema: a subschema where it stands, and what several of them say together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from runink.contracts.json_schema_words import ABOUT
from runink.contracts.yaml_text import Path

SHOWN_MAX: Final = 60  # characters of a value in a message


class TooMuch(Exception):
    """The document stands for more subschemas than are read; it has been told."""


@dataclass(frozen=True, slots=True)
class Sub:
    """A subschema: its value, where it stands, and the places whose references have led here."""

    value: Any
    path: Path
    trail: frozenset[Path] = frozenset()


@dataclass(slots=True)
class Schema:
    """What is said of one value. `said` are keywords as they are written, `at` where each stands; `types` are nothing where none is said. `is_broken` where some of it could
    not be read, which has been told.
    """

    path: Path
    types: frozenset[str] | None = None
    said: dict[str, Any] = field(default_factory=dict)
    at: dict[str, Path] = field(default_factory=dict)
    choices: list[Any] | None = None
    patterns: list[str] = field(default_factory=list)
    required: dict[str, Path] = field(default_factory=dict)
    properties: dict[str, list[Sub]] = field(default_factory=dict)
    items: list[Sub] = field(default_factory=list)
    beside: dict[str, Any] = field(default_factory=dict)
    is_broken: bool = False

    def place(self, keyword: str) -> Path:
        return self.at.get(keyword, self.path)


def types_of(schema: Schema) -> frozenset[str] | None:
    """Return the types of a value: those that are said, or those of its choices, or what its keywords are about; nothing where nothing tells."""
    if schema.types is not None:
        return schema.types
    if schema.choices is not None:
        return frozenset(type_of(one) for one in schema.choices)
    about = {ABOUT[keyword] for keyword in schema.at if keyword in ABOUT}
    return frozenset(about) if len(about) == 1 else None


def type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def only_value(schema: Any) -> tuple[Any] | None:
    """Return the single value that a schema lets pass, in a tuple; nothing where it lets pass others."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return (schema["const"],)
    listed = schema.get("enum")
    return (listed[0],) if isinstance(listed, list) and len(listed) == 1 else None


def is_same(one: Any, other: Any) -> bool:
    """Say whether two values of JSON are equal: true is no 1."""
    return type_of(one) == type_of(other) and bool(one == other)


def either(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))


def shown(value: Any) -> str:
    """Return a value as JSON writes it, as much as a message holds."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            text = repr(value)
            return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def is_null(schema: Any) -> bool:
    """Say whether a schema lets pass null only."""
    if not isinstance(schema, dict):
        return False
    return schema.get("type") in ("null", ["null"]) or only_value(schema) == (None,)
