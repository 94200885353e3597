"""For how long a herd keeps what its failed runs have prepared."""

from __future__ import annotations

import pytest
from runink.checkpoints import KEEP_FAILED_MS
from runink.errors import Invalid
from runink.herds.file import read_herd


def kept_ms(line: str) -> int:
    text = f'[herd]\nid = "crm"\n[quotas]\n{line}\n'
    return read_herd(text, file="herds/crm.toml").keep_failed_ms


@pytest.mark.parametrize(
    ("line", "expected_ms"),
    [
        ("", KEEP_FAILED_MS),
        ('keep_failed = "2h"', 7_200_000),
        ('keep_failed = "0"', 0),
        ("keep_failed = 0", 0),
    ],
)
def test_it_is_a_day_unless_the_file_says_otherwise(line: str, expected_ms: int) -> None:
    assert kept_ms(line) == expected_ms


def test_what_is_no_duration_is_told() -> None:
    with pytest.raises(Invalid) as caught:
        kept_ms('keep_failed = "long"')
    assert "keep_failed" in caught.value.findings[0].text
