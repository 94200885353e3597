"""Reading a file again gives what reading it whole gives, whatever was changed."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.dsl.diagnostics import Findings
from runink.dsl.incremental import Incremental
from runink.dsl.parser import parsed
from runink.testing.pipeline_texts import SPLINTERS, damaged_text, whole_text


def check(reader: Incremental, text: str) -> None:
    findings = Findings("x.dsl", text)
    whole = parsed(text, findings)
    document, told = reader.parse(text)
    document.scenarios = list(document.scenarios)
    assert document == whole
    assert told.told() == findings.told()


def edits(seed: int) -> None:
    """Change a file a few times as somebody does who writes it."""
    chance = Random(seed)
    text = chance.choice((whole_text, damaged_text))(chance)
    reader = Incremental("x.dsl")
    check(reader, text)
    for _ in range(chance.randint(1, 5)):
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                lines[at] += chance.choice(SPLINTERS)
            case 1:
                del lines[at]
            case 2:
                lines.insert(
                    at,
                    chance.choice(
                        (
                            "",
                            "# note",
                            '"""',
                            "  Given x",
                            "Scenario: S",
                            "---",
                            "@module",
                            "Rule: R",
                        )
                    ),
                )
            case 3:
                lines[at:at] = lines[at : at + chance.randint(1, 8)]
            case 4:
                lines[at] = f"  {lines[at]}"
            case _:
                lines[at:at] = whole_text(chance).split("\n")
        text = "\n".join(lines)
        check(reader, text)


@settings(max_examples=250)
@given(st.integers(0, 2**64))
def test_a_file_that_is_changed_is_read_as_if_it_were_new(seed: int) -> None:
    edits(seed)


def test_only_what_has_changed_is_read_again() -> None:
    parts = [f"Scenario: {name}\n  @a({name})\n\n" for name in "abcdef"]
    reader = Incremental("x.dsl")
    first, _ = reader.parse("".join(parts))
    parts[0] = "Scenario: a\n\n  @a(changed)\n\n"
    second, _ = reader.parse("".join(parts))
    moved = [one.header.span.line for one in second.scenarios]
    assert moved == [1 + 3 * place + (place > 0) for place in range(6)]
    assert [one.header.span.line for one in first.scenarios] == [
        1 + 3 * place for place in range(6)
    ]
    assert len(reader._kept) == 6
