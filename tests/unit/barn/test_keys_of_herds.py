"""Every kind of key that a herd has is known to who purges herds: a new one that is not fails here."""

from __future__ import annotations

import re

import pytest
from runink.barn import keys
from runink.barn.keys import OF_HERD, OWN_ROOTS, Keys

KINDS = {one.root: one for one in vars(keys).values() if isinstance(one, Keys)}
ROWS = dict(re.findall(r"^    /([\w-]+)/(\S+) ", keys.__doc__ or "", re.MULTILINE))


def test_each_kind_of_key_has_its_row_in_the_table_with_as_many_parts() -> None:
    assert {root: parts.count("/") + 1 for root, parts in ROWS.items()} == {
        root: kind.parts for root, kind in KINDS.items()
    }
    assert KINDS.keys() <= set(OWN_ROOTS)


def test_whatever_begins_with_a_herds_name_is_taken_away_with_it() -> None:
    begins = {root for root, parts in ROWS.items() if parts.split("/")[0] == "H"}
    assert begins - {keys.HERDS.root} == {one.root for one in OF_HERD}
    assert keys.HERDS not in OF_HERD, "its own record goes last"


@pytest.mark.parametrize("root", [root for root, parts in ROWS.items() if "H" in parts.split("/")])
def test_a_herds_name_is_the_first_part_of_its_keys(root: str) -> None:
    assert ROWS[root].split("/")[0] == "H"
