"""What a person should look at in a column: guesses that its rows allow and do not prove, in words that can be pasted into a contract."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.formats import FORMATS
from runink.contracts.plan import compile_plan

CHOICES_MAX: Final = 20  # a longer list of choices is reference data
ROWS_A_CHOICE_MIN: Final = 5  # values that are rarer than this are not a closed list
ROWS_OF_A_KEY_MIN: Final = 10  # in fewer rows anything is unique
CHOICE_CHARACTERS_MAX: Final = 40
_ORDERED: Final = frozenset(
    {Kind.INT, Kind.FLOAT, Kind.DECIMAL, Kind.DATE, Kind.DATETIME, Kind.TIME}
)
_KEYS: Final = frozenset({Kind.INT, Kind.STR, Kind.DECIMAL, Kind.DATETIME})
# What personal data is called, by its kind. The words are matched whole, between underscores or capitals.
_PERSONAL: Final = {
    "email": "email mail email_address",
    "phone": "phone mobile telephone tel fax cell phone_number",
    "name": "first_name last_name full_name surname given_name family_name firstname lastname middle_name customer_name person",
    "address": "address street zip zip_code zipcode postcode postal_code",
    "birth date": "birth birthday birth_date birthdate dob date_of_birth",
    "national id": "ssn social_security national_id passport tax_id sin nin",
    "bank account": "iban bic account_number bank_account",
    "payment card": "card_number credit_card pan cvv card",
    "ip address": "ip ip_address remote_addr client_ip",
    "location": "latitude longitude lat lon lng geolocation",
    "gender": "gender sex",
    "secret": "password passwd secret token api_key",
}
_BY_FORMAT: Final = {"email": "email", "ipv4": "ip address", "ipv6": "ip address"}
_CODES: Final = {"iso-country": "country", "iso-currency": "currency", "iso-language": "language"}


def hints_of(spec: FieldSpec, values: pa.Array) -> tuple[str, ...]:
    """Return what is worth a look, most useful first. `values` is the column with nothing where nothing was said."""
    there = values.drop_null()
    if not len(there):
        return ("no row has a value here: its type is a guess",)
    hints = [_personal(spec), *_of_text(spec, there), _range(spec, there), _key(spec, values)]
    return tuple(hint for hint in hints if hint)


def _personal(spec: FieldSpec) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", spec.name).casefold()
    words = re.sub(r"\W+", "_", snake).strip("_")
    for kind, names in _PERSONAL.items():
        for name in names.split():
            if re.search(rf"(?:^|_){name}(?:_|$)", words):
                return f'personal data by its name? Field(pii="{kind}")'
    kind = _BY_FORMAT.get(spec.format, "")
    return f'personal data by its form? Field(pii="{kind}")' if kind else ""


def choices_of(spec: FieldSpec, values: pa.Array) -> tuple[Any, ...]:
    """Return all values of a column of few, each in many rows; of others nothing."""
    there = values.drop_null()
    if spec.kind is not Kind.STR or spec.format or not pa.types.is_string(there.type):
        return ()
    distinct = pc.unique(there)
    is_few = 0 < len(distinct) <= CHOICES_MAX and len(there) >= ROWS_A_CHOICE_MIN * len(distinct)
    if not is_few or pc.max(pc.utf8_length(distinct)).as_py() > CHOICE_CHARACTERS_MAX:
        return ()
    return tuple(sorted(distinct.to_pylist()))


def _of_text(spec: FieldSpec, there: pa.Array) -> list[str]:
    if spec.kind is not Kind.STR or not pa.types.is_string(there.type) or spec.choices:
        return []
    distinct = pc.unique(there)
    for form, word in _CODES.items():
        if word in spec.name.casefold() and _are(form, distinct):
            return [f'codes of ISO? Field(format="{form}")']
    choices = choices_of(spec, there)
    if choices:
        listed = ", ".join(f'"{one}"' if '"' not in one else repr(one) for one in choices)
        return [f"{len(there):,} rows hold {len(choices)} values: Literal[{one_line(listed)}]"]
    ends = pc.min_max(pc.utf8_length(there)).as_py()
    if ends["min"] == ends["max"] and ends["max"] and len(distinct) > 1:
        return [
            f"always {ends['max']} characters: Field(min_length={ends['min']}, max_length={ends['max']})"
        ]
    return []


def _are(form: str, values: pa.Array) -> bool:
    plan = compile_plan(
        ContractSpec("Form", "1.0.0", (FieldSpec("x", Kind.STR, pattern=FORMATS[form]),))
    )
    return plan.check(pa.record_batch([values], ["x"])).rejected is None


def _range(spec: FieldSpec, there: pa.Array) -> str:
    if spec.kind not in _ORDERED:
        return ""
    bare = FieldSpec("x", spec.kind, digits=spec.digits, scale=spec.scale, allow_inf_nan=True)
    plan = compile_plan(ContractSpec("Range", "1.0.0", (bare,)))
    values = plan.check(pa.record_batch([there], ["x"])).good.column(0)
    ends = pc.min_max(values).as_py()
    if ends["min"] is None:
        return ""
    return (
        f"always {ends['min']}"
        if ends["min"] == ends["max"]
        else f"from {ends['min']} to {ends['max']}"
    )


def _key(spec: FieldSpec, values: pa.Array) -> str:
    """Tell a column that has another value in each row."""
    if spec.kind not in _KEYS or values.null_count or len(values) < ROWS_OF_A_KEY_MIN:
        return ""
    is_unique = pc.count_distinct(values).as_py() == len(values)
    return f'another value in each row: key = ("{one_line(spec.name)}",)?' if is_unique else ""


def one_line(text: str) -> str:
    """Return a text that stays within its comment, whatever the data holds."""
    return "".join(character if character.isprintable() else "�" for character in text)
