"""A field as a property of ODCS, in the standard's own words: as far as it has them.

    field                          property
    name                           name (physicalName, where one is said, is the column's)
    kind                           logicalType; a decimal and bytes also by physicalType: DECIMAL(10,2), BINARY
    nullable                       required: false; the standard's default
    ge le gt lt multiple_of        minimum maximum exclusiveMinimum exclusiveMaximum multipleOf
    min_length max_length          minLength maxLength, minItems maxItems
    pattern                        pattern, which is searched for: ^…$
    format                         format, of text
    choices                        a quality rule: invalidValues with validValues, none allowed (read also: enum)
    unique, description            unique, description
    lineage                        transformDescription
    tags                           tags, as `name` or `name=value`; `classification` and `criticalDataElement` are keys of their own
    pii                            classification: pii, where nothing else is said (read also: a tag pii)
    fields, items                  properties, items

What has no place here (defaults, units, masks, access, what a decimal holds beyond a double) is `odcs_fields`' matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from runink.contracts.fields import FieldSpec, Kind, Scalar
from runink.contracts.formats import FORMATS
from runink.contracts.odcs_parts import Part
from runink.contracts.odcs_quality import NESTED, Quality, choices_rule, read_quality
from runink.contracts.odcs_words import (
    BOUNDS,
    INTEGER_FORMATS,
    ITEM,
    KINDS,
    LOGICAL,
    OPTIONS,
    PROPERTY_KEYS,
)
from runink.contracts.odcs_words import FORMATS as THEIR_FORMATS
from runink.contracts.searching import searched, whole
from runink.contracts.values import article, scalar

Inner = Callable[[Part], FieldSpec]

PERSONAL: Final = "personal"  # the kind of personal data where all that is said is that it is some
_PII: Final = "pii"
CLASSIFICATION: Final = "classification"
CRITICAL: Final = "criticalDataElement"
_DECIMAL: Final = re.compile(
    r"\s*(?:decimal|numeric|number|bignumeric|money)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*",
    re.IGNORECASE,
)
_BINARY: Final = re.compile(r"\s*(?:var)?(?:binary|bytea|bytes|blob)\b.*", re.IGNORECASE)
_ISO_FORMATS: Final = frozenset({"date", "date-time", "time", "yyyy-mm-dd", "iso8601", "iso 8601"})
_UTC: Final = frozenset({"Etc/UTC", "UTC", "Z", "Etc/GMT", "GMT"})
_LENGTHS: Final = {Kind.STR: "Length", Kind.BYTES: "Length", Kind.LIST: "Items"}


def read_property(part: Part, inner: Inner) -> FieldSpec:
    """Return the field that a property says in the standard's words; what is in it is read by `inner`. `told` of the part holds what is wrong or not enforced."""
    part.known(PROPERTY_KEYS, "a property")
    name = part.text("physicalName") or part.text("name")
    kind = _kind(part)
    if kind is None:
        return FieldSpec(name, Kind.STR)  # stands in, so that the other mistakes are found too
    quality = read_quality(part, kind)
    field = FieldSpec(
        name,
        kind,
        nullable=not (part.flag("required") or part.flag("primaryKey") or quality.is_required),
        unique=_is_unique(part, kind) or quality.is_unique,
        description=part.text("description"),
        lineage=part.text("transformDescription"),
    )
    field = _labelled(field, part)
    field = _optioned(field, part)
    if kind is Kind.RECORD:
        field = msgspec.structs.replace(field, fields=_fields(part, inner))
    if part.value.get("relationships"):
        part.note("relationships are not enforced", "relationships")
    return _by_quality(_typed(field, part, inner), part, quality)


def _is_unique(part: Part, kind: Kind) -> bool:
    is_said = part.flag("unique")
    if is_said and kind in NESTED:
        part.note(f"unique is not enforced for {article(kind)}", "unique")
    return is_said and kind not in NESTED


def _kind(part: Part) -> Kind | None:
    logical = part.text("logicalType")
    if logical in KINDS:
        kind = KINDS[logical]
        physical = part.text("physicalType")
        if kind is Kind.FLOAT and _DECIMAL.fullmatch(physical):
            return Kind.DECIMAL
        return Kind.BYTES if kind is Kind.STR and _BINARY.fullmatch(physical) else kind
    if logical:
        text, key = f"{logical} is no logicalType that a contract can hold", "logicalType"
    else:
        text, key = f"{part.value.get('name')} has no logicalType", "name"
    part.wrong("O008", text, key, hint=f"one of {', '.join(KINDS)}")
    return None


