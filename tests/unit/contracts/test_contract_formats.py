"""Named forms of text: each takes its example, and agrees with the library that knows the form."""

from __future__ import annotations

import ipaddress
import re
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.contracts import formats
from runink.contracts.formats import EXAMPLES, FORMATS


def takes(name, text):
    """Say whether a form takes a text, by RE2 and by Python alike."""
    pattern = FORMATS[name]
    by_arrow = pc.match_substring_regex(pa.array([text]), rf"\A(?:{pattern})\z")[0].as_py()
    assert (re.fullmatch(pattern, text) is not None) == by_arrow
    return by_arrow


@pytest.mark.parametrize("name", FORMATS)
def test_each_form_takes_its_example_and_nothing_around_it(name):
    assert takes(name, EXAMPLES[name])
    assert not takes(name, EXAMPLES[name] + "\n")
    assert not takes(name, " " + EXAMPLES[name])


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("email", ["ann", "@b.c", "a@", "a@-b.c", "a b@c.d", "a@b..c"]),
        ("uuid", ["123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g", ""]),
        ("uri", ["example.com", "//a", "http://a b", "http://a#b#c", "%:x", "a:%zz"]),
        ("hostname", ["-a", "a-", "a..b", ".a", "a_b", "a" * 64]),
        ("time", ["10:00:00", "24:00:00Z", "10:60:00Z", "10:00Z", "10:00:00+25:00"]),
        ("date-time", ["2024-02-30T10:00:00Z", "2024-02-29", "2024-02-29T10:00:00"]),
        ("duration", ["P", "PT", "1D", "P1", "P1S", "P1W2D", "P1Y2W"]),
        ("iso-country", ["no", "UK", "XX", "NOR"]),
        ("iso-currency", ["nok", "XXX", "NO"]),
        ("iso-language", ["NN", "xx", "nor"]),
        ("e164", ["21212121", "+0123", "+1234567890123456", "+47 21"]),
        ("semver", ["1.2", "01.2.3", "1.2.3-", "1.2.3-01", "v1.2.3"]),
        ("base64", ["aGVsbG8", "a===", "aGV sbG8="]),
    ],
)
def test_what_only_looks_like_it_is_not_taken(name, texts):
    assert [text for text in texts if takes(name, text)] == []


def test_the_lists_of_codes_are_whole():
    counts = [len(set(codes.split())) for codes in (formats.COUNTRIES, formats.LANGUAGES)]
    assert counts == [249, 183]


@given(st.one_of(st.ip_addresses().map(str), st.text("0123456789abcf:.", max_size=20)))
def test_addresses_are_taken_as_ipaddress_takes_them(text):
    for name, parse in (("ipv4", ipaddress.IPv4Address), ("ipv6", ipaddress.IPv6Address)):
        try:
            parse(text)
        except ValueError:
            assert not takes(name, text)
        else:
            assert takes(name, text)


@given(st.one_of(st.dates().map(str), st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]\Z")))
def test_days_are_taken_that_the_calendar_has(text):
    try:
        date.fromisoformat(text)
    except ValueError:
        assert not takes("date", text) or text.startswith("0000-")
    else:
        assert takes("date", text)
