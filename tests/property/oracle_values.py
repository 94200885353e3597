"""What a single value is taken for under each policy, written down a second time and knowing nothing of the first."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any

from oracle_texts import DIGITS, only
from runink.contracts.fields import Coercion, FieldSpec, Kind

NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
BLANKS = " \t\r\n\f\v"


class Bad(Exception):
    """The value is not of the kind; the text is the rule."""


def of_json(text: str, kind: type) -> Any:
    """Return what a JSON text holds, one level deep: strings as they are, nothing as nothing, all else as the text that stands there."""
    opening, closing = "{}" if kind is dict else "[]"
    try:
        json.loads(text, parse_int=str, parse_constant=_no_constant)
        bare = text.strip(" \t\r\n")
        if bare[0] != opening:
            raise Bad("type")
        found = list(_members(bare, closing, named=kind is dict))
    except (ValueError, RecursionError):
        raise Bad("type") from None
    return dict(found) if kind is dict else [value for _, value in found]


def _members(text: str, closing: str, *, named: bool):
    """Yield the names (or nothing) and the values of an object or a list that is known to be one."""
    decoder, at = json.JSONDecoder(parse_int=str, parse_float=str), 1

    def skip(at: int) -> int:
        while text[at] in " \t\r\n,:":
            at += 1
        return at

    while text[at := skip(at)] != closing:
        name = None
        if named:
            name, at = decoder.raw_decode(text, at)
            at = skip(at)
        value, end = decoder.raw_decode(text, at)
        yield name, value if value is None or text[at] == '"' else text[at:end]
        at = end


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def taken_for(value: Any, field: FieldSpec, policy: Coercion) -> Any:
    if isinstance(value, (dict, list)):
        raise Bad("type")
    if policy is Coercion.STRICT:
        check_strict(value, field.kind)
    lenient = policy is Coercion.LENIENT
    if isinstance(value, str) and field.kind not in (Kind.STR, Kind.BYTES):
        value = value.strip(BLANKS)
    number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    if lenient and isinstance(value, bool) and field.kind in (Kind.INT, Kind.FLOAT, Kind.DECIMAL):
        value, number = int(value), True
    if lenient and isinstance(value, str) and field.kind in (Kind.INT, Kind.FLOAT, Kind.DECIMAL):
        value = ungrouped(value)
    match field.kind:
        case Kind.INT:
            return an_int(value, number, lenient)
        case Kind.FLOAT:
            return a_float(value, number, lenient)
        case Kind.BOOL:
            return a_bool(value, number, lenient)
        case Kind.STR:
            return a_text(value, lenient)
        case Kind.BYTES:
            if isinstance(value, (bytes, str)):
                return value.encode() if isinstance(value, str) else value
        case Kind.DECIMAL:
            places = 9 if field.scale is None else field.scale
            return a_decimal(value, number, field.digits or 38, places, lenient)
        case Kind.DATETIME:
            return an_instant(value, lenient)
        case Kind.DATE:
            if isinstance(value, date) and not isinstance(value, datetime):
                return value
            instant = an_instant(value, lenient=True)
            if lenient or (instant.time() == time(0) and not hidden_fraction(value)):
                return instant.date()
        case Kind.TIME:
            return a_time(value, lenient)
    raise Bad("type")


KINDS = {
    Kind.INT: int, Kind.FLOAT: float, Kind.BOOL: bool, Kind.STR: str, Kind.BYTES: (bytes, str), Kind.DATE: date,
    Kind.DATETIME: datetime, Kind.TIME: time, Kind.DECIMAL: Decimal,
}  # fmt: skip


def check_strict(value: Any, kind: Kind) -> None:
    """Raise Bad for what is neither a value of the kind nor the canonical text of one."""
    if isinstance(value, str) and kind not in (Kind.STR, Kind.BYTES):
        if not canonical(value, kind):
            raise Bad("type")
        return
    is_one = isinstance(value, KINDS[kind])
    if kind is Kind.INT and isinstance(value, bool):
        is_one = False
    if kind is Kind.DATE and isinstance(value, datetime):
        is_one = False
    if kind is Kind.DATETIME and is_one and value.tzinfo is None:
        is_one = False
    if not is_one:
        raise Bad("type")


def canonical(text: str, kind: Kind) -> bool:
    match kind:
        case Kind.BOOL:
            return text in ("true", "false")
        case Kind.INT:
            digits = text.removeprefix("-")
            return only(DIGITS, 1)(digits) and (digits[0] != "0" or text == "0")
        case Kind.FLOAT | Kind.DECIMAL:
            if kind is Kind.FLOAT and text in ("nan", "inf", "-inf"):
                return True
            mark = "e" in text.lower() and kind is Kind.DECIMAL
            try:
                json.loads(text, parse_int=str, parse_constant=_no_constant)
            except ValueError:
                return False
            return not mark and text[:1] in "-0123456789" and text[-1:] in DIGITS
        case Kind.DATE:
            return re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) is not None
        case Kind.TIME:
            return re.fullmatch(r"\d\d:\d\d:\d\d(\.\d{1,6})?", text, re.ASCII) is not None
        case _:
            form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)"
            return re.fullmatch(form, text, re.ASCII) is not None


def ungrouped(text: str) -> str:
    groups = text.lstrip("+-").partition(".")[0].split(",")
    sign_ok = len(text) - len(text.lstrip("+-")) <= 1
    rest = text.partition(".")[2]
    is_grouped = (
        len(groups) > 1
        and sign_ok
        and 1 <= len(groups[0]) <= 3
        and all(len(group) == 3 for group in groups[1:])
        and all(only(DIGITS)(group) for group in groups)
        and only(DIGITS)(rest)
    )
    return text.replace(",", "") if is_grouped else text


def an_int(value, number, lenient):
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?\d+(\.0*)?", value, re.ASCII):
            value, number = int(value.partition(".")[0]), True
        elif lenient and re.fullmatch(NUMBER, value, re.ASCII):
            exact = Decimal(value) if abs(exponent_of(value)) < 9000 else None
            if exact is None:
                value = 0 if exponent_of(value) < 0 or is_zero(value) else 2**99
            else:
                value = math.trunc(Fraction(exact))
            number = True
    if not number or abs(value) == math.inf or str(value) in ("nan", "NaN"):
        raise Bad("type")
    if value != int(value) and not lenient:
        raise Bad("type")
    if not -(2**63) <= int(value) < 2**63:
        raise Bad("overflow")
    return int(value)


def exponent_of(text: str) -> int:
    return int(re.split("[eE]", text)[1]) if re.search("[eE]", text) else 0


def is_zero(text: str) -> bool:
    return not any(one in "123456789" for one in re.split("[eE]", text)[0])


def a_float(value, number, lenient):
    if isinstance(value, str):
        if not re.fullmatch(NUMBER + r"|[+-]?(nan|inf|infinity)", value, re.ASCII | re.IGNORECASE):
            raise Bad("type")
        return float(value)
    if not number:
        raise Bad("type")
    if isinstance(value, int) and int(float(value)) != value and not lenient:
        raise Bad("precision")
    return float(value)


def a_bool(value, number, lenient):
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        yes = ("true", "t", "yes", "y", "on", "1") if lenient else ("true",)
        no = ("false", "f", "no", "n", "off", "0") if lenient else ("false",)
        if value.lower() in (*yes, *no):
            return value.lower() in yes
    elif lenient and number and value in (0, 1):
        return value == 1
    raise Bad("type")


def a_text(value, lenient):
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Bad("type") from None
    if not lenient:
        raise Bad("type")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    if isinstance(value, (date, time)):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)


def a_decimal(value, number, digits, scale, lenient):
    text = repr(value) if isinstance(value, float) else str(value)
    if not (number or isinstance(value, str)) or not re.fullmatch(NUMBER, text, re.ASCII):
        raise Bad("type")
    exact = Decimal(text)
    if abs(Fraction(exact)) >= 10 ** (digits - scale):
        raise Bad("digits")
    if (Fraction(exact) * 10**scale).denominator != 1:
        if not lenient:
            raise Bad("scale")
        context = Context(prec=100_000, rounding=ROUND_HALF_EVEN)
        exact = exact.quantize(Decimal(f"1e-{scale}"), context=context)
        if abs(Fraction(exact)) >= 10 ** (digits - scale):
            raise Bad("digits")
    return exact


def a_time(value, lenient):
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.fullmatch(
        r"\d\d:\d\d(:\d\d(\.\d+)?)?", value, re.ASCII
    ):
        raise Bad("type")
    try:
        moment = time.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
    except ValueError:
        raise Bad("type") from None
    if not lenient and hidden_fraction(value):
        raise Bad("precision")
    return moment


def hidden_fraction(value: Any) -> bool:
    """Say whether a text has digits behind the microsecond that are not 0."""
    found = re.search(r"\.(\d+)", value) if isinstance(value, str) else None
    return found is not None and found[1][6:].strip("0") != ""


def an_instant(value, lenient) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    form = r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?(Z|[+-]\d\d(?::?\d\d)?)?)?"
    match = re.fullmatch(form, value, re.ASCII) if isinstance(value, str) else None
    if not match:
        raise Bad("type")
    day, hour, minute, second, fraction, zone = match.groups(default="")
    clock = f"{hour or '00'}:{minute or '00'}:{second or '00'}.{fraction[:6].ljust(6, '0')}"
    if zone not in ("", "Z"):
        digits = zone[1:].replace(":", "")
        zone = f"{zone[0]}{digits[:2]}:{digits[2:] or '00'}"
        if int(zone[4:]) > 59 or int(zone[1:3]) > 23:
            raise Bad("type")
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}{zone or 'Z'}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise Bad("type") from None
    if not lenient and hidden_fraction(value):
        raise Bad("precision")
    return instant