def _fields(part: Part, inner: Inner) -> tuple[FieldSpec, ...]:
    found = [inner(one) for one in part.parts("properties")]
    options = part.part("logicalTypeOptions")
    needed = options.texts("required") if options is not None else []
    return tuple(
        msgspec.structs.replace(one, nullable=False) if one.name in needed else one for one in found
    )


def read_tags(part: Part) -> dict[str, str]:
    """Return the tags of an element: `owner=ann` has a value, `finance` none."""
    tags: dict[str, str] = {}
    for tag in part.texts("tags"):
        name, equals, value = tag.partition("=")
        is_pair = bool(name and equals and value)
        tags[name if is_pair else tag] = value if is_pair else ""
    return tags


def written_tags(tags: dict[str, str]) -> list[str]:
    return [f"{name}={value}" if value else name for name, value in tags.items()]


def _labelled(field: FieldSpec, part: Part) -> FieldSpec:
    tags = read_tags(part)
    pii = PERSONAL if any(name.casefold() == _PII for name in tags) else ""
    classification = part.text(CLASSIFICATION)
    if classification.casefold() == _PII:
        pii = PERSONAL
    elif classification:
        tags[CLASSIFICATION] = classification
    if part.flag(CRITICAL):
        tags[CRITICAL] = "true"
    return msgspec.structs.replace(field, tags=tags, pii=pii)


def _optioned(field: FieldSpec, part: Part) -> FieldSpec:
    options = part.part("logicalTypeOptions")
    if options is None:
        return field
    logical = LOGICAL[field.kind]
    for key in options.value:
        if key not in OPTIONS[logical]:
            known = ", ".join(OPTIONS[logical]) or "none"
            options.wrong(
                "O009", f"{key} is no option of {logical}", key, hint=f"its options: {known}"
            )
    said: dict[str, Any] = {}
    for ours, theirs in (*BOUNDS.items(), ("multiple_of", "multipleOf")):
        if theirs in OPTIONS[logical] and options.value.get(theirs) is not None:
            said[ours] = _value(field, options, theirs, options.value[theirs])
    if field.kind in _LENGTHS:
        unit = _LENGTHS[field.kind]
        said["min_length"] = options.whole(f"min{unit}")
        said["max_length"] = options.whole(f"max{unit}")
    if field.kind is Kind.STR and options.text("pattern"):
        said["pattern"] = whole(options.text("pattern"))
    field = msgspec.structs.replace(field, **said)
    for key in ("uniqueItems", "minProperties", "maxProperties"):
        if options.value.get(key):
            options.note(f"{key} is not enforced", key)
    return _formatted(field, options)


def _formatted(field: FieldSpec, options: Part) -> FieldSpec:
    said = options.text("format")
    match field.kind:
        case Kind.STR if said:
            form = THEIR_FORMATS.get(said, said)
            if form in FORMATS:
                return msgspec.structs.replace(field, format=form)
            options.note(f"the format {said} is not enforced", "format")
        case Kind.INT if said in INTEGER_FORMATS:
            low, high = INTEGER_FORMATS[said]
            lower = {} if field.ge is not None or field.gt is not None else {"ge": low}
            upper = {} if field.le is not None or field.lt is not None else {"le": high}
            if said in ("i64", "u64"):  # what is larger is no int of a contract anyway
                return msgspec.structs.replace(field, **(lower if said == "u64" else {}))
            return msgspec.structs.replace(field, **lower, **upper)
        case Kind.DATE | Kind.DATETIME | Kind.TIME if said and said.casefold() not in _ISO_FORMATS:
            options.note(f"the format {said} is not enforced: text is read as ISO 8601", "format")
        case _:
            pass
    zone = options.text("defaultTimezone")
    if zone and zone not in _UTC:
        options.note(f"{zone} is not used: what has no zone is read as UTC", "defaultTimezone")
    return field


def _typed(field: FieldSpec, part: Part, inner: Inner) -> FieldSpec:
    """Add what the type itself holds: the digits of a decimal, the items of a list."""
    if field.kind is Kind.DECIMAL:
        match = _DECIMAL.fullmatch(part.text("physicalType"))
        digits = int(match[1]) if match and match[1] else None
        scale = int(match[2] or 0) if match and match[1] else None
        return msgspec.structs.replace(field, digits=digits, scale=scale)
    if field.kind is Kind.LIST:
        items = part.part("items")
        if items is None:
            part.wrong(
                "O007",
                f"{field.name} is an array, and its items are not said",
                "logicalType",
                hint="write items: {logicalType: string}",
            )
            return field
        named = items.value if items.value.get("name") else {**items.value, "name": ITEM}
        return msgspec.structs.replace(field, items=inner(Part(named, items.path, items.told)))
    return field


