"""`Properties:`, a contract written out in the pipeline: small ones need no file of their own.

    id: int                        a field and its type
    mail:                          or with what else is to be kept
      type: string
      required: false              it may be missing and hold nothing
      pii: email
    - name: month                  or as a list
      type: integer
      minimum: 1

All that a contract's class can say and this cannot belongs into a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dsl.diagnostics import Findings
from runink.dsl.entries import check_texts
from runink.dsl.syntax import Block, Entry, Text
from runink.suggestions import near_or_all

VERSION: Final = "1.0.0"  # of a contract that has none: what changes it changes the pipeline
_TYPES: Final = {
    **{kind.value: kind for kind in Kind if kind not in {Kind.RECORD, Kind.LIST}},
    "integer": Kind.INT,
    "long": Kind.INT,
    "number": Kind.FLOAT,
    "double": Kind.FLOAT,
    "boolean": Kind.BOOL,
    "string": Kind.STR,
    "text": Kind.STR,
    "binary": Kind.BYTES,
    "timestamp": Kind.DATETIME,
}
_ORDERED: Final = frozenset(
    {Kind.INT, Kind.FLOAT, Kind.DECIMAL, Kind.DATE, Kind.DATETIME, Kind.TIME}
)
_TEXTS: Final = frozenset({Kind.STR, Kind.BYTES})
# What a key is in a field, and of which kinds; nothing: of all.
_KEYS: Final[dict[str, tuple[str, frozenset[Kind] | None]]] = {
    "description": ("description", None),
    "pii": ("pii", None),
    "unit": ("unit", None),
    "mask": ("mask", None),
    "default": ("default", None),
    "enum": ("choices", frozenset({Kind.STR, Kind.INT})),
    "minimum": ("ge", _ORDERED),
    "maximum": ("le", _ORDERED),
    "min_length": ("min_length", _TEXTS),
    "max_length": ("max_length", _TEXTS),
    "pattern": ("pattern", frozenset({Kind.STR})),
}
_ALL: Final = ("type", "required", "nullable", *_KEYS)
_FLAGS: Final = {"true": True, "false": False, "yes": True, "no": False}


def contract_of(block: Block, name: str, version: str, findings: Findings) -> ContractSpec | None:
    """Return the contract that the block is; nothing if it could not be read, which is told."""
    before = len(findings)
    fields: dict[str, FieldSpec] = {}
    for entry, named, said in _described(block, findings):
        if named in fields:
            findings.add("D016", f"field {named} is there already", entry.span, "take one away")
        field = _field(named, entry, said, findings)
        if field is not None:
            fields[named] = field
    if not fields and len(findings) == before:
        hint = "write a field a line, as in id: int"
        findings.add("D014", f"{block.keyword}: names no field", block.span, hint)
    if len(findings) > before:
        return None
    return ContractSpec(name, version or VERSION, tuple(fields.values()))


def _described(block: Block, findings: Findings) -> Iterator[tuple[Entry, str, dict[str, Entry]]]:
    """Yield each field's entry, its name, and what is said of it."""
    for entry in block.entries:
        below = _keyed(entry, findings)
        if entry.key:
            yield entry, entry.key, below
        elif entry.is_bullet and isinstance(getattr(below.get("name"), "value", None), Text):
            named = below.pop("name").value
            assert isinstance(named, Text), "the line above has looked"
            yield entry, named.value, below
        else:
            hint = "write its name and its type: id: int"
            findings.add("D011", "this is no field", entry.span, hint)


def _keyed(entry: Entry, findings: Findings) -> dict[str, Entry]:
    """Return what is said of a field, by its keys; what stands behind its name is its type."""
    said = {"type": entry} if entry.key and entry.value is not None else {}
    for one in entry.entries:
        if not one.key:
            hint = "as in required: false"
            findings.add("D011", "this says nothing of the field", one.span, hint)
        elif one.key in said:
            labels = [(said[one.key].span, "here")]
            hint = "leave one of them away"
            findings.add("D016", f"{one.key} is said already", one.span, hint, labels=labels)
        else:
            said[one.key] = one
            check_texts(one, findings)
    return said


