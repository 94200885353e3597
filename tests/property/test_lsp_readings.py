"""An editor is told the same of a page that was changed many times as of one that was opened just now."""

from __future__ import annotations

from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from runink.lsp.analysis import Reader, analysed, early
from runink.lsp.project import Offers
from runink.testing.pipeline_texts import SPLINTERS, damaged_text, whole_text

PAGE = Path("/nowhere/features/x.dsl")


@given(st.integers(0, 1 << 32))
def test_what_is_told_does_not_depend_on_what_was_typed_before(seed: int) -> None:
    chance = Random(seed)
    reader, last = Reader(PAGE), None
    text = chance.choice((whole_text, damaged_text))(chance)
    for _ in range(4):
        reading = reader.read(text)
        if last is not None:
            lines = text.count("\n") + 1
            assert all(
                one.finding.span is None or 1 <= one.finding.span.line <= lines
                for one in early(reading, last).found
            )
        last = analysed(reading, Offers(PAGE.parents[1]))
        assert last == analysed(Reader(PAGE).read(text), Offers(PAGE.parents[1]))
        lines_now = text.split("\n")
        at = chance.randrange(len(lines_now))
        match chance.randrange(4):
            case 0:
                lines_now[at] += chance.choice(SPLINTERS)
            case 1:
                del lines_now[at]
            case 2:
                lines_now[at:at] = lines_now[at : at + chance.randint(1, 8)]
            case _:
                lines_now[at:at] = whole_text(chance).split("\n")
        text = "\n".join(lines_now)
