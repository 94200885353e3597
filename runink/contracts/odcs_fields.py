"""A field and its property in ODCS, both ways without loss.

Reading and writing are a lens:

- What is written is read back as the same field. What the standard's own words do not bring back exactly goes into custom properties: `runinkUnit`, `runinkDefault`, …,
  one for each attribute of a field that would otherwise come back different.
- What stands in a property and is not ours (business names, definitions, examples, rules of other engines) stays where it is when the property is written
  anew over it; and a property that says the field already stays as it is, word for word.

A custom property of ours next to words of the standard that say something else is a mistake: somebody has changed one and not the other, and nobody could tell which counts.
"""

from __future__ import annotations

import typing
from typing import Any, Final

import msgspec

from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.odcs_parts import Part, Told
from runink.contracts.odcs_properties import read_property, written_property
from runink.contracts.odcs_quality import read_quality
from runink.contracts.odcs_words import ITEM, OURS, PROPERTY_KEYS

# Records and lists have their parts in the standard's own places.
_INNER: Final = frozenset({"fields", "items"})
# What other keys of the standard say that are not ours to write.
_THEIRS: Final = frozenset(
    [
        "authoritativeDefinitions",
        "businessName",
        "deprecated",
        "encryptedName",
        "examples",
        "id",
        "partitionKeyPosition",
        "partitioned",
        "physicalName",
        "relationships",
        "semanticType",
        "synonyms",
        "transformLogic",
        "transformSourceObjects",
    ]
)

# Options that are not ours to write, as long as they say nothing about the field.
_OPTIONS: Final = ("format", "timezone", "defaultTimezone", "uniqueItems")


def custom_name(attribute: str) -> str:
    """Return the name of the custom property for an attribute of ours: `multiple_of` is `runinkMultipleOf`."""
    return OURS + "".join(word.capitalize() for word in attribute.split("_"))


_ATTRIBUTES: Final = {
    custom_name(name): name for name in FieldSpec.__struct_fields__ if name not in _INNER
}


def read_field(part: Part) -> FieldSpec:
    """Return the field that a property says. `told` of the part holds what is wrong or not enforced."""
    plain = read_property(part, read_field)
    said = read_customs(part, _ATTRIBUTES, _types())
    if not said:
        return plain
    field = msgspec.structs.replace(plain, **said)
    rewritten = _reread(written_property(field), field)
    for name, attribute in _ATTRIBUTES.items():
        # A key makes a field one that must hold something, and its position is not the field's to say.
        disagrees = getattr(rewritten, attribute) != getattr(plain, attribute)
        if attribute in said and disagrees and not part.value.get("primaryKey"):
            part.wrong(
                "O010",
                f"{name} says {said[attribute]!r}, and the property itself says something else",
                "customProperties",
                hint=f"take {name} out, or the standard's own words for it",
            )
    return field


def _types() -> dict[str, Any]:
    return typing.get_type_hints(FieldSpec)


def read_customs(part: Part, attributes: dict[str, str], types: dict[str, Any]) -> dict[str, Any]:
    """Return what custom properties of ours say, by attribute."""
    said: dict[str, Any] = {}
    for custom in part.parts("customProperties"):
        name = custom.text("property")
        if not name.startswith(OURS):
            continue
        attribute = attributes.get(name)
        if attribute is None:
            hint = part.told.near(
                name, attributes, f"names that begin with {OURS} are Runink's own"
            )
            custom.wrong("O010", f"{name} is no property of Runink's here", "property", hint=hint)
            continue
        try:
            said[attribute] = msgspec.convert(custom.value.get("value"), types[attribute])
        except (msgspec.ValidationError, ValueError) as error:
            custom.wrong("O010", f"{name}: {error}", "value")
    return said


def custom(name: str, value: Any) -> dict[str, Any]:
    """Return a custom property with a value of ours as plain documents have it."""
    plain = msgspec.to_builtins(value)
    return {"property": name, "value": list(plain) if isinstance(plain, tuple) else plain}


