"""A contract enforced the slow, obvious way: value by value in plain Python. Knows nothing of Arrow and of the plan."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any

from oracle_texts import FORMATS, PATTERNS
from oracle_values import Bad, of_json, taken_for
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind

__all__ = ["FORMATS", "PATTERNS", "judged"]


def judged(rows: list[dict[str, Any]], spec: ContractSpec):
    """Return the good rows as values, and for each bad row its place and its (field, rule)s."""
    good, bad = [], []
    seen: dict[str, list[Any]] = {}
    for place, row in enumerate(rows):
        values, reasons = {}, []
        for field in spec.fields:
            value, broken = judge(row[field.name], field, field.name, spec.coercion)
            values[field.name] = value
            reasons += broken
        claims = list(claimed(values, spec.fields, ""))
        reasons += [(path, "unique") for path, value in claims if value in seen.get(path, ())]
        if reasons:
            bad.append((place, reasons))
        else:
            good.append(values)
            for path, value in claims:
                seen.setdefault(path, []).append(value)
    return good, bad


def claimed(values: dict[str, Any] | None, fields: tuple[FieldSpec, ...], before: str):
    for field in fields if values is not None else ():
        value = values[field.name]
        if field.unique and value is not None:
            is_nan = isinstance(value, float) and math.isnan(value)
            yield before + field.name, "nan" if is_nan else value
        if field.kind is Kind.RECORD:
            yield from claimed(value, field.fields, f"{before}{field.name}.")


Broken = list[tuple[str, str]]


def judge(value: Any, field: FieldSpec, path: str, around: Coercion) -> tuple[Any, Broken]:
    policy = field.coercion or around
    if value is None:
        if field.nullable:
            return None, []
        if field.has_default and field.default is not None:
            return own(field, field.default), []
        return None, [(path, "missing")]
    try:
        if field.kind is Kind.RECORD:
            return a_record(value, field, path, policy)
        if field.kind is Kind.LIST:
            return a_list(value, field, path, policy)
        taken = taken_for(value, field, policy)
    except Bad as bad:
        return None, [(path, str(bad))]
    return taken, [(path, rule) for rule in broken(taken, field)]


def a_record(value: Any, field: FieldSpec, path: str, policy: Coercion) -> tuple[Any, Broken]:
    is_struct = isinstance(value, dict)
    if isinstance(value, str):
        value = of_json(value, dict)
    if not isinstance(value, dict):
        raise Bad("type")
    values, reasons = {}, []
    for inner in field.fields:
        if is_struct and inner.name not in value and inner.has_default:
            default = inner.default
            values[inner.name] = None if default is None else own(inner, default)
            continue
        way = f"{path}.{inner.name}"
        values[inner.name], inside = judge(value.get(inner.name), inner, way, policy)
        reasons += inside
    return values, reasons


def a_list(value: Any, field: FieldSpec, path: str, policy: Coercion) -> tuple[Any, Broken]:
    if isinstance(value, str):
        value = of_json(value, list)
    if not isinstance(value, list):
        raise Bad("type")
    reasons = []
    if field.min_length is not None and len(value) < field.min_length:
        reasons.append((path, "min_length"))
    if field.max_length is not None and len(value) > field.max_length:
        reasons.append((path, "max_length"))
    values = []
    for place, item in enumerate(value):
        taken, broken_inside = judge(item, field.items, f"{path}[{place}]", policy)
        values.append(taken)
        reasons += broken_inside
    return values, reasons


def own(field: FieldSpec, value: Any) -> Any:
    """Return a bound or a default of the spec as the value that it stands for."""
    match field.kind:
        case Kind.BYTES:
            return value.encode("latin-1")
        case Kind.DATE:
            return date.fromisoformat(value)
        case Kind.TIME:
            return time.fromisoformat(value)
        case Kind.DATETIME:
            return datetime.fromisoformat(value)
        case Kind.DECIMAL:
            return Decimal(value)
        case _:
            return value


def broken(value: Any, field: FieldSpec):
    if field.kind is Kind.FLOAT and not field.allow_inf_nan and not math.isfinite(value):
        yield "finite"
    is_nan = isinstance(value, float) and math.isnan(value)
    if not is_nan or field.allow_inf_nan:
        if field.ge is not None and not value >= own(field, field.ge):
            yield "ge"
        if field.gt is not None and not value > own(field, field.gt):
            yield "gt"
        if field.le is not None and not value <= own(field, field.le):
            yield "le"
        if field.lt is not None and not value < own(field, field.lt):
            yield "lt"
    if field.multiple_of is not None and not is_multiple(value, field):
        yield "multiple_of"
    if field.min_length is not None and len(value) < field.min_length:
        yield "min_length"
    if field.max_length is not None and len(value) > field.max_length:
        yield "max_length"
    if field.pattern is not None and not PATTERNS[field.pattern](value):
        yield "pattern"
    if field.format and not FORMATS[field.format](value):
        yield "format"
    if field.choices and value not in [own(field, choice) for choice in field.choices]:
        yield "choices"


def is_multiple(value: Any, field: FieldSpec) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    exact = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    steps = exact / Fraction(str(field.multiple_of))
    return steps == int(steps)
