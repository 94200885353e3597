"""What a herd's file says of personal data: masks by field, sinks by pattern, and every slip of it told."""

from __future__ import annotations

import pytest
from runink.clearances import ClearancePolicy, SinkClearance
from runink.errors import Invalid
from runink.herds.file import read_herd

HEAD = '[herd]\nid = "crm"\n'


def policy(text: str) -> ClearancePolicy:
    return read_herd(HEAD + text, file="herds/crm.toml").clearances


def test_a_file_that_says_nothing_clears_no_sink_and_masks_nothing():
    assert policy("") == ClearancePolicy()
    assert policy("").cleared("csv://x") == frozenset()
    assert policy("").mask_of("Trade", "email") == ""


def test_masks_and_clearances_are_read():
    text = """
[masking]
default = "hash"
fields = { email = "truncate(3)", "Trade.name" = "generalise('month')" }
[[clearances]]
sink = "parquet://out/*"
pii = ["email", "name", "email"]
[[clearances]]
sink = "csv://all.csv"
pii = "*"
"""
    found = policy(text)
    assert found == ClearancePolicy(
        "hash",
        {"email": "truncate(3)", "Trade.name": "generalise('month')"},
        (
            SinkClearance("parquet://out/*", ("email", "name")),
            SinkClearance("csv://all.csv", ("*",)),
        ),
    )
    assert found.lacks("parquet://out/a/b.parquet", ("email", "iban")) == ("iban",)
    assert found.lacks("csv://all.csv", ("email", "iban")) == ()
    assert found.lacks("csv://other.csv", ("email",)) == ("email",)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[masking]\ndefault = "keep"', "keep personal data"),
        ('[masking]\ndefault = "hsah"', "no mask hsah"),
        ("[masking]\ndefault = 3", "default is a mask"),
        ('[masking]\nfields = "hash"', "is a table"),
        ('[masking]\nfields = { email = "secret" }', "no mask secret"),
        ('[clearances]\nsink = "x"', "write [[clearances]]"),
        ('[[clearances]]\npii = ["email"]', "names its sinks"),
        ('[[clearances]]\nsink = "x"', "names kinds"),
        ('[[clearances]]\nsink = "x"\npii = [1]', "names kinds"),
        ('[[clearances]]\nsink = "x"\npii = []', "names kinds"),
        ('[[clearances]]\nsnik = "x"\npii = ["a"]', "did you mean sink"),
    ],
)
def test_a_slip_is_told(text, word):
    with pytest.raises(Invalid) as caught:
        policy(text)
    assert any(word in f"{one.text} {one.hint}" for one in caught.value.findings)