def written_field(
    field: FieldSpec, *, key_position: int = 0, base: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the property that says the field, over the one that stood there before (`base`). Keys are in the standard's order of importance."""
    if base is not None and _says(base, field, key_position):
        return base
    own = written_property(field, key_position)
    written = own if base is None else _over(own, base, field)
    if field.kind is Kind.RECORD:
        written["properties"] = written_fields(field.fields, base=(base or {}).get("properties"))
    if field.kind is Kind.LIST and field.items is not None:
        written["items"] = _written_items(field.items, (base or {}).get("items"))
    plain = _reread(written, field)
    customs = [
        custom(name, getattr(field, attribute))
        for name, attribute in _ATTRIBUTES.items()
        if getattr(plain, attribute) != getattr(field, attribute)
    ]
    return with_customs(written, customs, base)


def written_fields(
    fields: tuple[FieldSpec, ...], *, key: tuple[str, ...] = (), base: Any = None
) -> list[dict[str, Any]]:
    """Return the properties of a record or an object, each over the one of its name that stood there."""
    theirs = {
        str(one.get("physicalName") or one.get("name")): one
        for one in (base if isinstance(base, list) else [])
        if isinstance(one, dict)
    }
    return [
        written_field(
            field,
            key_position=key.index(field.name) + 1 if field.name in key else 0,
            base=theirs.get(field.name),
        )
        for field in fields
    ]


def _written_items(items: FieldSpec, base: Any) -> dict[str, Any]:
    over = dict(base, name=base.get("name") or ITEM) if isinstance(base, dict) else None
    written = dict(written_field(items, base=over))
    if written["name"] == ITEM and not (isinstance(base, dict) and base.get("name")):
        del written["name"]
    return written


def _says(base: dict[str, Any], field: FieldSpec, key_position: int) -> bool:
    """Say whether a property says exactly this already."""
    told = Told()
    found = read_field(Part(base, (), told))
    is_same_key = position_of(base) == key_position
    return found == field and is_same_key and not told.problems


def position_of(value: dict[str, Any]) -> int:
    """Return the place of a property in its object's key, from 1 on, or 0 where it is no part of it."""
    if value.get("primaryKey") is not True:
        return 0
    position = value.get("primaryKeyPosition")
    return position if type(position) is int and position > 0 else 1


def _over(own: dict[str, Any], base: dict[str, Any], field: FieldSpec) -> dict[str, Any]:
    """Write our keys over a property and keep what is not ours. What is half ours (a physical type, other options) stays if it changes nothing."""
    kept = {key: value for key, value in base.items() if key in _THEIRS or key not in PROPERTY_KEYS}
    if kept.get("physicalName") == own["name"]:
        own = {**own, "name": base.get("name", own["name"])}
    listed = base.get("quality")
    rules = [
        rule
        for rule in (listed if isinstance(listed, list) else [])
        if not _is_enforced(rule, field.kind)
    ]
    if rules:
        own = {**own, "quality": [*own.get("quality", []), *rules]}
    half: dict[str, Any] = {}
    if base.get("physicalType"):
        half["physicalType"] = base["physicalType"]
    options = base.get("logicalTypeOptions")
    if base.get("logicalType") == own["logicalType"] and isinstance(options, dict):
        kept_options = {key: options[key] for key in _OPTIONS if key in options}
        if kept_options:
            half["logicalTypeOptions"] = {**kept_options, **own.get("logicalTypeOptions", {})}
    candidate = in_order({**kept, **own, **half}, base)
    if _reread(candidate, field) == _reread(own, field):
        return candidate
    return in_order({**kept, **own}, base)


def in_order(value: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping with its keys as they stood in `base`, and new ones behind."""
    return {
        **{key: value[key] for key in base if key in value},
        **{key: one for key, one in value.items() if key not in base},
    }


def _is_enforced(rule: Any, kind: Kind) -> bool:
    """Say whether a quality rule has become a part of its field."""
    if not isinstance(rule, dict):
        return False
    return bool(read_quality(Part({"quality": [rule]}, (), Told()), kind).taken)


def _reread(written: dict[str, Any], field: FieldSpec) -> FieldSpec:
    """Return what a reader makes of a property by the standard's words alone, with the field's own inner parts: they are compared for themselves."""
    plain = read_property(Part(written, (), Told()), lambda _: FieldSpec(ITEM, Kind.STR))
    return msgspec.structs.replace(plain, fields=field.fields, items=field.items)


def with_customs(
    written: dict[str, Any], customs: list[dict[str, Any]], base: dict[str, Any] | None
) -> dict[str, Any]:
    """Return an element with its custom properties: those of others as they stood in `base`, and ours."""
    listed = (base or {}).get("customProperties")
    theirs = [
        one
        for one in (listed if isinstance(listed, list) else [])
        if not (isinstance(one, dict) and str(one.get("property", "")).startswith(OURS))
    ]
    rest = {key: value for key, value in written.items() if key != "customProperties"}
    return rest | ({"customProperties": [*theirs, *customs]} if theirs or customs else {})