def _field(
    name: str, entry: Entry, said: Mapping[str, Entry], findings: Findings
) -> FieldSpec | None:
    kind = _kind(name, entry, said, findings)
    if kind is None:
        return None
    rules: dict[str, Any] = {}
    for key, one in said.items():
        if key in {"type", "required", "nullable"} or one is entry:
            continue
        if key not in _KEYS:
            hint = near_or_all(key, _ALL)
            findings.add("D011", f"a field has no {key}", one.span, hint)
            continue
        attribute, kinds = _KEYS[key]
        if kinds is not None and kind not in kinds:
            hint = f"it goes with {', '.join(sorted(one.value for one in kinds))}"
            findings.add("D015", f"{key} does not go with {kind.value}", one.span, hint)
            continue
        value = _value(attribute, one, kind, findings)
        if value is not None:
            rules[attribute] = value
    required = _flag(said.get("required"), findings, is_usual=True)
    nullable = _flag(said.get("nullable"), findings, is_usual=not required)
    has_default = "default" in rules or not required
    return FieldSpec(name, kind, nullable=nullable, has_default=has_default, **rules)


def _kind(name: str, entry: Entry, said: Mapping[str, Entry], findings: Findings) -> Kind | None:
    one = said.get("type")
    word = one.value.value if one is not None and isinstance(one.value, Text) else ""
    if one is None or not word:
        hint = "as in type: int"
        findings.add("D014", f"field {name} has no type", entry.span, hint)
        return None
    kind = _TYPES.get(word.lower())
    if kind is None:
        span = one.value.span if isinstance(one.value, Text) else one.span
        findings.add("D015", f"there is no type {word}", span, near_or_all(word.lower(), _TYPES))
    return kind


def _flag(entry: Entry | None, findings: Findings, *, is_usual: bool) -> bool:
    if entry is None:
        return is_usual
    said = _FLAGS.get(_word(entry).lower())
    if said is None:
        hint = f"as in {entry.key}: false"
        findings.add("D015", f"{entry.key} must be true or false", entry.span, hint)
    return bool(said)


def _word(entry: Entry) -> str:
    return entry.value.value if isinstance(entry.value, Text) else ""


def _value(attribute: str, entry: Entry, kind: Kind, findings: Findings) -> Any:
    """Return a rule's value in the form that a contract keeps it in; nothing if it is none, which is told."""
    parse = _parser(attribute, kind)
    found = []
    for text in entry.texts:
        try:
            found.append(parse(text.value))
        except (ValueError, ArithmeticError, re.error):
            hint = f"the field is of {kind.value}" if parse is not str else ""
            findings.add("D015", f"{entry.key} cannot be {text.value}", text.span, hint)
            return None
    if attribute == "choices":
        return tuple(found)
    if len(found) > 1:
        findings.add("D015", f"{entry.key} is one value", entry.span, "leave the others away")
        return None
    return found[0] if found else None


def _parser(attribute: str, kind: Kind) -> Callable[[str], Any]:
    match attribute:
        case "min_length" | "max_length":
            return int
        case "pattern":
            return lambda text: re.compile(text).pattern
        case "ge" | "le" | "default" | "choices":
            return _SCALARS.get(kind, str)
        case _:
            return str


def _truth(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError(text)
    return _FLAGS[text.lower()]


_SCALARS: Final[dict[Kind, Callable[[str], Any]]] = {
    Kind.INT: int,
    Kind.FLOAT: float,
    Kind.BOOL: _truth,
    Kind.DECIMAL: lambda text: str(Decimal(text)),
    Kind.DATE: lambda text: date.fromisoformat(text).isoformat(),
    Kind.DATETIME: lambda text: datetime.fromisoformat(text).isoformat(),
    Kind.TIME: lambda text: time.fromisoformat(text).isoformat(),
}
