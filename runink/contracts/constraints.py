"""What a change of a field's type or of one of its constraints does to the values that the field takes.

    bounds, lengths            the side on which there is more room                a closed end and an open one are compared, whole numbers by what they let in
    choices                    which set holds the other
    digits, scale              room before the point, and behind it
    multiple_of                whether one is a whole multiple of the other
    unique, allow_inf_nan      which of the two says less
    pattern, format            equal, there or gone; two of them cannot be compared, unless the other side has choices: those are tried one by one

A kind may take all that another kind took, as in Avro, where a value becomes of the new kind without loss: int → float as far as floats are whole numbers (2^53),
int → decimal with room for it, date → datetime (its first moment), str → bytes.  No other one does, and none where a policy is strict (it takes no other kinds) or lenient (it takes
what is cut to fit, and the other kind does not cut it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from runink.contracts.changes import Change, Effect, Sort, Value, effect_of
from runink.contracts.fields import Coercion, FieldSpec, Kind
from runink.contracts.formats import FORMATS
from runink.contracts.patterns import is_match
from runink.contracts.values import INT64_MAX, broken_rule, comparable, digits_of

EXACT_MAX: Final = 1 << 53  # up to here every whole number is a float of its own
_Policies = tuple[Coercion, Coercion]  # of the old field and of the new one
_WIDENS: Final = {
    (Kind.INT, Kind.FLOAT),
    (Kind.INT, Kind.DECIMAL),
    (Kind.DATE, Kind.DATETIME),
    (Kind.STR, Kind.BYTES),
}
_SHOWN_MAX: Final = 8  # choices in a sentence


def widens(narrow: Kind, wide: Kind) -> bool:
    """Say whether one kind's values are the other's as well, where there is room for them."""
    return narrow is wide or (narrow, wide) in _WIDENS


def type_effect(old: FieldSpec, new: FieldSpec, policies: _Policies) -> Effect:
    """Return what another kind does, without the constraints."""
    if policies != (Coercion.SAFE, Coercion.SAFE):
        return Effect.OTHER
    if (old.kind, new.kind) in _WIDENS and _has_room(old, new):
        return Effect.WIDER
    if (new.kind, old.kind) in _WIDENS and _has_room(new, old):
        return Effect.NARROWER
    return Effect.OTHER


def _has_room(narrow: FieldSpec, wide: FieldSpec) -> bool:
    """Say whether the wider kind holds every value of the narrower one."""
    if narrow.kind is Kind.INT:
        ends = (_end(narrow, "ge", "gt"), _end(narrow, "le", "lt"))
        largest = max(abs(end[0]) if end else INT64_MAX for end in ends)
        if narrow.choices:
            largest = min(largest, max(abs(int(choice)) for choice in narrow.choices))
        if wide.kind is Kind.FLOAT:
            return bool(largest <= EXACT_MAX)
        digits, scale = digits_of(wide)
        return bool(largest < 10 ** (digits - scale))
    # Characters are counted in text and bytes in bytes, so lengths do not say the same, and neither do choices.
    return wide.min_length is None and wide.max_length is None and not wide.choices


def constraint_changes(
    old: FieldSpec, new: FieldSpec, path: str, policies: _Policies
) -> Iterator[Change]:
    """Yield the changes of two fields' constraints, one for each thing that is bounded."""
    for judge in _JUDGES:
        yield from judge(old, new, path)
    if old.kind is new.kind is Kind.DECIMAL:
        yield from _digits(old, new, path, policies)


def _change(path: str, what: str, shown: tuple[str, str], pair: tuple[Value, Value], effect: Effect) -> Change:  # fmt: skip
    text = f"{path}: {what}: {shown[0]} → {shown[1]}"
    return Change(path, Sort.CONSTRAINT, what, text, effect, old=pair[0], new=pair[1])


# One function for each thing that is bounded.


def _bounds(old: FieldSpec, new: FieldSpec, path: str) -> Iterator[Change]:
    for what, closed, opened, sign in (("minimum", "ge", "gt", -1), ("maximum", "le", "lt", 1)):
        pair = tuple(_said(field, closed, opened) for field in (old, new))
        if pair[0] == pair[1]:
            continue
        before, after = _end(old, closed, opened), _end(new, closed, opened)
        effect = effect_of(
            backward=_is_within(before, after, sign) or _all_keep(old, new, (closed, opened)),
            forward=_is_within(after, before, sign) or _all_keep(new, old, (closed, opened)),
        )
        shown = (pair[0] or "none", pair[1] or "none")
        values = tuple(_first(field, closed, opened) for field in (old, new))
        yield _change(path, what, shown, (values[0], values[1]), effect)


