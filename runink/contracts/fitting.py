"""What `Field(...)` says, brought to the form that specs keep, and what of it does not fit the field's kind or itself.

`FIT` has for each word the kinds that it says something about; what is wrong is told by `wrong(code, text, hint)` and left out (codes: `annotations.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from runink.contracts.fields import Coercion, FieldSpec, Kind
from runink.contracts.formats import FORMATS
from runink.contracts.masks import BadMask, read_mask
from runink.contracts.patterns import check_pattern
from runink.contracts.values import (
    BOUNDS,
    DIGITS_MAX,
    SCALE_DEFAULT,
    article,
    broken_rule,
    comparable,
    scalar,
)
from runink.expressions.patterns import PatternError
from runink.suggestions import near_or_all

ORDERED: Final = frozenset(
    {Kind.INT, Kind.FLOAT, Kind.DATE, Kind.DATETIME, Kind.TIME, Kind.DECIMAL}
)
NESTED: Final = frozenset({Kind.RECORD, Kind.LIST})
SCALARS: Final = frozenset(Kind) - NESTED
COUNTED: Final = frozenset({Kind.STR, Kind.BYTES, Kind.LIST})
FIT: Final[dict[str, frozenset[Kind]]] = {
    **dict.fromkeys(BOUNDS, ORDERED),
    "multiple_of": frozenset({Kind.INT, Kind.FLOAT, Kind.DECIMAL}),
    "pattern": frozenset({Kind.STR}),
    "format": frozenset({Kind.STR}),
    "choices": SCALARS - {Kind.BOOL},
    "min_length": COUNTED,
    "max_length": COUNTED,
    "digits": frozenset({Kind.DECIMAL}),
    "scale": frozenset({Kind.DECIMAL}),
    "allow_inf_nan": frozenset({Kind.FLOAT}),
    "unique": SCALARS,
    "coerce": frozenset(Kind),
    "access": frozenset(Kind),
    "mask": frozenset(Kind),
    "lineage": frozenset(Kind),
    "unit": frozenset(Kind),
    "description": frozenset(Kind),
    "pii": frozenset(Kind),
    "tags": frozenset(Kind),
}
CHOICES_MAX: Final = 10_000  # a longer list is reference data, to be joined with
PATTERN_SHOWN_MAX: Final = 100  # characters of one in a mistake
_ROLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}")

Wrong = Callable[..., None]  # (code, text, hint="")


def fitted(kind: Kind, said: dict[str, Any], wrong: Wrong) -> dict[str, Any]:
    """Return what was said as attributes of a `FieldSpec`, without what does not fit, which is told."""
    fitting: dict[str, Any] = {}
    for name, value in said.items():
        if kind not in FIT[name]:
            wrong("C003", f"{name} says nothing about {article(kind)}")
        else:
            fitting |= _READERS.get(name, _bound)(kind, name, value, wrong)
    return fitting


# One function a word: the attributes that it becomes, or none if it is wrong.


def _bound(kind: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    bound = scalar(kind, value)
    if bound is None:
        wrong("C004", f"{name}={value!r} is not {article(kind)}")
        return {}
    return {name: bound}


def _multiple_of(kind: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    step = scalar(kind, value)
    if step is None or not 0 < comparable(kind, step) < float("inf"):
        wrong("C004", f"{name}={value!r} is not {article(kind)} above 0")
        return {}
    return {name: step}


def _count(_: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    if type(value) is not int or value < 0:
        wrong("C004", f"{name}={value!r} is not a whole number from 0 on")
        return {}
    return {name: value}


def _flag(_: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    if not isinstance(value, bool):
        wrong("C004", f"{name}={value!r} is neither True nor False")
        return {}
    return {name: value}


def _prose(_: Kind, name: str, value: Any, __: Wrong) -> dict[str, Any]:
    return {name: str(value)}


def _tags(_: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    if not is_tags(value):
        wrong("C004", f"tags={value!r} is no dict of texts", 'tags={"owner": "ann"}')
        return {}
    return {name: dict(value)}


def is_tags(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(text, str) for pair in value.items() for text in pair
    )


def _pattern(_: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    text = getattr(value, "pattern", value)
    if not isinstance(text, str):
        wrong("C007", f"pattern {text!r} is no text")
        return {}
    try:
        check_pattern(text)
    except PatternError as error:
        shown = text if len(text) <= PATTERN_SHOWN_MAX else text[:PATTERN_SHOWN_MAX] + "…"
        wrong(
            "C007",
            f"pattern {shown!r} cannot be read: {error.text}",
            error.hint
            or "patterns are RE2's and match the whole text already: neither ^ nor $ nor look-arounds are needed",
        )
        return {}
    return {name: text}


def _format(_: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    if value in FORMATS:
        return {name: value}
    wrong("C013", f"format {value!r} is not known", near_or_all(str(value), FORMATS))
    return {}


def _choices(kind: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        wrong("C008", f"choices={value!r} is no list", 'choices=["a", "b"]')
        return {}
    said = list(value)
    choices = tuple(scalar(kind, one) for one in said)
    strange = [one for one, choice in zip(said, choices, strict=True) if choice is None]
    if strange:
        wrong("C008", f"among its choices {strange[0]!r} is not {article(kind)}")
    elif not choices:
        wrong("C005", "it has no choices, so nothing keeps it")
    elif len(choices) > CHOICES_MAX:
        wrong(
            "C008",
            f"{len(choices):,} choices are more than {CHOICES_MAX:,}",
            "a longer list is reference data: join with it in a step",
        )
    elif (twice := _twice(kind, choices)) is not None:
        wrong("C008", f"{twice!r} stands among its choices twice")
    else:
        return {name: choices}
    return {}


def _twice(kind: Kind, choices: tuple[Any, ...]) -> Any:
    """Return the first choice that is equal to one before it (1.50 and 1.5 are one decimal), or nothing."""
    seen = set()
    for choice in choices:
        value = comparable(kind, choice)
        if value in seen:
            return choice
        seen.add(value)
    return None


def _coerce(_: Kind, __: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    policy = policy_of(value, wrong)
    return {} if policy is None else {"coercion": policy}


def policy_of(value: Any, wrong: Wrong) -> Coercion | None:
    """Return the policy that a word means, or nothing, which is told."""
    if isinstance(value, Coercion):
        return value
    words = [policy.value for policy in Coercion]
    if value in words:
        return Coercion(value)
    hint = near_or_all(str(value), words)
    wrong("C015", f"coercion {value!r} is not known", hint)
    return None


def _access(_: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    roles = (value,) if isinstance(value, str) else value
    if not isinstance(roles, (tuple, list)) or not all(
        isinstance(role, str) and _ROLE.fullmatch(role) for role in roles
    ):
        wrong("C016", f"access={value!r} names no roles", 'access="analyst" or access=("a", "b")')
        return {}
    return {name: tuple(dict.fromkeys(roles))}


def _mask(kind: Kind, name: str, value: Any, wrong: Wrong) -> dict[str, Any]:
    try:
        return {name: str(read_mask(str(value), kind))}
    except BadMask as error:
        wrong("C014", str(error), error.hint)
        return {}


_READERS: Final[dict[str, Callable[[Kind, str, Any, Wrong], dict[str, Any]]]] = {
    "multiple_of": _multiple_of,
    "min_length": _count,
    "max_length": _count,
    "digits": _count,
    "scale": _count,
    "allow_inf_nan": _flag,
    "unique": _flag,
    "pattern": _pattern,
    "format": _format,
    "choices": _choices,
    "coerce": _coerce,
    "access": _access,
    "mask": _mask,
    "tags": _tags,
    **dict.fromkeys(("lineage", "unit", "description", "pii"), _prose),
}

# What contradicts itself.


def check_together(spec: FieldSpec, wrong: Wrong) -> None:
    """Tell of the constraints of one field that no value can keep together."""
    for one, other in (("ge", "gt"), ("le", "lt")):
        if getattr(spec, one) is not None and getattr(spec, other) is not None:
            wrong("C005", f"{one} and {other} bound the same side", "keep one of them")
    low = spec.ge if spec.ge is not None else spec.gt
    high = spec.le if spec.le is not None else spec.lt
    strict = spec.gt is not None or spec.lt is not None
    if low is not None and high is not None:
        a, b = comparable(spec.kind, low), comparable(spec.kind, high)
        if a > b or (strict and a == b):
            wrong("C005", f"nothing lies between {low} and {high}")
    shortest, longest = spec.min_length or 0, spec.max_length
    if longest is not None and shortest > longest:
        wrong("C005", f"min_length={shortest} is more than max_length={longest}")
    bare = msgspec.structs.replace(spec, choices=())
    if spec.choices and all(broken_rule(bare, choice) for choice in spec.choices):
        wrong("C005", "each of its choices breaks another of its rules")
    if spec.kind is Kind.DECIMAL:
        _check_decimal(spec, wrong)


def _check_decimal(spec: FieldSpec, wrong: Wrong) -> None:
    if (spec.digits is None) != (spec.scale is None):
        wrong(
            "C004",
            "digits and scale go together",
            f"Field(digits=10, scale=2) holds 12345678.90; without both, {DIGITS_MAX} and {SCALE_DEFAULT} are taken",
        )
    elif spec.digits is not None and spec.scale is not None:
        if not 1 <= spec.digits <= DIGITS_MAX:
            wrong("C004", f"digits={spec.digits} is not between 1 and {DIGITS_MAX}")
        if spec.scale > spec.digits:
            wrong("C005", f"scale={spec.scale} is more than digits={spec.digits}")


def with_default(spec: FieldSpec, default: Any, wrong: Wrong, *, is_sound: bool) -> FieldSpec:
    """Return the field with its default; that it keeps the field's own rules is looked at if these are `is_sound`."""
    if default is msgspec.UNSET:
        return spec
    if default is None:
        if not spec.nullable:
            wrong("C006", "its default is None, but it may not hold nothing", "write X | None")
        return msgspec.structs.replace(spec, has_default=True)
    if spec.kind in NESTED:
        wrong("C006", f"the only default of {article(spec.kind)} is None", "write X | None = None")
        return spec
    value = scalar(spec.kind, default)
    if value is None:
        wrong("C006", f"its default {default!r} is not {article(spec.kind)}")
        return spec
    broken = broken_rule(spec, value) if is_sound else None
    if broken:
        wrong("C006", f"its default {default!r} breaks its own {broken}")
    return msgspec.structs.replace(spec, has_default=True, default=value)
