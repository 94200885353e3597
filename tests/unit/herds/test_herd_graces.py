"""The longest grace that a herd's steps have."""

from __future__ import annotations

import pytest
from runink.errors import Invalid
from runink.herds.file import read_herd
from runink.wants import GRACE_MS_MAX


def most_ms(line: str) -> int:
    text = f'[herd]\nid = "crm"\n[quotas]\n{line}\n'
    return read_herd(text, file="herds/crm.toml").grace_max_ms


@pytest.mark.parametrize(
    ("line", "expected_ms"),
    [("", GRACE_MS_MAX), ('grace = "1m"', 60_000), ('grace = "0"', 0), ("grace = 0", 0)],
)
def test_it_is_what_anybody_may_ask_for_unless_the_file_says_less(
    line: str, expected_ms: int
) -> None:
    assert most_ms(line) == expected_ms


@pytest.mark.parametrize("said", ["long", "11m"])
def test_what_is_no_grace_is_told(said: str) -> None:
    with pytest.raises(Invalid) as caught:
        most_ms(f'grace = "{said}"')
    assert "grace" in caught.value.findings[0].text
