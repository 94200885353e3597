"""A field from the keywords of JSON Schema alone, without what is in it.

    schema                                              field
    integer, number, boolean, string, object, array     int, float, bool, str, record, list; `null` beside one: may hold nothing
    string of format date, date-time                    date, datetime; `time` stays text, because it has a zone there
    not in `required`                                   may be missing: `default` stands in, or nothing
    minimum, maximum, exclusiveMinimum …, multipleOf    ge, le, gt, lt, multiple_of
    minLength, maxLength, minItems, maxItems            min_length, max_length
    pattern, format                                     pattern, which must match as a whole here; format, where it is one that is known
    enum, const                                         choices

A keyword that says nothing of the type (`minLength` of a number) is told, and so is everything that is not enforced.
"""

from __future__ import annotations

import math
from typing import Any, Final

from runink.contracts.fields import FieldSpec, Kind, Scalar
from runink.contracts.formats import FORMATS
from runink.contracts.json_schema_keywords import FORM_PATTERNS, NUMBERS
from runink.contracts.json_schema_merging import Merger
from runink.contracts.json_schema_parts import Schema, Sub, shown, types_of
from runink.contracts.json_schema_references import References
from runink.contracts.json_schema_words import (
    ABOUT,
    BOUNDS,
    FORM_KINDS,
    FORMS,
    KINDS,
    LENGTHS,
    OURS,
    STEP,
    TYPES,
)
from runink.contracts.searching import whole
from runink.contracts.values import INT64_MAX, INT64_MIN, article, comparable, scalar

_NESTED: Final = frozenset({Kind.RECORD, Kind.LIST})
_FORMS: Final = {pattern: form for form, pattern in FORM_PATTERNS.items()}


def plain_of(
    keywords: dict[str, Any], name: str, *, is_required: bool, kind: Kind | None = None
) -> FieldSpec | None:
    """Return the field that keywords say by themselves, without what is in it; nothing where they say none."""
    merger = Merger(references=References(keywords))
    schema = merger.merged([Sub(keywords, ())])
    reader = PlainReader(merger)
    field = reader.read(schema, name, is_required=is_required, hint=kind)
    return None if merger.told.problems else field


