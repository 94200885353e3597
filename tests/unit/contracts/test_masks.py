"""Masks: what each leaves of a value, and that a column behind one is of the type that its field then has."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.masking import masked
from runink.contracts.masks import KINDS_OF, UNITS, masked_field
from runink.contracts.physical import physical_type
from runink.errors import Refused

KEY, OTHER = b"k" * 32, b"o" * 32


def behind(mask, values, kind, key=KEY, **rules):
    """Return a column of values behind a mask; its type must be the masked field's."""
    field = FieldSpec("x", kind, mask=mask, **rules)
    column = masked(pa.array(values, physical_type(field)), field, key)
    assert column.type == physical_type(masked_field(field))
    column.validate(full=True)
    return column.to_pylist()


def test_redacted_text_is_stars_and_all_else_nothing():
    assert behind("redact", ["ann", None, ""], Kind.STR) == ["***", None, "***"]
    assert behind("redact", [1, None], Kind.INT) == [None, None]
    inner = (FieldSpec("a", Kind.INT),)
    assert behind("redact", [{"a": 1}], Kind.RECORD, fields=inner) == [None]
    assert behind("redact", [[1]], Kind.LIST, items=inner[0]) == [None]


def test_a_hash_is_hmac_sha256_of_the_text_under_the_key():
    digest = hmac.digest(KEY, b"runink.hash\0ann", hashlib.sha256)
    assert behind("hash", ["ann", None, "ann"], Kind.STR) == [digest.hex(), None, digest.hex()]
    assert behind("hash", [b"ann"], Kind.BYTES) == [digest]
    assert behind("hash", ["ann"], Kind.STR, OTHER) != [digest.hex()]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (12, Kind.INT, b"12"),
        (1.5, Kind.FLOAT, b"1.5"),
        (-0.0, Kind.FLOAT, b"0.0"),
        (True, Kind.BOOL, b"true"),
        (Decimal("1.50"), Kind.DECIMAL, b"1.5"),
        (Decimal(0), Kind.DECIMAL, b"0"),
        (date(2013, 1, 31), Kind.DATE, b"2013-01-31"),
        (time(10), Kind.TIME, b"10:00:00.000000"),
        (datetime(2013, 1, 31, 10, tzinfo=UTC), Kind.DATETIME, b"2013-01-31T10:00:00.000000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), Kind.DATETIME, b"0001-01-01T00:00:00.000000Z"),
    ],
)
def test_what_is_hashed_of_each_kind_never_changes(value, kind, text):
    digest = hmac.digest(KEY, b"runink.hash\0" + text, hashlib.sha256)
    assert behind("hash", [value], kind) == [digest.hex()]


def test_a_token_keeps_the_kind_and_joins_under_one_key():
    (token,) = behind("tokenise", ["ann"], Kind.STR)
    assert token.startswith("tok_")
    assert len(token) == 28
    assert behind("tokenise", ["ann"], Kind.STR) == [token]
    assert behind("tokenise", ["bob", "ann"], Kind.STR, OTHER)[1] != token
    numbers = behind("tokenise", [1, 2, None, 1], Kind.INT, ge=0, le=10)
    assert numbers[0] == numbers[3] != numbers[1]
    assert numbers[2] is None
    assert len(behind("tokenise", [b"a"], Kind.BYTES)[0]) == 12


@pytest.mark.parametrize("mask", ["hash", "tokenise"])
def test_a_keyed_mask_is_refused_without_a_key(mask):
    for key in (b"", b"short"):
        with pytest.raises(Refused, match="needs a key"):
            behind(mask, ["a"], Kind.STR, key)


def test_the_first_characters_are_left():
    assert behind("truncate(2)", ["äöü", "a", None], Kind.STR) == ["äö", "a", None]
    assert behind("truncate(0)", ["abc"], Kind.STR) == [""]
    assert behind("truncate(2)", [b"abc"], Kind.BYTES) == [b"ab"]


def test_numbers_fall_into_buckets():
    assert behind("generalise(10)", [0, 9, 10, -1, None], Kind.INT) == [0, 0, 10, -10, None]
    assert behind("generalise(100)", [-128], Kind.INT, ge=-128, le=127) == [-200]
    assert behind("generalise(10)", [-(2**63)], Kind.INT) == [None], (
        "it would begin before them all"
    )
    assert behind("generalise(2.5)", [4.9, -0.1, None], Kind.FLOAT) == [2.5, -2.5, None]
    wide = behind("generalise(1000)", [Decimal("-999.99"), Decimal("1.5")], Kind.DECIMAL, digits=5, scale=2)  # fmt: skip
    assert wide == [Decimal(-1000), Decimal(0)]
    assert behind("generalise(0.005)", [Decimal("0.12")], Kind.DECIMAL, digits=5, scale=2) == [Decimal("0.12")]  # fmt: skip


def test_days_and_times_fall_to_where_their_unit_begins():
    day = date(2013, 5, 15)
    for unit, begin in {
        "year": (1, 1),
        "quarter": (4, 1),
        "month": (5, 1),
        "week": (5, 13),
    }.items():
        assert behind(f"generalise({unit})", [day], Kind.DATE) == [date(2013, *begin)]
    at = datetime(2013, 5, 15, 10, 30, 15, tzinfo=UTC)
    assert behind("generalise(hour)", [at], Kind.DATETIME) == [at.replace(minute=0, second=0)]
    assert behind("generalise(day)", [at], Kind.DATETIME) == [datetime(2013, 5, 15, tzinfo=UTC)]
    assert behind("generalise(minute)", [time(10, 30, 15, 5)], Kind.TIME) == [time(10, 30)]
    assert behind("generalise(year)", [date(1, 2, 3), date(9999, 12, 31)], Kind.DATE) == [date(1, 1, 1), date(9999, 1, 1)]  # fmt: skip


SAMPLES = {
    Kind.INT: st.integers(-(2**63), 2**63 - 1), Kind.FLOAT: st.floats(), Kind.BOOL: st.booleans(), Kind.STR: st.text(), Kind.BYTES: st.binary(),
    Kind.DATE: st.dates(), Kind.DATETIME: st.datetimes(timezones=st.just(UTC)), Kind.TIME: st.times(),
    Kind.DECIMAL: st.decimals(-(10**28), 10**28, places=9),
}  # fmt: skip


@given(data=st.data())
def test_every_mask_takes_every_value_of_its_kinds_and_keeps_nothing_nothing(data):
    name = data.draw(st.sampled_from(sorted(KINDS_OF)))
    kind = data.draw(st.sampled_from([kind for kind in SAMPLES if kind in KINDS_OF[name]]))
    argument = {"truncate": "(3)", "generalise": "(7)"}.get(name, "")
    if name == "generalise" and kind in UNITS:
        argument = f"({data.draw(st.sampled_from(UNITS[kind]))})"
    values = data.draw(st.lists(st.none() | SAMPLES[kind], max_size=5))
    left = behind(name + argument, values, kind)
    assert len(left) == len(values)
    assert all(one is None for one, value in zip(left, values, strict=True) if value is None)
    assert behind(name + argument, values[::-1], kind) == left[::-1] or "nan" in str(left)
