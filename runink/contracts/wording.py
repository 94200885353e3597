"""A contract in words: each field's type, its rules and what is known about it, as tables and pages show them."""

from __future__ import annotations

from typing import Final

from runink.contracts.fields import FieldSpec, Kind

CHOICES_SHOWN_MAX: Final = 8  # more choices than this are counted, not listed
_BOUNDS: Final = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))


def type_text(field: FieldSpec) -> str:
    """Return the field's type as people say it: `int`, `decimal(7, 2)`, `list of str`, each with `or nothing` where it may hold nothing."""
    return f"{_bare(field)} or nothing" if field.nullable else _bare(field)


def _bare(field: FieldSpec) -> str:
    if field.kind is Kind.LIST and field.items is not None:
        return f"list of {type_text(field.items)}"
    if field.kind is Kind.DECIMAL and field.digits is not None:
        return f"decimal({field.digits}, {field.scale})"
    return field.kind.value


def rule_texts(field: FieldSpec) -> tuple[str, ...]:
    """Return what a value must keep beyond its type, each rule in a few words."""
    said = [
        f"{sign} {getattr(field, name)}"
        for name, sign in _BOUNDS
        if getattr(field, name) is not None
    ]
    if field.multiple_of is not None:
        said.append(f"a multiple of {field.multiple_of}")
    if field.min_length is not None or field.max_length is not None:
        said.append(_length(field))
    if field.pattern is not None:
        said.append(f"of the form {field.pattern}")
    if field.format:
        said.append(f"a valid {field.format}")
    if field.choices:
        said.append(_choices(field))
    if field.unique:
        said.append("unique")
    if field.allow_inf_nan:
        said.append("nan and inf too")
    return tuple(said)


def _length(field: FieldSpec) -> str:
    unit = {Kind.BYTES: "bytes", Kind.LIST: "items"}.get(field.kind, "characters")
    low, high = field.min_length or 0, field.max_length
    if high is None:
        return f"at least {low} {unit}"
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _choices(field: FieldSpec) -> str:
    shown = ", ".join(str(choice) for choice in field.choices[:CHOICES_SHOWN_MAX])
    more = len(field.choices) - CHOICES_SHOWN_MAX
    return f"one of {shown}" + (f" and {more} more" if more > 0 else "")


def note_texts(field: FieldSpec) -> tuple[str, ...]:
    """Return what is known about the field and no rule: its default, unit, personal data, who may see it, tags."""
    said = [f"default {field.default!r}"] if field.has_default and field.default is not None else []
    said += [
        f"{what} {value}"
        for what, value in (
            ("in", field.unit),
            ("pii", field.pii),
            ("seen by", ", ".join(field.access)),
            ("mask", field.mask),
            ("from", field.lineage),
        )
        if value
    ]
    if field.coercion is not None:
        said.append(f"coercion {field.coercion.value}")
    return (*said, *(f"{name}={value}" for name, value in field.tags.items()))
