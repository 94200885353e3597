"""Whom a sink may be for is offered: the roles of the page's herd, and the built-in ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.lsp.completion import completions
from runink.lsp.page import Page
from runink.lsp.project import Offers

HERD = """[herd]
id = "people"

[[roles]]
name = "finance"
fields = ["access:finance", "pii:pay"]

[[roles.rules]]
effect = "deny"
fields = ["pii:email"]
"""
TEXT = '@herd("people")\nFeature: F\nScenario: S\n@sink("csv://x.csv" with "|")\n'
BUILT_IN = [
    "role=viewer",
    "role=operator",
    "role=author",
    "role=steward",
    "role=admin",
    "role=cluster-admin",
]


def offered(text: str, root: Path) -> dict[str, str]:
    at = text.index("|")
    found = completions(Page(text.replace("|", "", 1)), at, Offers(root))
    return {one.label: one.detail for one in found}


def test_the_roles_of_the_herd_are_offered_with_what_they_see(tmp_path: Path) -> None:
    (tmp_path / "herds").mkdir()
    (tmp_path / "herds/people.toml").write_text(HERD)
    found = offered(TEXT, tmp_path)
    assert list(found) == ["role=finance", *BUILT_IN]
    assert found["role=finance"] == "sees access:finance, pii:pay, not pii:email"
    assert found["role=viewer"] == "sees nothing that is marked"


@pytest.mark.parametrize("herd", ["[herd]\nid = 1\n", None])
def test_a_herd_whose_file_is_wrong_or_not_there_has_the_built_in_ones(
    herd: str | None, tmp_path: Path
) -> None:
    if herd is not None:
        (tmp_path / "herds").mkdir()
        (tmp_path / "herds/people.toml").write_text(herd)
    assert list(offered(TEXT, tmp_path)) == BUILT_IN
    assert list(offered(TEXT.replace("people", "no herd"), tmp_path)) == BUILT_IN