class PlainReader:
    """Reads keywords; what is wrong or not enforced is told by its merger."""

    def __init__(self, merger: Merger) -> None:
        self._merger = merger

    def read(self, schema: Schema, name: str, *, is_required: bool, hint: Kind | None) -> FieldSpec:
        """Return the field that the keywords say, without what is in it. `hint` is the kind, where something else says it."""
        kind = self._kind(schema, name, hint)
        if kind is None:
            return FieldSpec(name, Kind.STR)  # stands in, so that the other mistakes are found too
        types = types_of(schema) or frozenset()
        takes_null = schema.choices is None or None in schema.choices
        said: dict[str, Any] = {
            "nullable": "null" in types and takes_null,
            "description": schema.said.get("description", ""),
            "choices": self._choices(schema, kind),
            **self._default(schema, kind, is_required=is_required),
            **self._constraints(schema, kind),
        }
        if "title" in schema.said:
            self._merger.leave_out("title", schema.place("title"))
        return FieldSpec(name, kind, **said)

    def _kind(self, schema: Schema, name: str, hint: Kind | None) -> Kind | None:
        types = types_of(schema)
        bare = (types or frozenset()) - {"null"}
        if hint is not None:
            takes = {TYPES.get(hint, "string")}
            takes |= {"string", "integer"} if hint is Kind.DECIMAL else set()
            takes |= {"integer"} if hint is Kind.FLOAT else set()
            if not bare <= takes:
                text = f"{OURS} says {hint.value}, and the type is {', '.join(sorted(bare))}"
                self._merger.wrong(
                    "O010", text, (*schema.place(OURS), "kind"), "take out one of them"
                )
            return hint
        if bare == {"integer", "number"}:
            return Kind.FLOAT
        if len(bare) == 1:
            (only,) = bare
            form = schema.said.get("format")
            return FORM_KINDS.get(str(form), Kind.STR) if only == "string" else KINDS[only]
        if types is None and schema.is_broken:
            return None  # what is wrong has been told
        what = f"{name} has no type" if types is None else f"{name} is always nothing"
        advice = f"one of {', '.join(KINDS)}"
        if bare:
            what = f"{name} is {' or '.join(sorted(bare))}, and a field has one type"
            is_decimal = bare == {"number", "string"}
            advice = f'{OURS}: {{"kind": "decimal"}} makes it a decimal' if is_decimal else advice
        self._merger.wrong("O008", what, schema.place("type"), advice)
        return None

    def _choices(self, schema: Schema, kind: Kind) -> tuple[Scalar, ...]:
        values = [one for one in schema.choices or () if one is not None]
        place = schema.place("enum")
        if schema.choices is not None and not values:
            self._merger.wrong("O009", f"none of its values is {article(kind)}", place)
        elif kind is Kind.BOOL:
            if schema.choices is not None and len({one for one in values if type(one) is bool}) < 2:
                self._merger.note("enum of a boolean is not enforced", place)
            return ()
        found = [scalar_of(kind, one) for one in values]
        for value, choice in zip(values, found, strict=True):
            if choice is None:
                text = f"{shown(value)} among its values is not {article(kind)}"
                self._merger.wrong("O009", text, place)
        return tuple(choice for choice in found if choice is not None)

    def _default(self, schema: Schema, kind: Kind, *, is_required: bool) -> dict[str, Any]:
        if is_required:
            if "default" in schema.said:
                self._merger.leave_out("default", schema.place("default"))
            return {}
        default = schema.said.get("default")
        if default is None:
            return {"has_default": True, "nullable": True}
        if kind in _NESTED:
            text = f"the default is not kept: {article(kind)} that is missing is nothing"
            self._merger.note(text, schema.place("default"))
            return {"has_default": True, "nullable": True}
        value = scalar_of(kind, default)
        if value is None:
            text = f"its default {shown(default)} is not {article(kind)}"
            self._merger.wrong("O009", text, schema.place("default"))
        return {"has_default": True, "default": value}

    def _constraints(self, schema: Schema, kind: Kind) -> dict[str, Any]:
        """Return what keywords demand of a value of the kind, and tell those that say nothing of it."""
        own: dict[str, Any] = {}
        if kind in NUMBERS:
            own = self._bounds(schema, kind)
        elif kind in (Kind.STR, Kind.LIST):
            own = self._lengths(schema, kind)
        if kind is Kind.STR:
            own |= self._forms(schema)
        takes = _takes(kind)
        for keyword, place in schema.at.items():
            if keyword in ABOUT and keyword not in takes:
                self._merger.note(f"{keyword} is not enforced for {article(kind)}", place)
            elif (
                keyword == "format"
                and kind is not Kind.STR
                and schema.said[keyword] != FORMS.get(kind)
            ):
                text = f"format {schema.said[keyword]} is not enforced for {article(kind)}"
                self._merger.note(text, place)
        return own

    def _bounds(self, schema: Schema, kind: Kind) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for ours, theirs in (*BOUNDS.items(), ("multiple_of", STEP)):
            value = schema.said.get(theirs)
            if value is None:
                continue
            if kind is Kind.INT and ours != "multiple_of":
                # Of 0.5 and of 1 as the least both may become one bound: the tighter counts.
                for name, whole_number in _whole_bound(ours, value).items():
                    tighter = max if name in ("ge", "gt") else min
                    found[name] = tighter(found.get(name, whole_number), whole_number)
                continue
            bound = scalar_of(kind, value)
            if bound is None:
                text = f"{theirs} is {shown(value)}, not {article(kind)}"
                self._merger.wrong("O009", text, schema.place(theirs))
            found[ours] = bound
        return _tighter(found, kind)

    def _lengths(self, schema: Schema, kind: Kind) -> dict[str, Any]:
        ends = {"min_length": f"min{LENGTHS[kind]}", "max_length": f"max{LENGTHS[kind]}"}
        return {ours: int(schema.said[end]) for ours, end in ends.items() if end in schema.said}

    def _forms(self, schema: Schema) -> dict[str, Any]:
        """Return the pattern and the form of a text: ours are written as patterns as well."""
        form = schema.said.get("format", "")
        if form and form not in FORMATS:
            self._merger.note(f"format {form} is not enforced", schema.place("format"))
            form = ""
        own = []
        for pattern in schema.patterns:
            known = _FORMS.get(pattern, "")
            form = form or known
            own += [pattern] if not known or known != form else []
        if len(own) > 1:
            text = "a field has one pattern, and several must match here"
            self._merger.wrong("O009", text, schema.place("pattern"), "write one that says all")
        return {"format": form, "pattern": whole(own[0]) if own else None}


def scalar_of(kind: Kind, value: Any) -> Scalar | None:
    """Return a value of JSON as specs keep it, nothing if it is none of the kind."""
    match kind, value:
        case Kind.DECIMAL, float():
            return scalar(kind, repr(value))
        case Kind.INT, float() if value.is_integer():
            return scalar(kind, int(value))
        case Kind.BYTES, str() if all(ord(character) < 256 for character in value):
            return value
        case _ if kind in _NESTED:
            return None
        case _:
            return scalar(kind, value)


def _whole_bound(name: str, value: float) -> dict[str, Any]:
    """Return a bound of whole numbers, which may be written as a fraction; nothing where no number of 64 bits lies beyond it."""
    if name in ("ge", "gt"):
        least = math.ceil(value)
        strict = name == "gt" and least == value
        if least < INT64_MIN or (least == INT64_MIN and not strict):
            return {}
        return {"gt" if strict else "ge": min(least, INT64_MAX)}
    most = math.floor(value)
    strict = name == "lt" and most == value
    if most > INT64_MAX or (most == INT64_MAX and not strict):
        return {}
    return {"lt" if strict else "le": max(most, INT64_MIN)}


def _tighter(found: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """Keep the tighter of two bounds of one side."""
    for one, other in (("ge", "gt"), ("le", "lt")):
        a, b = found.get(one), found.get(other)
        if a is None or b is None:
            continue
        here, there = comparable(kind, a), comparable(kind, b)
        is_other = there >= here if one == "ge" else there <= here
        del found[one if is_other else other]
    return found


def _takes(kind: Kind) -> frozenset[str]:
    """Return the keywords that say something of a kind; `format` and `pattern` are looked at for themselves."""
    about = "number" if kind in NUMBERS else TYPES.get(kind, "string")
    takes = frozenset(keyword for keyword, one in ABOUT.items() if one == about)
    lengths = {"minLength", "maxLength"} if kind is not Kind.STR else set()
    return (takes - lengths) | {"format", "pattern"}
