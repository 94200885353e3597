"""What fields mean, by their format, the kind of personal data in them, and their names; and values of that meaning, made by Faker.

The last words of a name count: `billing_email` is an e-mail address, `product_name` is no person's.  Values that the field does not take are left out;
if none is left, the field has no known meaning, and gets plain words.  Each field has a seed of its own, so a new field changes no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_type
from runink.contracts.plan import compile_plan
from runink.contracts.synthesis_texts import Words

POOL: Final = 1_000  # values made for a field; Faker makes about 30,000 a second
LATIN: Final = "en_US"

# A meaning, and the method of Faker that makes it.
_TEXTS: Final = {
    "account": "bban",
    "address": "street_address",
    "agent": "user_agent",
    "bban": "bban",
    "bic": "swift",
    "carrier": "company",
    "city": "city",
    "color": "color_name",
    "colour": "color_name",
    "comment": "sentence",
    "company": "company",
    "country": "country",
    "country_code": "country_code",
    "card": "credit_card_number",
    "card_number": "credit_card_number",
    "currency": "currency_code",
    "customer": "name",
    "customer_name": "name",
    "description": "sentence",
    "domain": "domain_name",
    "e164": "msisdn",
    "email": "email",
    "employer": "company",
    "ean": "ean13",
    "family_name": "last_name",
    "file": "file_name",
    "file_name": "file_name",
    "filename": "file_name",
    "first_name": "first_name",
    "firstname": "first_name",
    "full_name": "name",
    "given_name": "first_name",
    "host": "hostname",
    "hostname": "hostname",
    "iban": "iban",
    "ip": "ipv4",
    "ip_address": "ipv4",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "iso-country": "country_code",
    "iso-currency": "currency_code",
    "iso-language": "language_code",
    "isbn": "isbn13",
    "job": "job",
    "language": "language_code",
    "last_name": "last_name",
    "lastname": "last_name",
    "license_plate": "license_plate",
    "locale": "locale",
    "login": "user_name",
    "mac": "mac_address",
    "mime_type": "mime_type",
    "name": "name",
    "national_id": "ssn",
    "note": "sentence",
    "organisation": "company",
    "organization": "company",
    "person": "name",
    "phone": "phone_number",
    "phone_number": "phone_number",
    "postal_code": "postcode",
    "postcode": "postcode",
    "profession": "job",
    "ssn": "ssn",
    "state": "state",
    "street": "street_address",
    "subject": "sentence",
    "summary": "sentence",
    "surname": "last_name",
    "swift": "swift",
    "telephone": "phone_number",
    "text": "sentence",
    "timezone": "timezone",
    "title": "sentence",
    "uri": "uri",
    "url": "url",
    "user": "user_name",
    "user_agent": "user_agent",
    "username": "user_name",
    "uuid": "uuid4",
    "website": "url",
    "word": "word",
    "zip": "postcode",
    "zip_code": "postcode",
}
# Of single words, those that mean something only as the whole name: `name` is a person's, `product_name` is not.
_WHOLE: Final = frozenset({"account", "address", "card", "carrier", "file", "name", "state", "text", "title", "user", "word"})  # fmt: skip
_FLOATS: Final = {"lat": (-90.0, 90.0), "latitude": (-90.0, 90.0), "lon": (-180.0, 180.0), "lng": (-180.0, 180.0), "longitude": (-180.0, 180.0)}  # fmt: skip
_INTS: Final = {"age": (18, 90), "year": (1990, 2030), "month": (1, 12), "day": (1, 28), "hour": (0, 23), "minute": (0, 59), "quantity": (1, 20), "count": (0, 500), "percent": (0, 100)}  # fmt: skip


def faker_words(spec: ContractSpec, seed: int) -> Words:
    """Return what gives a field values that look real, or none. Raises ImportError without Faker."""
    from faker import Faker  # noqa: PLC0415 - 0.2 s, and not everybody has it

    faker = Faker(LATIN, use_weighting=False)  # making one takes milliseconds
    made: dict[str, Sequence[Any]] = {}

    def words(field: FieldSpec) -> Sequence[Any]:
        # Fields of one name in different records have different rules.
        key = msgspec.json.encode(field, order="sorted").decode()
        if key not in made:
            faker.seed_instance(f"{seed} {field.name}")
            made[key] = _taken(spec, field, _values(faker, field))
        return made[key]

    return words


def _values(faker: Any, field: FieldSpec) -> list[Any]:
    """Return values of what the field means, the same ones left out."""
    match field.kind:
        case Kind.STR:
            meaning = meaning_of(field)
            make = getattr(faker, _TEXTS[meaning]) if meaning else None
        case Kind.FLOAT:
            make = _numbers(faker, _FLOATS.get(_last(field)), 4)
        case Kind.INT:
            make = _numbers(faker, _INTS.get(_last(field)), 0)
        case _:
            make = None
    return [] if make is None else list(dict.fromkeys(make() for _ in range(POOL)))


def _numbers(
    faker: Any, ends: tuple[float, float] | None, digits: int
) -> Callable[[], float] | None:
    if ends is None:
        return None
    low, high = ends
    if digits:
        return lambda: round(low + faker.random.random() * (high - low), digits)
    return lambda: faker.random.randint(int(low), int(high))


def meaning_of(field: FieldSpec) -> str:
    """Return what a text field means, or nothing: by its format, else its personal data, else the last words of its name."""
    for said in (field.format, field.pii.lower()):
        if said in _TEXTS:
            return said
    words = _split(field.name)
    for count in (3, 2, 1):
        if len(words) < count:
            continue
        end = "_".join(words[-count:])
        if end in _TEXTS and (count > 1 or len(words) == 1 or end not in _WHOLE):
            return end
    return ""


def _split(name: str) -> list[str]:
    """Return the words of a name: `billingEmail` and `billing-email` are two."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]


def _last(field: FieldSpec) -> str:
    return (_split(field.name) or [""])[-1]


def _taken(spec: ContractSpec, field: FieldSpec, values: list[Any]) -> list[Any]:
    """Return those values that the field takes."""
    if not values:
        return []
    alone = msgspec.structs.replace(spec, fields=(field,), key=(), rules=())
    kind = pa.int64() if field.kind is Kind.INT else physical_type(field)
    batch = pa.record_batch([pa.array(values, kind)], names=[field.name])
    found: list[Any] = compile_plan(alone).check(batch).good.column(0).to_pylist()
    return found