def _first(field: FieldSpec, closed: str, opened: str) -> Value:
    value: Value = getattr(field, closed)
    return value if value is not None else getattr(field, opened)


_WORDS: Final = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _said(field: FieldSpec, *names: str) -> str:
    said = [f"{_WORDS[name]} {bound}" for name in names if (bound := getattr(field, name)) is not None]  # fmt: skip
    return " and ".join(said)


def _end(field: FieldSpec, closed: str, opened: str) -> tuple[Any, bool] | None:
    """Return the last value of one side and whether it is itself outside, or nothing where there is no end."""
    ends = []
    for name, is_open in ((closed, False), (opened, True)):
        bound = getattr(field, name)
        if bound is None:
            continue
        value = _ordered(field.kind, bound)
        if field.kind is Kind.INT and is_open:
            value, is_open = value + (1 if closed == "ge" else -1), False  # noqa: PLW2901 - whole numbers have a next one
        ends.append((value, is_open))
    if len(ends) > 1:  # the one that leaves less room
        sign = -1 if closed == "ge" else 1
        return ends[0] if _is_within(ends[0], ends[1], sign) else ends[1]
    return ends[0] if ends else None


def _ordered(kind: Kind, bound: Any) -> Any:
    """Return a bound as a value that bounds of other kinds can be compared with."""
    value = comparable(kind, bound)
    if isinstance(value, Decimal):
        return Fraction(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    return value


def _is_within(inner: tuple[Any, bool] | None, outer: tuple[Any, bool] | None, sign: int) -> bool:
    """Say whether all on the near side of one end is on that of the other; `sign` is 1 for upper ends."""
    if outer is None:
        return True
    if inner is None:
        return False
    try:
        if inner[0] == outer[0]:
            return inner[1] or not outer[1]
        return bool((inner[0] < outer[0]) is (sign > 0))
    except TypeError:  # of kinds that have no order between them
        return False


def _lengths(old: FieldSpec, new: FieldSpec, path: str) -> Iterator[Change]:
    before, after = old.min_length or 0, new.min_length or 0
    if before != after:
        effect = effect_of(
            backward=after <= before or _all_keep(old, new, ("min_length",)),
            forward=before <= after or _all_keep(new, old, ("min_length",)),
        )
        yield _change(path, "min_length", (str(before), str(after)), (before, after), effect)
    if old.max_length != new.max_length:
        effect = effect_of(
            backward=_is_at_most(old.max_length, new.max_length) or _all_keep(old, new, ("max_length",)),
            forward=_is_at_most(new.max_length, old.max_length) or _all_keep(new, old, ("max_length",)),
        )  # fmt: skip
        shown = tuple(
            "any" if one is None else str(one) for one in (old.max_length, new.max_length)
        )
        yield _change(path, "max_length", (shown[0], shown[1]), (old.max_length, new.max_length), effect)  # fmt: skip


def _is_at_most(one: int | None, other: int | None) -> bool:
    return other is None or (one is not None and one <= other)


def _texts(old: FieldSpec, new: FieldSpec, path: str) -> Iterator[Change]:
    for what in ("pattern", "format"):
        before, after = getattr(old, what) or None, getattr(new, what) or None
        if before != after:
            effect = effect_of(
                backward=after is None or _all_keep(old, new, (what,)),
                forward=before is None or _all_keep(new, old, (what,)),
            )
            yield _change(path, what, (before or "any", after or "any"), (before, after), effect)


def _choices(old: FieldSpec, new: FieldSpec, path: str) -> Iterator[Change]:
    before, after = (
        {comparable(field.kind, choice) for choice in field.choices} for field in (old, new)
    )
    if before == after:
        return
    effect = effect_of(
        backward=not after or (bool(before) and before <= after),
        forward=not before or (bool(after) and after <= before),
    )
    text = f"{path}: choices: {_difference(old, new)}"
    yield Change(path, Sort.CONSTRAINT, "choices", text, effect, old=old.choices, new=new.choices)


def _difference(old: FieldSpec, new: FieldSpec) -> str:
    if not old.choices or not new.choices:
        shown = ", ".join(str(one) for one in (old.choices or new.choices)[:_SHOWN_MAX])
        more = " …" if len(old.choices or new.choices) > _SHOWN_MAX else ""
        return f"{shown}{more} → any" if old.choices else f"any → {shown}{more}"
    parts = []
    for word, these, those in (("without", old, new), ("also", new, old)):
        names = [str(one) for one in these.choices if one not in set(those.choices)]
        if names:
            more = " …" if len(names) > _SHOWN_MAX else ""
            parts.append(f"{word} {', '.join(names[:_SHOWN_MAX])}{more}")
    return ", ".join(parts)


def _digits(old: FieldSpec, new: FieldSpec, path: str, policies: _Policies) -> Iterator[Change]:
    before, after = digits_of(old), digits_of(new)
    if before != after:
        effect = effect_of(backward=_holds(after, before), forward=_holds(before, after))
        if before[1] != after[1] and Coercion.LENIENT in policies:
            effect = Effect.OTHER  # what is rounded to another place may fall behind another bound
        shown = tuple(
            f"{digits} with {scale} behind the point" for digits, scale in (before, after)
        )
        yield _change(path, "digits", (shown[0], shown[1]), (before, after), effect)


def _holds(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[1] >= other[1] and one[0] - one[1] >= other[0] - other[1]


def _multiples(old: FieldSpec, new: FieldSpec, path: str) -> Iterator[Change]:
    before, after = old.multiple_of, new.multiple_of
    if before is None and after is None:
        return
    steps = [None if one is None else Fraction(str(one)) for one in (before, after)]
    if steps[0] == steps[1]:
        return
    effect = effect_of(
        backward=_is_multiple(steps[0], steps[1], old, new),
        forward=_is_multiple(steps[1], steps[0], new, old),
    )
    shown = tuple("any" if one is None else str(one) for one in (before, after))
    yield _change(path, "multiple_of", (shown[0], shown[1]), (before, after), effect)


def _is_multiple(one: Fraction | None, other: Fraction | None, *fields: FieldSpec) -> bool:
    if other is None:
        return True
    # A float's multiples are not exact, and what 0.3 is one of is not what 0.1 is one of.
    is_exact = all(field.kind is not Kind.FLOAT for field in fields)
    return one is not None and is_exact and other != 0 and (one / other).denominator == 1


def _flags(old: FieldSpec, new: FieldSpec, path: str) -> Iterator[Change]:
    if old.unique is not new.unique:
        effect = Effect.NARROWER if new.unique else Effect.WIDER
        yield _change(path, "unique", _words(old.unique, new.unique), (old.unique, new.unique), effect)  # fmt: skip
    if old.allow_inf_nan is not new.allow_inf_nan:
        effect = Effect.WIDER if new.allow_inf_nan else Effect.NARROWER
        if old.kind is not new.kind:
            effect = Effect.SAME if Kind.FLOAT in (old.kind, new.kind) else effect
        shown = _words(old.allow_inf_nan, new.allow_inf_nan)
        yield _change(path, "allow_inf_nan", shown, (old.allow_inf_nan, new.allow_inf_nan), effect)


def _words(*flags: bool) -> tuple[str, str]:
    before, after = ("yes" if flag else "no" for flag in flags)
    return before, after


_JUDGES: Final[tuple[Callable[[FieldSpec, FieldSpec, str], Iterator[Change]], ...]] = (
    _bounds,
    _lengths,
    _texts,
    _choices,
    _multiples,
    _flags,
)


def _all_keep(field: FieldSpec, other: FieldSpec, names: tuple[str, ...]) -> bool:
    """Say whether every choice of a field keeps these constraints of another; not if it has none, or if that cannot be told here."""
    if not field.choices or field.kind is not other.kind:
        return False
    return all(_keeps(other, choice, name) for choice in field.choices for name in names)


def _keeps(field: FieldSpec, choice: Any, name: str) -> bool:
    bound: Any = getattr(field, name)
    if name in _PATTERN_OF:
        return not bound or is_match(_PATTERN_OF[name](bound), str(choice)) is True
    return broken_rule(FieldSpec(field.name, field.kind, **{name: bound}), choice) is None


_PATTERN_OF: Final[dict[str, Callable[[str], str]]] = {
    "pattern": str,
    "format": FORMATS.__getitem__,
}
