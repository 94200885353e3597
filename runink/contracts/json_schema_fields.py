"""A field from what JSON Schema says of a value: what its keywords say (`json_schema_plain`), what is in it, and everything else from `x-runink`, by the names of `FieldSpec`.

An attribute below `x-runink` next to keywords that say something else is a mistake: somebody has changed one and not the other, and nobody could tell which counts.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from runink.contracts.annotations import ITEM, LEVELS_MAX
from runink.contracts.fields import Coercion, FieldSpec, Kind
from runink.contracts.json_schema_keywords import keywords_of
from runink.contracts.json_schema_merging import Merger
from runink.contracts.json_schema_parts import Schema, Sub, shown
from runink.contracts.json_schema_plain import PlainReader, plain_of
from runink.contracts.json_schema_words import ATTRIBUTES, BOUNDS, CONTRACT_WORDS, OURS
from runink.contracts.odcs_checks import mistakes_of
from runink.contracts.values import article
from runink.contracts.yaml_text import Path

_NUMBERS: Final = frozenset({*BOUNDS, "multiple_of", "default", "choices"})
_TYPES: Final = typing.get_type_hints(FieldSpec)
_KINDS: Final = {kind.value: kind for kind in Kind}


class FieldReader:
    """Reads fields of one document; what is wrong is told by its merger."""

    def __init__(self, merger: Merger) -> None:
        self._merger = merger
        self._plain = PlainReader(merger)

    def fields(self, schema: Schema, level: int) -> tuple[FieldSpec, ...]:
        """Return the fields of an object, each checked, without what is in it counted again. Raises TooMuch."""
        for name, path in schema.required.items():
            if name not in schema.properties:
                text = f"required names {name}, which is no property here"
                hint = self._merger.near(name, schema.properties, "say its type below properties")
                self._merger.wrong("O009", text, path, hint)
        if not schema.properties and not schema.is_broken:
            hint = "a map of any names is no record: write the names out"
            self._merger.wrong(
                "O007", "it has no properties, so it has no fields", schema.path, hint
            )
        return tuple(
            self._checked(name, subs, is_required=name in schema.required, level=level)
            for name, subs in schema.properties.items()
        )

    def _checked(
        self, name: str, subs: Sequence[Sub], *, is_required: bool, level: int
    ) -> FieldSpec:
        """Read a field; the rules that hold for every contract's field are held against those of the top only, which contain the others."""
        before = self._merger.mistakes
        if not name:
            self._merger.wrong("O007", "the property has no name", subs[0].path)
        found = self.field(name, subs, is_required=is_required, level=level)
        if level == 1 and self._merger.mistakes == before:
            for mistake in mistakes_of(found):
                self._merger.wrong(mistake.code, mistake.text, subs[0].path, mistake.hint)
        return found

    def field(self, name: str, subs: Sequence[Sub], *, is_required: bool, level: int) -> FieldSpec:
        """Return the field of a value. Raises TooMuch."""
        if level > LEVELS_MAX:
            text = f"{name}: more than {LEVELS_MAX} levels of records and lists"
            self._merger.wrong("C017", text, subs[0].path, "data that is deeper is no table")
            return FieldSpec(name, Kind.STR)
        schema = self._merger.merged(subs)
        plain = self._plain.read(schema, name, is_required=is_required, hint=self._hint(schema))
        field = self._with_beside(plain, schema)
        self._tell_patterns(field, schema)
        if field.kind is Kind.RECORD:
            return msgspec.structs.replace(field, fields=self.fields(schema, level + 1))
        if field.kind is Kind.LIST:
            return msgspec.structs.replace(field, items=self._items(schema, level + 1))
        return field

    def _items(self, schema: Schema, level: int) -> FieldSpec:
        if not schema.items:
            hint = 'write items: {"type": …}'
            if not schema.is_broken:
                text = "the list does not say what its items are"
                self._merger.wrong("O007", text, schema.path, hint)
            return FieldSpec(ITEM, Kind.STR)
        return self.field(ITEM, schema.items, is_required=True, level=level)

    def _tell_patterns(self, field: FieldSpec, schema: Schema) -> None:
        """Tell patterns of what is no text here, but those that say its form."""
        if field.kind is Kind.STR:
            return
        written = keywords_of(field, Coercion.SAFE).get("pattern")
        for pattern in schema.patterns:
            if pattern != written:
                text = f"pattern is not enforced for {article(field.kind)}"
                self._merger.note(text, schema.place("pattern"))

    # What ours says beside them.

    def _hint(self, schema: Schema) -> Kind | None:
        said = schema.beside.get("kind")
        if said is None:
            return None
        kind = _KINDS.get(said) if isinstance(said, str) else None
        if kind is None:
            hint = self._merger.near(str(said), _KINDS, f"one of {', '.join(_KINDS)}")
            place = (*schema.place(OURS), "kind")
            self._merger.wrong("O010", f"{shown(said)} is no kind of field", place, hint)
        return kind

    def _with_beside(self, plain: FieldSpec, schema: Schema) -> FieldSpec:
        said: dict[str, Any] = {}
        for name, value in schema.beside.items():
            path = (*schema.place(OURS), name)
            if name in ATTRIBUTES:
                said |= self._attribute(plain.kind, name, value, path) if name != "kind" else {}
            elif name in CONTRACT_WORDS:
                text = f"{OURS}.{name} is of a whole contract: it is left out of a record"
                self._merger.note(text, path)
            else:
                hint = self._merger.near(name, ATTRIBUTES, f"it has {', '.join(ATTRIBUTES)}")
                self._merger.wrong("O010", f"{OURS} has no {shown(name)}", path, hint)
        field = msgspec.structs.replace(plain, **said)
        self._check_agreement(plain, field, said, schema)
        return field

    def _attribute(self, kind: Kind, name: str, value: Any, path: Path) -> dict[str, Any]:
        if kind is Kind.FLOAT and name in _NUMBERS:
            value = [_number(one) for one in value] if isinstance(value, list) else _number(value)
        try:
            return {name: msgspec.convert(value, _TYPES[name])}
        except (msgspec.ValidationError, ValueError) as error:
            self._merger.wrong("O010", f"{OURS}.{name}: {error}", path)
            return {}

    def _check_agreement(
        self, plain: FieldSpec, field: FieldSpec, said: dict[str, Any], schema: Schema
    ) -> None:
        """Tell what the keywords and `x-runink` say differently: somebody has changed one, and nobody could tell which counts."""
        if not said or self._merger.told.problems:
            return
        keywords = keywords_of(field, Coercion.SAFE)
        again = plain_of(keywords, field.name, is_required=not field.has_default, kind=field.kind)
        for name, value in said.items():
            before = getattr(plain, name)
            if before not in (getattr(again, name, before), value):
                text = f"{OURS}.{name} says {shown(value)}, and the keywords say {shown(before)}"
                hint = f"take {name} out of {OURS}, or say the same"
                self._merger.wrong("O010", text, (*schema.place(OURS), name), hint)


def _number(value: Any) -> Any:
    """Return a number of a float field: infinite ones are text in JSON."""
    if type(value) is int or value in ("inf", "-inf", "nan"):
        return float(value)
    return value
