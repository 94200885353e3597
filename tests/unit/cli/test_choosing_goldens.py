"""Which tests `-k` means."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.cli.rehearsing import chosen
from runink.errors import Invalid
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.projects import Compiled
from runink.testing.projects import MemoryProject, compile_text

TEXT = """
Feature: F
@module(layer="silver", owner="Ann")
Scenario: Take in
@source("csv://a.csv")
@sink("csv://out/a.csv")
@golden("golden/a.csv")
@module(layer="gold")
Scenario: Delays of airlines
@source("csv://b.csv")
@sink("csv://out/b.csv")
@golden("golden/b.csv")
@golden("golden/c.csv")
"""


def kept(wish: str) -> list[str]:
    dag = compile_text(TEXT, project=MemoryProject(), file="features/f.dsl").dag
    found = chosen([Compiled(dag, Path("/p"), HerdRecord(HerdName("h")), ())], wish)
    return [golden.path[-5] for one in found for golden in one.dag.goldens]


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        ("", "abc"),
        ("  ", "abc"),
        ("f.dsl", "abc"),
        ("golden/b", "b"),
        ("DELAYS", "bc"),
        ("layer=gold", "bc"),
        ("owner=ann", "a"),
        ("layer=go", ""),
        ("not layer=gold", "a"),
        ("gold and not c.csv", "ab"),
        ("a.csv or c.csv", "ac"),
        ("delays and b.csv or take", "ab"),
        ("nothing", ""),
    ],
)
def test_words_are_of_the_name_the_title_or_the_tags(wish: str, names: str) -> None:
    assert "".join(kept(wish)) == names


@pytest.mark.parametrize("wish", ["a or", "and", "not", "a b", "not not a", "or a"])
def test_a_wish_that_is_none_says_how_one_looks(wish: str) -> None:
    with pytest.raises(Invalid) as caught:
        kept(wish)
    assert caught.value.code == "wish_invalid"
