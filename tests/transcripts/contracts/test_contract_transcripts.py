"""Documents of contracts, and what a person reads of them: the class that they mean with what is not enforced, or all mistakes.

A script is a text file; sections begin with `===`:

    === file NAME[:CONTRACT]   the document, and which of its contracts
    === told                   what must come out

    RUNINK_REWRITE=1 pytest tests/transcripts/contracts    accepts what comes out now
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runink.contracts.document_text import read_document
from runink.contracts.source import python_source
from runink.dsl.diagnostics import rendered
from runink.errors import Invalid, NotFound

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


def told(text: str, reference: str) -> str:
    file, _, name = reference.partition(":")
    try:
        found = read_document(text, file=file, name=name)
    except Invalid as error:
        return f"{error.text}\n\n{rendered(error.findings)}".rstrip()
    except NotFound as error:
        return f"{error.text}\n  = help: {error.hint}"
    notes = [
        f"note: {file}:{one.span.line if one.span else 0}: {one.text}\n" for one in found.notes
    ]
    return "".join([*notes, python_source(found.spec)]).rstrip()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_document_gives_what_its_script_says(path: Path) -> None:
    parts = path.read_text().split("=== ")[1:]
    told_now = []
    for part in parts:
        title, _, body = part.partition("\n")
        kind, _, reference = title.partition(" ")
        if kind == "file":
            told_now += [f"=== {part.rstrip()}\n", f"=== told\n{told(body, reference)}\n"]
    whole = "\n".join(told_now)
    if os.environ.get("RUNINK_REWRITE"):
        path.write_text(whole)
    assert path.read_text() == whole
