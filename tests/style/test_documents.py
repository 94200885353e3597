"""The documents: what they point to is there, decisions are numbered and listed, fragments of the changelog have a name that says their kind."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from house_files import ROOT, files

LINK = re.compile(r"\]\((?P<target>[^)#\s]+)(#[^)]*)?\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
PARTS = ("## Context", "## Decision", "## Rejected", "## Consequences")


def documents() -> dict[str, str]:
    return {file.path: file.text for file in files() if file.path.endswith(".md")}


def test_links_lead_somewhere() -> None:
    broken = [
        f"{path}: {match['target']}"
        for path, text in documents().items()
        for match in LINK.finditer(FENCE.sub("", text))
        if "://" not in match["target"]
        and not (ROOT / PurePosixPath(path).parent / match["target"]).exists()
    ]
    assert not broken, broken


def test_files_that_contributors_are_sent_to_exist() -> None:
    text = documents()["CONTRIBUTING.md"]
    named = re.findall(r"`((?:docs|runink|tests|scripts)/[\w./-]+)`", text)
    named += [
        f"runink/{name}" for name in re.findall(r"`((?:barn|dsl|actors|clients)/[\w./-]*)`", text)
    ]
    missing = sorted({name for name in named if not (ROOT / name).exists()})
    assert not missing, missing


def test_decisions_are_numbered_whole_and_listed() -> None:
    found = {
        path: text for path, text in documents().items() if path.startswith("docs/decisions/0")
    }
    index = documents()["docs/decisions/README.md"]
    for number, (path, text) in enumerate(sorted(found.items()), start=1):
        name = PurePosixPath(path).name
        assert name.startswith(f"{number:04}-"), path
        assert text.startswith(f"# {number:04} "), path
        assert [line for line in text.splitlines() if line in PARTS] == list(PARTS), path
        title = text.splitlines()[0].removeprefix(f"# {number:04} ")
        assert f"[{number:04}]({name})" in index, path
        assert title.split(",")[0] in index, path


def test_fragments_of_the_changelog_say_their_kind() -> None:
    names = [PurePosixPath(path).name for path in documents() if path.startswith("changelog.d/")]
    wrong = [
        name
        for name in names
        if name != "README.md"
        and not re.fullmatch(r"[\w-]+\.(added|changed|fixed|removed)\.md", name)
    ]
    assert not wrong, wrong
