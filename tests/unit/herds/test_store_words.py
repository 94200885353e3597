"""The store that a herd's file names: which words are taken, and as what."""

from __future__ import annotations

import pytest
from runink.checkpoints import folder_of
from runink.errors import Finding, Invalid
from runink.herds.file import read_herd


def store(line: str) -> str:
    return read_herd(f'[herd]\nid = "crm"\n{line}\n', file="herds/crm.toml").store


def mistake(line: str) -> Finding:
    with pytest.raises(Invalid) as caught:
        store(line)
    (found,) = caught.value.findings
    return found


@pytest.mark.parametrize(
    "said",
    ["/mnt/shared/runink", "/mnt/shared/runink/", "//mnt/./shared/x/../runink"],
)
def test_a_folder_is_taken_by_its_path_and_by_its_uri(said: str) -> None:
    found = {store(f'store = "{scheme}{said}"') for scheme in ("", "file://")}
    assert found == {"file:///mnt/shared/runink"}
    assert folder_of(found.pop()) == "/mnt/shared/runink"


def test_a_herd_has_none_unless_its_file_says_so() -> None:
    assert store("") == ""


@pytest.mark.parametrize("said", ["", "shared", "file://server/share", "/", "file:///", "/mnt/.."])
def test_what_is_no_whole_path_is_told_with_its_line(said: str) -> None:
    found = mistake(f'store = "{said}"')
    assert "is no whole path of a folder" in found.text
    assert found.span is not None
    assert found.span.line == 3


def test_an_object_store_is_told_to_be_none_yet() -> None:
    found = mistake('store = "s3://lake/runink"')
    assert found.text == "a store is a folder that all nodes share, and nothing in s3://"
    assert "object stores keep no checkpoints yet" in found.hint


def test_what_is_no_text_is_told() -> None:
    assert mistake("store = 5").text == "store is text"
