"""The pages in docs/security name the test that shows each of their lines, and every one is there."""

from __future__ import annotations

import re

import pytest
from house_files import files
from test_security_page import defined

PAGES = {file.path: file.text for file in files() if file.path.startswith("docs/security/")}


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_of_promises_names_is_there(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGES[page]))
    assert named
    assert not named - defined("tests/")


def test_every_item_of_the_list_has_its_tests() -> None:
    text = PAGES["docs/security/owasp-api-top-10.md"]
    items = re.split(r"^## API(\d+): ", text, flags=re.MULTILINE)[1:]
    assert items[::2] == [str(number) for number in range(1, 11)]
    assert all("`test_" in part for part in items[1::2])
