"""A mistake that speaks of two places shows both."""

from __future__ import annotations

from runink.dsl.diagnostics import Findings, rendered
from runink.errors import Finding, Label, Span

TEXT = "\n".join(["first line", *["x"] * 98, "last line"])


def test_the_other_place_has_a_frame_of_its_own_with_what_is_there() -> None:
    findings = Findings("x.dsl", TEXT)
    labels = [(findings.span(1, 1, 5), "it was here")]
    findings.add("D016", "it is here again", findings.span(100, 6, 4), "take one", labels=labels)
    assert rendered(findings.told()).splitlines() == [
        "error[D016]: it is here again",
        "    --> x.dsl:100:6",
        "     |",
        " 100 | last line",
        "     |      ^^^^",
        "     |",
        "   1 | first line",
        "     | ----- it was here",
        "     = help: take one",
    ]


def test_a_place_in_another_file_is_named_and_one_without_its_line_is_told_in_words() -> None:
    span = Span("x.dsl", 2, 1)
    labels = (
        Label(Span("y.dsl", 3, 1), "over there", "y"),
        Label(Span("x.dsl", 1, 1), "and there"),
    )
    told = rendered([Finding("D042", "no", span, "", "x", labels)]).splitlines()
    assert "  ::: y.dsl:3:1" in told
    assert "   = note: line 1: and there" in told
