"""Whatever is written, the parser gives an expression or mistakes within the text, at once."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from runink.expressions import said
from runink.expressions.parsing import DEPTH_MAX, LENGTH_MAX, parse
from runink.expressions.tree import nodes
from runink.expressions.typing import UNKNOWN, ListOf, RecordOf, Scope, Sort

SCOPE = Scope(
    {
        "a": Sort.INT, "x": Sort.NUMBER, "s": Sort.TEXT, "t": Sort.BOOLEAN, "at": Sort.TIME, "d": Sort.DATE, "c": Sort.CLOCK, "w": Sort.DURATION,
        "raw": Sort.BYTES, "tags": ListOf(Sort.TEXT), "user": RecordOf({"name": Sort.TEXT, "age": Sort.INT}, "user"), "any": Sort.UNKNOWN,
    }
)  # fmt: skip
TOKENS = st.sampled_from(
    ["a", "x", "s", "t", "at", "d", "c", "w", "raw", "tags", "user", "any", "user.name", "user.nam", "record.a", "tags[0]", "tags[-1]", "1", "2.5", "1e9", "0x1F", "9223372036854775808", "'x'", '"y"', "'2013-01-31'", "r'\\d'", "'a\\q'", "'''", '"""', "'", '"', "(", ")", "[", "]", ",", ".", ":", "?", "!", "-", "+", "*", "/", "%", "==", "!=", "<=", "<", ">", ">=", "=", "=>", "<>", "**", "&&", "||", "&", "|", "in", "true", "false", "null", "and", "or", "not", "is", "size(", "has(", "matches(", ".size()", ".lower()", ".matches('[')", ".matches('a+')", ".startsWith('a')", "coalesce(", "timestamp('2013-01-31')", "duration('5m')", "duration('x')", "int(", "double(", "string(", "at.getDate()", "b'x'", "1u", "é", "“", "”", ";", "#", "`", "`a`", "$", "{", "}", "\\", "~", "^", "@"]
)  # fmt: skip


@settings(max_examples=600)
@given(
    st.one_of(
        st.lists(TOKENS, max_size=14).map(" ".join),
        st.lists(TOKENS, max_size=8).map("".join),
        st.text(max_size=30),
        st.text("a'\"()[].,<>=!&|?:+-*/% \\r`0e\n", max_size=30),
    )
)
@example("\ud800")
@example("'\ud800'")
@example("a in [")
@example("- - - 1")
@example("a." * 3)
@example("[[1]]")
@example("a in [[1]]")
@example("has(raw) && raw == raw")
@example("size(user)")
@example("coalesce()")
@example("user.name.size().lower()")
@example("(t ? user : user).name == 's'")
@example("`a`")
@example("``")
def test_any_text_is_an_expression_or_has_mistakes_within_it(text: str) -> None:
    for scope in (SCOPE, UNKNOWN):
        parsed = parse(text, scope)
        assert (parsed.expression is None) == bool(parsed.mistakes)
        for mistake in parsed.mistakes:
            assert mistake.code in {"D060", "D061", "D062", "D063"}
            assert mistake.text
            assert 0 <= mistake.at <= len(text)
            assert mistake.length >= 1
        if parsed.expression is not None:
            said(parsed.expression).encode()
            again = parse(said(parsed.expression), scope)
            if not again.mistakes or len(said(parsed.expression)) <= LENGTH_MAX:
                assert again.expression == parsed.expression
            assert max(depth for _, depth in nodes(parsed.expression)) <= 3 * DEPTH_MAX


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "a" + ")" * 10_000,
        "(" * 1_900,
        "[" * 1_900,
        "!" * 1_900 + "t",
        "-" * 1_900 + "a",
        " + ".join("a" * 600),
        " && ".join(["t"] * 300),
        "t ? " * 300 + "a" + " : a" * 300,
        "user" + ".name" * 300,
        "s" + ".lower()" * 250,
        "tags" + "[0]" * 500,
        "size(" * 300 + "s" + ")" * 300,
        "a" * 10_000_000,
        "'" * 1_999,
        "\\" * 1_999,
        "s.matches('" + "(" * 900 + ")" * 900 + "')",
        "s.matches('" + "(a{100}){10}" * 100 + "')",
    ],
    ids=lambda text: text[:12],
)
def test_what_is_too_deep_or_too_long_is_told(text: str) -> None:
    parsed = parse(text, SCOPE)
    assert parsed.expression is None
    assert len(parsed.mistakes) >= 1
