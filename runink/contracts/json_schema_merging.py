"""What several subschemas say together of one value: references followed, `allOf` merged, a choice of something or null taken for what may hold nothing.

A document comes from anywhere: references that go in circles are refused, and how many subschemas are looked at is bounded, because a few that name each other twice each
stand for more than there is memory.

    code   what is wrong
    O002   more subschemas than are read
    O005   a keyword's value of another type than the standard's
    O006   a keyword that is written wrong
    O009   what a contract cannot say, or what cannot hold together
    O011   a reference that leads nowhere, out of the document, or back to itself
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runink.contracts.json_schema_parts import (
    Schema,
    Sub,
    TooMuch,
    either,
    is_null,
    is_same,
    only_value,
    shown,
    types_of,
)
from runink.contracts.json_schema_references import References
from runink.contracts.json_schema_telling import Telling
from runink.contracts.json_schema_words import (
    ABOUT,
    ANNOTATIONS,
    BOUNDS,
    COUNTS,
    DOCUMENT,
    KNOWN,
    OURS,
    STEP,
    TYPE_NAMES,
    UNENFORCED,
    UNFOLLOWED,
)
from runink.contracts.yaml_text import Path

SCHEMAS_MAX: Final = (
    20_000  # looked at, with what references stand for: no table has as many columns
)
DEPTH_MAX: Final = 60  # schemas that stand for each other: a handful in any that people write
_LOWER: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
_UPPER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
_NUMBERS: Final = frozenset({*BOUNDS.values(), STEP})
_FIRST: Final = frozenset({"title", "description", "default"})


@dataclass(slots=True)
class Merger(Telling):
    """Merges the subschemas of one document. What is wrong or left out is told."""

    references: References = field(default_factory=lambda: References(None))
    _schemas: int = 0
    _depth: int = 0

    def merged(self, subs: Sequence[Sub]) -> Schema:
        """Return what subschemas say together. Raises TooMuch."""
        schema = Schema(subs[0].path)
        before = self.mistakes
        for sub in subs:
            self._add(schema, sub)
        schema.is_broken = self.mistakes > before
        return schema

    def _add(self, schema: Schema, sub: Sub) -> None:
        self._schemas += 1
        self._depth += 1
        if self._schemas > SCHEMAS_MAX:
            text = f"it stands for more than {SCHEMAS_MAX:,} schemas, with what references lead to"
            self.wrong("O002", text, ())
            raise TooMuch
        if self._depth > DEPTH_MAX:
            text = f"more than {DEPTH_MAX} references and combined schemas lead to each other"
            self.wrong("O002", text, sub.path)
            raise TooMuch
        self._add_value(schema, sub)
        self._depth -= 1

    def _add_value(self, schema: Schema, sub: Sub) -> None:
        value = sub.value
        if value is True:
            return
        if value is False:
            self.wrong("O009", "false lets no value pass", sub.path, "take the field out")
            return
        if not isinstance(value, dict):
            self.wrong(
                "O005", f"{shown(value)} is no schema", sub.path, "a schema is an object: {…}"
            )
            return
        keywords = dict(value)
        if "$ref" in value and self.references.is_draft_7:
            keywords = self._beside_reference(value, sub.path)
        for keyword, said in keywords.items():
            self._take(schema, sub, keyword, said)
        # What stands here itself comes first: a description beside a reference is the field's own.
        self._combine(schema, sub, keywords)

    def _beside_reference(self, value: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return what counts beside a reference in draft 7, which reads nothing else there."""
        kept = {}
        for keyword, said in value.items():
            if keyword in ABOUT or keyword in UNENFORCED or keyword in ("type", "enum", "const"):
                text = f"{keyword} beside $ref is not enforced: draft 7 does not read it there"
                self.note(text, (*path, keyword))
            else:
                kept[keyword] = said
        return kept

    def _take(self, schema: Schema, sub: Sub, keyword: str, said: Any) -> None:
        """Take one keyword in, but those that combine schemas."""
        path = (*sub.path, keyword)
        match keyword:
            case "type":
                self._take_types(schema, said, path)
            case "enum":
                self._take_choices(schema, said, path)
            case "const":
                self._narrow(schema, [said], path)
            case "properties":
                self._take_properties(schema, sub, said)
            case "required":
                self._take_required(schema, said, path)
            case "items":
                self._take_items(schema, sub, said)
            case "pattern" if isinstance(said, str):
                schema.patterns += [said] if said not in schema.patterns else []
                schema.at.setdefault(keyword, path)
            case _ if keyword == OURS:
                if isinstance(said, dict):
                    schema.beside = {**said, **schema.beside}
                    schema.at.setdefault(keyword, path)
                else:
                    self.wrong("O005", f"{OURS} is {shown(said)}, not an object", path)
            case _ if keyword in UNENFORCED:
                self._tell_unenforced(keyword, said, path)
            case _ if keyword in UNFOLLOWED:
                self.wrong("O011", f"{keyword} is not followed", path, "write $ref")
            case _:
                self._take_other(schema, keyword, said, path)

    def _take_other(self, schema: Schema, keyword: str, said: Any, path: Path) -> None:
        if keyword == "$id" and path != ("$id",) and not str(said).startswith("#"):
            text = "a schema of its own ($id) within another is not read"
            self.wrong("O011", text, path, "take the $id out, and name it by its place: #/$defs/…")
        elif keyword == "prefixItems":
            self.wrong("O009", "the items of a list are of one type", path, "write items: {…}")
        elif keyword not in KNOWN or keyword in ANNOTATIONS or (path[1:] and keyword == "version"):
            self.leave_out(keyword, path)
        elif keyword in DOCUMENT or self._is_odd(keyword, said, path):
            pass
        elif keyword in schema.said and keyword not in _FIRST:
            self._tighten(schema, keyword, said, path)
        elif keyword not in schema.said and keyword in {*ABOUT, *_FIRST}:
            schema.said[keyword], schema.at[keyword] = said, path

    def _is_odd(self, keyword: str, said: Any, path: Path) -> bool:
        """Say whether a keyword's value is not of the type that the standard gives it, which is told."""
        is_number = type(said) in (int, float)
        match keyword:
            case _ if keyword in COUNTS:
                is_fine = is_number and said >= 0 and said == int(said)
                wanted = "a whole number from 0 on"
            case _ if keyword in _NUMBERS:
                is_fine, wanted = is_number, "a number"
            case "format" | "pattern" | "title" | "description":
                is_fine, wanted = isinstance(said, str), "a text"
            case _:
                return False
        if not is_fine:
            is_old = keyword.startswith("exclusive") and isinstance(said, bool)
            hint = "in draft 4 it was true or false; here it is the bound itself" if is_old else ""
            self.wrong("O005", f"{keyword} is {shown(said)}, not {wanted}", path, hint)
        return not is_fine

    def _tell_unenforced(self, keyword: str, said: Any, path: Path) -> None:
        if keyword == "additionalProperties" and said is False:
            text = "additionalProperties: false is not enforced: columns that a contract does not name are dropped, and on_drift says whether that is told"
            self.note(text, path)
        elif (said is True) is (keyword == "uniqueItems") and said != {}:
            self.note(f"{keyword} is not enforced", path)

    # Keywords that hold several things.

    def _take_types(self, schema: Schema, said: Any, path: Path) -> None:
        listed = said if isinstance(said, list) else [said]
        unknown = [one for one in listed if not (isinstance(one, str) and one in TYPE_NAMES)]
        if unknown or not listed:
            first = shown(unknown[0]) if unknown else "an empty list"
            names = sorted(TYPE_NAMES)
            hint = self.near(
                str(unknown[0]) if unknown else "", names, f"one of {', '.join(names)}"
            )
            self.wrong("O008", f"{first} is no type of JSON Schema", path, hint)
            return
        types = frozenset(listed)
        if schema.types is not None:
            both = {
                one
                for one in types
                if one in schema.types or (one == "integer" and "number" in schema.types)
            }
            both |= {"integer"} & schema.types if "number" in types else set()
            if not both:
                text = f"nothing is {either(schema.types)} and {either(types)}"
                self.wrong("O009", text, path)
                return
            types = frozenset(both)
        schema.types = types
        schema.at["type"] = path

    def _take_choices(self, schema: Schema, said: Any, path: Path) -> None:
        if isinstance(said, list) and said:
            self._narrow(schema, said, path)
        else:
            self.wrong("O005", f"enum is {shown(said)}, not a list of values", path)

    def _narrow(self, schema: Schema, said: list[Any], path: Path) -> None:
        if schema.choices is not None:
            said = [one for one in schema.choices if any(is_same(one, other) for other in said)]
            if not said:
                self.wrong("O009", "no value is among all its choices", path)
        schema.choices = said
        schema.at["enum"] = path

    def _take_properties(self, schema: Schema, sub: Sub, said: Any) -> None:
        path = (*sub.path, "properties")
        if not isinstance(said, dict):
            self.wrong("O005", f"properties is {shown(said)}, not an object", path)
            return
        schema.at.setdefault("properties", path)
        for name, value in said.items():
            part = Sub(value, (*path, name), sub.trail)
            schema.properties.setdefault(name, []).append(part)

    def _take_required(self, schema: Schema, said: Any, path: Path) -> None:
        if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
            hint = "in the object around it: a list of names" if isinstance(said, bool) else ""
            self.wrong("O005", f"required is {shown(said)}, not a list of names", path, hint)
            return
        schema.at.setdefault("required", path)
        for place, name in enumerate(said):
            schema.required.setdefault(name, (*path, place))

    def _take_items(self, schema: Schema, sub: Sub, said: Any) -> None:
        path = (*sub.path, "items")
        if isinstance(said, list):
            self.wrong("O009", "the items of a list are of one type", path, "write items: {…}")
        else:
            schema.items.append(Sub(said, path, sub.trail))
        schema.at.setdefault("items", path)

    def _tighten(self, schema: Schema, keyword: str, said: Any, path: Path) -> None:
        """Keep the narrower of two bounds; of two others that differ nothing is known to hold both."""
        before = schema.said[keyword]
        if keyword in _LOWER:
            schema.said[keyword] = max(before, said)
        elif keyword in _UPPER:
            schema.said[keyword] = min(before, said)
        elif not is_same(before, said):
            text = f"{keyword} is {shown(before)} and {shown(said)}: a contract says one"
            self.wrong("O009", text, path)

    # Keywords that combine schemas.

    def _combine(self, schema: Schema, sub: Sub, keywords: dict[str, Any]) -> None:
        if "$ref" in keywords:
            for target in self._followed(keywords["$ref"], sub):
                self._add(schema, target)
        for part in self._listed(keywords, sub, "allOf"):
            self._add(schema, part)
        for keyword in ("anyOf", "oneOf"):
            if keyword in keywords:
                self._choose(schema, sub, list(self._listed(keywords, sub, keyword)), keyword)

    def _listed(self, keywords: dict[str, Any], sub: Sub, keyword: str) -> Iterator[Sub]:
        listed = keywords.get(keyword, [])
        path = (*sub.path, keyword)
        if not isinstance(listed, list) or (keyword in keywords and not listed):
            self.wrong("O005", f"{keyword} is {shown(listed)}, not a list of schemas", path)
            return
        for place, value in enumerate(listed):
            yield Sub(value, (*path, place), sub.trail)

    def _followed(self, reference: Any, sub: Sub) -> Iterator[Sub]:
        """Yield what a reference leads to, if it leads to anything new."""
        path = (*sub.path, "$ref")
        found = self.references.found(reference)
        if isinstance(found, str):
            known = self.references.definition_paths()
            hint = "put what it means below $defs of this document"
            self.wrong("O011", found, path, self.near(str(reference), known, hint))
        elif found.path in sub.trail or found.path == sub.path[: len(found.path)]:
            text = f"{reference} leads back to itself: a record holds no record of its own kind"
            self.wrong(
                "O011", text, path, "rows have an end: write out as many levels as there are"
            )
        else:
            yield Sub(found.value, found.path, sub.trail | {found.path, sub.path})

    def _choose(self, schema: Schema, sub: Sub, parts: list[Sub], keyword: str) -> None:
        """Take a choice between schemas: of one and null, or of single values. Others no contract can say."""
        path = (*sub.path, keyword)
        rest = [part for part in parts if not is_null(part.value)]
        values = [only_value(part.value) for part in rest]
        if len(rest) == 1:
            self._add_optional(schema, rest[0], is_optional=len(rest) < len(parts))
        elif rest and all(value is not None for value in values):
            nulls = [None] * (len(rest) < len(parts))
            self._narrow(schema, [value[0] for value in values if value is not None] + nulls, path)
            for part in rest:
                self._leave_out_beside(part)
        elif parts:
            text = f"{keyword} of {len(rest)} schemas is more than a contract can say of a value"
            hint = 'a field has one type, and may hold nothing: one schema and {"type": "null"}'
            self.wrong("O009", text, path, hint)

    def _leave_out_beside(self, part: Sub) -> None:
        """Tell what stands beside the single value of a choice."""
        for keyword in part.value:
            if keyword not in ("const", "enum", "type"):
                self.leave_out(keyword, (*part.path, keyword))

    def _add_optional(self, schema: Schema, part: Sub, *, is_optional: bool) -> None:
        inner = self.merged([part])
        types = types_of(inner)
        if is_optional and types is not None:
            types |= {"null"}
        if is_optional and inner.choices is not None:
            inner.choices = [*inner.choices, None]
        self._join(schema, inner, types)

    def _join(self, schema: Schema, inner: Schema, types: frozenset[str] | None) -> None:
        """Take in what has been merged for itself."""
        if types is not None:
            self._take_types(schema, sorted(types), inner.place("type"))
        if inner.choices is not None:
            self._narrow(schema, inner.choices, inner.place("enum"))
        for keyword, said in inner.said.items():
            self._take_other(schema, keyword, said, inner.at[keyword])
        schema.patterns += [one for one in inner.patterns if one not in schema.patterns]
        schema.items += inner.items
        schema.beside = {**inner.beside, **schema.beside}
        for name, path in inner.required.items():
            schema.required.setdefault(name, path)
        for name, parts in inner.properties.items():
            schema.properties.setdefault(name, []).extend(parts)
        schema.at = {**inner.at, **schema.at}
