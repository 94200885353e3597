"""docs/security.md names the test that shows each of its lines: every one is there, and none of the escape tests is forgotten."""

from __future__ import annotations

import re

from house_files import files

PAGE = "docs/security.md"
DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def defined(prefix: str) -> set[str]:
    return {
        name
        for file in files()
        if file.path.startswith(prefix)
        for name in DEFINED.findall(file.text)
    }


def named() -> set[str]:
    (page,) = [file.text for file in files() if file.path == PAGE]
    return set(re.findall(r"`(test_\w+)`", page))


def test_every_test_that_the_page_names_is_there() -> None:
    assert not named() - defined("tests/cluster/")


def test_every_escape_test_is_named() -> None:
    # Two only show that the probes beside them work.
    forgotten = defined("tests/cluster/test_escape") - named()
    assert forgotten == {
        "test_of_the_machine_most_can_be_told_here",
        "test_a_plain_process_does_most_of_what_slices_are_refused",
    }