def _by_quality(field: FieldSpec, part: Part, quality: Quality) -> FieldSpec:
    listed = quality.choices
    keys: tuple[str | int, ...] = ("quality", quality.choices_at)
    if part.value.get("enum") is not None:
        entries = [
            one.get("value") if isinstance(one, dict) else one for one in part.listed("enum")
        ]
        listed, keys = entries, ("enum",)
    choices: list[Scalar] = []
    for value in listed or ():
        choice = scalar(field.kind, value)
        if choice is None and value is not None:
            part.wrong(
                "O009",
                f"{value!r} among the values of {field.name} is not {article(field.kind)}",
                *keys,
                hint="write text in quotes",
            )
        elif choice is not None:
            choices.append(choice)
    shortest = field.min_length
    if quality.is_filled and field.kind in _LENGTHS:
        shortest = max(shortest or 0, 1)
    return msgspec.structs.replace(
        field,
        choices=tuple(choices),
        pattern=quality.pattern if field.pattern is None else field.pattern,
        min_length=shortest,
    )


def _value(field: FieldSpec, options: Part, key: str, value: Any) -> Scalar | None:
    """Return a bound in the form that specs keep."""
    if field.kind is Kind.DECIMAL and isinstance(value, float):
        value = repr(value)
    if field.kind is Kind.INT and isinstance(value, float) and value.is_integer():
        value = int(value)
    found = scalar(field.kind, value)
    if found is None:
        options.wrong("O009", f"{key} is {value!r}, not {article(field.kind)}", key)
    return found


def written_property(field: FieldSpec, key_position: int = 0) -> dict[str, Any]:
    """Return the field in the standard's words, without what is in it (`properties`, `items`). `key_position` is from 1 on, 0 for none."""
    options = _written_options(field)
    tags = dict(field.tags)
    classification = tags.pop(CLASSIFICATION, "") or (_PII if field.pii else "")
    is_critical = tags.pop(CRITICAL, "") == "true"
    written: dict[str, Any] = {
        "name": field.name,
        "logicalType": LOGICAL[field.kind],
        "physicalType": _physical(field),
        "description": field.description,
        "primaryKey": key_position > 0,
        "primaryKeyPosition": key_position,
        "required": not field.nullable,
        "unique": field.unique,
        "logicalTypeOptions": options,
        CLASSIFICATION: classification,
        CRITICAL: is_critical,
        "transformDescription": field.lineage,
        "tags": written_tags(tags),
        "quality": _choices(field),
    }
    return {name: value for name, value in written.items() if value or name == "name"}


def _choices(field: FieldSpec) -> list[dict[str, Any]]:
    if not field.choices or field.kind is Kind.BYTES:  # the standard has no text for bytes
        return []
    return [choices_rule(tuple(_written_value(field.kind, one) for one in field.choices))]


def _physical(field: FieldSpec) -> str:
    if field.kind is Kind.DECIMAL:
        is_sized = field.digits is not None and field.scale is not None
        return f"DECIMAL({field.digits},{field.scale})" if is_sized else "DECIMAL"
    return "BINARY" if field.kind is Kind.BYTES else ""


def _written_options(field: FieldSpec) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for ours, theirs in (*BOUNDS.items(), ("multiple_of", "multipleOf")):
        value = getattr(field, ours)
        if value is not None and theirs in OPTIONS[LOGICAL[field.kind]]:
            written[theirs] = _written_value(field.kind, value)
    if field.kind in _LENGTHS:
        unit = _LENGTHS[field.kind]
        written[f"min{unit}"], written[f"max{unit}"] = field.min_length, field.max_length
    if field.pattern is not None and field.kind is Kind.STR:
        written["pattern"] = searched(field.pattern)
    if field.format and field.kind is Kind.STR:
        written["format"] = field.format
    return {name: value for name, value in written.items() if value is not None}


def _written_value(kind: Kind, value: Scalar) -> Any:
    """Return a bound as the standard has it: a number where that is exact enough, nothing where there is none."""
    if kind is Kind.DECIMAL:
        try:
            number = Decimal(str(value))
        except (
            InvalidOperation
        ):  # a custom property of somebody's, which is told where it is checked
            return None
        if number == number.to_integral_value() and abs(number) < 1 << 53:
            return int(number)
        near = float(number)
        return near if near - near == 0 else None
    if isinstance(value, float) and value - value != 0:
        return None
    return value
