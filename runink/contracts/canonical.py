"""One form for contracts that mean the same, so that they have one hash.

    counts                                              does not count
    name; fields with their order, kinds, rules,        version: it names a meaning, it is none
    defaults and units; key; rules' names and trees;    description of the contract, its fields and its rules; lineage; where it stands
    coercion; on_drift; tags, pii, access, masks        the order of choices, roles, tags and rules; how a rule's text is set
                                                        what is said and holds anyway (`min_length=0`, 38 digits with 9 behind the point, the coercion of what it is in)
                                                        how a bound or a choice is written (`1.50` and `1.5` of a decimal, `1` and `1.0` of a float)

The order of fields counts: it is the order of the columns that come out, and a pipe whose ends agree on a hash must agree on those.  The unit counts: 5 minutes are
not 5 seconds.  A key's order does not: rows are told apart by all of it.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, RuleSpec, Scalar
from runink.contracts.values import DIGITS_MAX, SCALE_DEFAULT, comparable
from runink.expressions import Literal, said

NOTHING: Final = Literal(None)  # in the place of a tree
_VALUES: Final = ("ge", "gt", "le", "lt", "multiple_of", "default")


def canonical(spec: ContractSpec) -> ContractSpec:
    """Return what stands for all contracts that mean the same as this one. It is no contract itself: its rules are text."""
    return replace(
        spec,
        version="",
        where="",
        description="",
        fields=tuple(_field(field, spec.coercion) for field in spec.fields),
        key=tuple(sorted(spec.key)),
        rules=tuple(sorted(map(_rule, spec.rules), key=lambda rule: rule.name)),
    )


def content_hash(spec: ContractSpec) -> str:
    """Return SHA-256 over the canonical form as JSON with sorted keys, 64 hex digits. It is stored in the Barn: it never changes for one meaning."""
    return hashlib.sha256(msgspec.json.encode(canonical(spec), order="sorted")).hexdigest()


def _rule(rule: RuleSpec) -> RuleSpec:
    """Keep a rule as its tree says it, in text: what a tree is made of may change from one release to the next, what it says does not."""
    return replace(rule, text=said(rule.expression), description="", expression=NOTHING)


def _field(field: FieldSpec, around: Coercion) -> FieldSpec:
    """Return a field that says only what does not hold anyway; `around` is the policy of what it is in."""
    policy = around if field.coercion is None else field.coercion
    digits, scale = field.digits, field.scale
    if field.kind is Kind.DECIMAL and digits is None and scale is None:
        digits, scale = DIGITS_MAX, SCALE_DEFAULT
    values = {name: _value(field.kind, getattr(field, name)) for name in _VALUES}
    return replace(
        field,
        **values,
        choices=_choices(field),
        min_length=field.min_length or None,
        digits=digits,
        scale=scale,
        description="",
        lineage="",
        access=tuple(sorted(set(field.access))),
        coercion=None if policy is around else policy,
        fields=tuple(_field(inner, policy) for inner in field.fields),
        items=None if field.items is None else _field(field.items, policy),
    )


def _choices(field: FieldSpec) -> tuple[Scalar, ...]:
    written = {_value(field.kind, choice) for choice in field.choices}
    choices = [choice for choice in written if choice is not None]
    return tuple(sorted(choices, key=lambda one: (str(type(one)), one)))


def _value(kind: Kind, value: Scalar | None) -> Scalar | None:
    """Return a value of a spec written in the one way."""
    if value is None:
        return None
    if kind is Kind.FLOAT and isinstance(value, (int, float)):
        return float(value)
    if kind is Kind.DECIMAL:
        number = comparable(kind, value)
        return format(number.normalize() if number else Decimal(0), "f")
    if kind in (Kind.DATE, Kind.DATETIME, Kind.TIME):
        own = comparable(kind, value)
        return value if own is None else str(own.isoformat())
    return value
