"""A contract as an object of an ODCS document: its fields, its key, its rules over a row.

contract        object
name            name
fields          properties
key             primaryKey and primaryKeyPosition of the properties
description     description
tags            tags, as `name` or `name=value`
rules           quality rules of type custom with engine `runink`
coercion        the custom property runinkCoercion, where it is not the usual one
on_drift        the custom property runinkOnDrift, likewise
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from runink.contracts.documents import RuleText
from runink.contracts.fields import ContractSpec, FieldSpec
from runink.contracts.odcs_checks import mistakes_of
from runink.contracts.odcs_fields import (
    custom,
    custom_name,
    in_order,
    position_of,
    read_customs,
    read_field,
    with_customs,
    written_fields,
)
from runink.contracts.odcs_parts import Part, Told
from runink.contracts.odcs_properties import read_tags, written_tags
from runink.contracts.odcs_quality import expression_rule, is_ours, tell_object_quality
from runink.contracts.odcs_words import OBJECT_KEYS

_CUSTOM: Final = {custom_name(name): name for name in ("coercion", "tags", "on_drift")}
_OWN: Final = frozenset({"description", "tags", "properties", "quality", "customProperties"})


@dataclass(frozen=True, slots=True)
class ReadObject:
    """What an object says: the contract without its rules, and these as text, each with the part that it stands in."""

    spec: ContractSpec
    rules: tuple[tuple[RuleText, Part], ...]


def read_object(part: Part, version: str) -> ReadObject:
    """Return what an object says. `told` of the part holds what is wrong or not enforced."""
    part.known(OBJECT_KEYS, "an object")
    name = part.text("name")
    if not name:
        part.wrong("O007", "the object has no name", hint="name: is what the contract is called")
    logical = part.text("logicalType")
    if logical not in ("", "object"):
        part.wrong("O008", f"{logical} holds no fields", "logicalType", hint="logicalType: object")
    if part.value.get("relationships"):
        part.note("relationships are not enforced", "relationships")
    spec = ContractSpec(
        name, version, _fields(part), _key(part), part.text("description"), tags=read_tags(part)
    )
    said = read_customs(part, _CUSTOM, typing.get_type_hints(ContractSpec))
    return ReadObject(msgspec.structs.replace(spec, **said), _rules(part))


def _fields(part: Part) -> tuple[FieldSpec, ...]:
    fields: list[FieldSpec] = []
    columns: set[str] = set()
    for one in part.parts("properties"):
        before = len(one.told.problems)
        field = read_field(one)
        if not field.name:
            one.wrong("O007", "the property has no name")
        elif field.name in columns:
            one.wrong("C011", f"{field.name} stands twice", "name")
        columns.add(field.name)
        fields.append(field)
        if len(one.told.problems) == before:  # else it is not what was meant
            for mistake in mistakes_of(field):
                one.wrong(mistake.code, mistake.text, "name", hint=mistake.hint)
    if not fields:
        part.wrong("C011", f"{part.value.get('name')} has no property", "properties")
    return tuple(fields)


def _key(part: Part) -> tuple[str, ...]:
    keyed = [
        (position, str(one.value.get("physicalName") or one.value.get("name")))
        for one in part.parts("properties")
        if (position := position_of(one.value))
    ]
    return tuple(name for _, name in sorted(keyed, key=lambda pair: pair[0]))


def _rules(part: Part) -> tuple[tuple[RuleText, Part], ...]:
    found: list[tuple[RuleText, Part]] = []
    for rule in part.parts("quality"):
        name, text = rule.value.get("name"), rule.value.get("implementation")
        if not is_ours(rule.value):
            tell_object_quality(rule)
        elif isinstance(name, str) and isinstance(text, str) and name and text:
            found.append((RuleText(name, text, rule.text("description")), rule))
        else:
            what = "a rule of Runink's has a name and, as its implementation, an expression"
            rule.wrong("O007", what, "engine")
    return tuple(found)


def written_object(spec: ContractSpec, *, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the object that says the contract, over the one that stood there before."""
    if base is not None and _says(base, spec):
        return base
    over = base or {}
    own: dict[str, Any] = {
        "name": spec.name,
        "logicalType": "object" if base is None else "",
        "description": spec.description,
        "properties": written_fields(spec.fields, key=spec.key, base=over.get("properties")),
        "tags": written_tags(spec.tags),
        "quality": _quality(spec, over.get("quality")),
    }
    kept = {key: value for key, value in over.items() if key not in _OWN}
    written = {**kept, **{key: value for key, value in own.items() if value}}
    tags = read_tags(Part(written, (), Told()))
    plain = ContractSpec(spec.name, spec.version, spec.fields, tags=tags)
    customs = [
        custom(name, getattr(spec, attribute))
        for name, attribute in _CUSTOM.items()
        if getattr(plain, attribute) != getattr(spec, attribute)
    ]
    return in_order(with_customs(written, customs, base), over)


def _quality(spec: ContractSpec, base: Any) -> list[Any]:
    """Return the rules of others as they stood, and ours."""
    theirs = [
        rule
        for rule in (base if isinstance(base, list) else [])
        if not (isinstance(rule, dict) and is_ours(rule))
    ]
    return [
        *(expression_rule(rule.name, rule.text, rule.description) for rule in spec.rules),
        *theirs,
    ]


def _says(base: dict[str, Any], spec: ContractSpec) -> bool:
    """Say whether an object says exactly this already; the version is its document's."""
    told = Told()
    found = read_object(Part(base, (), told), spec.version)
    texts = [RuleText(rule.name, rule.text, rule.description) for rule in spec.rules]
    bare = msgspec.structs.replace(spec, rules=(), where="")
    return found.spec == bare and [text for text, _ in found.rules] == texts and not told.problems
