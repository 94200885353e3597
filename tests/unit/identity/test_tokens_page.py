"""docs/internals/tokens.md names each attack under what it is refused for, and tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

from attack_tokens import ATTACKS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/internals/tokens.md").read_text()


def test_every_attack_stands_on_the_page_under_its_fault() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| (.+) \|$", PAGE.partition("## Attacks")[2], re.MULTILINE)
    told = {name: fault for fault, names in rows for name in names.split("; ")}
    del told["attacks"]  # the head of the table
    assert told == {name: fault.value for name, (_, fault) in ATTACKS.items()}


def test_every_test_that_the_page_names_is_there() -> None:
    files = (*ROOT.glob("tests/unit/*/*.py"), *ROOT.glob("tests/property/test_*.py"))
    text = "\n".join(file.read_text() for file in files)
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named
    assert not [name for name in named if f"def {name}(" not in text]
