"""Laws of the lexer: nothing of a text is lost or made up, whatever the text is, and it comes to an end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from runink.highlighting import RuninkLexer

PIECES = st.sampled_from(
    [
        *("@step", "@assert", "@", "(", ")", "[", "]", ",", "=", '"', '"""', "\\", "'", "“"),
        *("sql=", "when ", "Feature:", "Scenario: x", "Given ", "Then:", "- ", "| a |", "---"),
        *("${day}", "$${", "${", "#", " //", "512Mi", "1e-9", "a.b", "\n", "\r\n", "\t", " "),
        *("```", "SELECT 1", "&&", "\ufeff", "🐎", "\x00", "\u2028"),
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map("".join))


@given(TEXTS)
def test_the_tokens_are_the_text(text: str) -> None:
    pieces = list(RuninkLexer().get_tokens_unprocessed(text))
    assert "".join(piece for _, _, piece in pieces) == text
    at = 0
    for start, _, piece in pieces:
        assert start == at
        at += len(piece)
