"""Masks: what of a value they see who may not see the value. What a mask's text means, and for which kinds it is; `masking.py` applies it.

    mask                     of                                     leaves
    redact                   anything                               *** of text, otherwise nothing
    hash                     all but records and lists              HMAC-SHA256 with the herd's key: 64 hexadecimal digits, 32 bytes of bytes
    tokenise                 whole numbers, text, bytes             a token of the same kind that the herd's key and the value make
    truncate(4)              text, bytes                            the first 4 characters (bytes)
    generalise(10)           numbers                                where the value's bucket of that width begins
    generalise('month')      days, instants: year quarter month week day; instants also hour minute; times of day hour minute

Equal values have equal hashes and tokens under one key, so that tables can still be joined and counted; under another herd's key they have others.
A hash is text whatever it was made of; all other masks leave the kind.  A bucket begins at a multiple of its width, an instant's in UTC, a week on a Monday.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec

from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.values import DIGITS_MAX, SCALE_DEFAULT, article, comparable, scalar
from runink.suggestions import near_or_all

NUMBERS: Final = frozenset({Kind.INT, Kind.FLOAT, Kind.DECIMAL})
NESTED: Final = frozenset({Kind.RECORD, Kind.LIST})
KINDS_OF: Final[dict[str, frozenset[Kind]]] = {
    "redact": frozenset(Kind),
    "hash": frozenset(Kind) - NESTED,
    "tokenise": frozenset({Kind.INT, Kind.STR, Kind.BYTES}),
    "truncate": frozenset({Kind.STR, Kind.BYTES}),
    "generalise": NUMBERS | {Kind.DATE, Kind.DATETIME, Kind.TIME},
}
_DAYS: Final = ("year", "quarter", "month", "week")
UNITS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.DATE: _DAYS,
    Kind.DATETIME: (*_DAYS, "day", "hour", "minute"),
    Kind.TIME: ("hour", "minute"),
}
KEYED: Final = frozenset({"hash", "tokenise"})
REDACTED: Final = "***"
TOKEN_PREFIX: Final = "tok_"  # noqa: S105 - a token stands for a value, it opens nothing
FIRST_MAX: Final = 1_000_000  # characters that truncate leaves: more than this hides nothing
_CALL: Final = re.compile(r"\s*([a-z_]+)\s*(?:\(\s*(.*?)\s*\))?\s*", re.DOTALL)
_SPELT: Final = {"tokenize": "tokenise", "generalize": "generalise"}


class Mask(msgspec.Struct, frozen=True):
    """A mask that has been read. `first` is truncate's, `width` (in the form of specs) or `unit` generalise's."""

    name: str
    first: int = 0
    width: int | float | str | bool | None = None
    unit: str = ""

    @property
    def is_keyed(self) -> bool:
        return self.name in KEYED

    def __str__(self) -> str:
        match self.name:
            case "truncate":
                return f"truncate({self.first})"
            case "generalise":
                return f"generalise({self.unit or self.width})"
            case _:
                return self.name


class BadMask(ValueError):
    """The text is no mask, or none of that kind; `hint` says how to mend it."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


def read_mask(text: str, kind: Kind) -> Mask:
    """Return what a mask's text means for a kind. Raises BadMask."""
    match = _CALL.fullmatch(text)
    name = _SPELT.get(match[1], match[1]) if match else ""
    if match is None or name not in KINDS_OF:
        hint = near_or_all(name or text, KINDS_OF)
        raise BadMask(f"mask {text!r} is not known", hint)
    if kind not in KINDS_OF[name]:
        fitting = [one for one, kinds in KINDS_OF.items() if kind in kinds]
        raise BadMask(
            f"mask {name} is none for {article(kind)}", f"it may have {', '.join(fitting)}"
        )
    argument = _unquoted(match[2])
    if name == "truncate":
        return Mask(name, first=_first(argument))
    if name == "generalise":
        return _generalise(argument, kind)
    if argument is not None:
        raise BadMask(f"mask {name} takes nothing in brackets", f"write {name}")
    return Mask(name)


def _unquoted(argument: str | None) -> str | None:
    if argument and len(argument) > 1 and argument[0] == argument[-1] and argument[0] in "'\"":
        return argument[1:-1]
    return argument


def _first(argument: str | None) -> int:
    if argument is None or not re.fullmatch(r"[0-9]{1,7}", argument):
        raise BadMask("mask truncate says how many characters it leaves", "write truncate(4)")
    if int(argument) > FIRST_MAX:
        raise BadMask(f"truncate({argument}) leaves more than {FIRST_MAX:,} characters")
    return int(argument)


def _generalise(argument: str | None, kind: Kind) -> Mask:
    if kind in UNITS:
        if argument not in UNITS[kind]:
            raise BadMask(
                f"mask generalise of {article(kind)} says to what: {', '.join(UNITS[kind])}",
                f"write generalise({UNITS[kind][0]})",
            )
        return Mask("generalise", unit=argument)
    width = _width(argument or "", kind)
    if width is None:
        example = 10 if kind is Kind.INT else 2.5
        text = f"mask generalise of {article(kind)} says the width of its buckets, a number above 0"
        raise BadMask(text, f"write generalise({example})")
    return Mask("generalise", width=width)


def _width(argument: str, kind: Kind) -> int | float | str | bool | None:
    """Return a width above nothing in the form that specs keep."""
    if not re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,18})?", argument) or not Decimal(argument):
        return None
    if kind is Kind.INT:
        return int(argument) if argument.isdigit() else None
    return scalar(kind, Decimal(argument) if kind is Kind.DECIMAL else float(argument))


def masked_field(field: FieldSpec) -> FieldSpec:
    """Return what the field is behind its mask: without the rules that a masked value need not keep. Without a mask it is itself."""
    if not field.mask:
        return field
    mask = read_mask(field.mask, field.kind)
    kind = field.kind
    if mask.name == "hash" and kind is not Kind.BYTES:
        kind = Kind.STR
    digits, scale = _digits(field, mask) if kind is Kind.DECIMAL else (None, None)
    return FieldSpec(
        field.name,
        kind,
        nullable=field.nullable or (mask.name == "redact" and kind is not Kind.STR),
        digits=digits,
        scale=scale,
        allow_inf_nan=field.allow_inf_nan and kind is Kind.FLOAT,
        unit=field.unit if kind is field.kind else "",
        description=field.description,
        tags=field.tags,
        fields=field.fields,
        items=field.items,
        lineage=field.lineage,
    )


def _digits(field: FieldSpec, mask: Mask) -> tuple[int | None, int | None]:
    """Return what a masked decimal needs: a bucket may begin outside the field's digits, and between its steps."""
    if mask.name != "generalise":
        return field.digits, field.scale
    exponent = Decimal(str(mask.width)).as_tuple().exponent
    assert isinstance(exponent, int), "a width is a finite number"
    own = SCALE_DEFAULT if field.scale is None else field.scale
    return DIGITS_MAX, max(own, -exponent)


def width_of(mask: Mask, kind: Kind) -> Decimal | float | int:
    """Return a bucket's width as the Python value that it stands for."""
    assert mask.width is not None
    width: Decimal | float | int = comparable(kind, mask.width)
    return width
