"""Text to statements to a tree: quotes, brackets, notes, line ends."""

from __future__ import annotations

import pytest
from runink.dsl.characters import MISTAKES_MAX
from runink.dsl.diagnostics import LINE_KEPT_MAX, LINE_SHOWN_MAX, Findings, rendered
from runink.dsl.incremental import Incremental
from runink.dsl.parser import parsed
from runink.dsl.syntax import Document, Items, Number, Text, Word
from runink.errors import Finding, Invalid, Span
from runink.testing.projects import compile_text


def read(text: str) -> tuple[Document, tuple[Finding, ...]]:
    findings = Findings("x.dsl", text)
    return parsed(text, findings), findings.told()


def value(source: str) -> object:
    document, told = read(f"@a({source})")
    assert not told
    return document.annotations[0].arguments[0].value


def test_values() -> None:
    text = value(r'"a \"b\" \\ \n \t \d"')
    assert isinstance(text, Text)
    assert text.value == 'a "b" \\ \n \t \\d'
    assert isinstance(value("planes"), Word)
    assert [value(one).value for one in ("4", "-1.5", "1e-9", "512Mi", "250m", "20%")] == [
        "4",
        "-1.5",
        "1e-9",
        "512Mi",
        "250m",
        "20%",
    ]
    items = value('["a", b, 3,]')
    assert isinstance(items, Items)
    assert [type(one) for one in items.values] == [Text, Word, Number]
    assert value("[]") == Items((), Span("x.dsl", 1, 4))


def test_text_over_several_lines_knows_where_each_of_its_characters_stands() -> None:
    text = value('"""one\n  two\nthree"""')
    assert isinstance(text, Text)
    assert text.value == "one\n  two\nthree"
    assert text.at(text.value.index("two"), 3) == Span("x.dsl", 2, 3, 3)
    assert text.at(0) == Span("x.dsl", 1, 7)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("@a(x=1) extra", "behind an annotation stands another one, or a note that begins with #"),
        ("@a(x=1)# note", "put a blank before the note"),
        ("@a(x=<m>)", 'put it in quotes: "<name>"'),
        ("@a(x=1_000)", "a number is digits, with its unit right behind it"),
        ("@a(records > 1)", 'a condition stands in quotes: "records > 0"'),
        ("@ a", "the annotation's name stands right behind @"),
        ("@\u00e9", "a name begins with a letter from A to Z"),
        ("@a(x)) @b", "there is one bracket too many, or nothing before it"),
        ("@a([1 2])", "put a comma between arguments"),
        ("@a(csv://x)", 'text stands in quotes: "csv://data/x.csv"'),
        ("-bullet", "a bullet has a blank behind its -"),
    ],
)
def test_a_hint_says_how_to_mend_what_is_there(line: str, hint: str) -> None:
    assert [one.hint for one in read(line)[1]] == [hint]


def test_escapes_do_not_shift_what_stands_behind_them() -> None:
    text = value(r'"a\"b\"c"')
    assert isinstance(text, Text)
    assert text.at(text.value.index("c")).column == len(r'@a("a\"b\"c')


@pytest.mark.parametrize(
    "line",
    [
        '@a("x") # note',
        '@a("x") // note (',
        '@a( # note )\n"x" // ]\n)',
        '  @a  ( "x" , )  ',
        '@a("x")\r',
        '\t@a("x")\t',
    ],
)
def test_notes_and_blanks_mean_nothing(line: str) -> None:
    document, told = read(line)
    assert not told
    argument = document.annotations[0].arguments[0].value
    assert isinstance(argument, Text)
    assert argument.value == "x"


def test_a_note_mark_within_a_text_or_without_a_blank_is_none() -> None:
    assert not read('@a("csv://x # y")')[1]
    document, told = read("Scenario: 7 # 8 // 9\nGiven a # b")
    assert not told
    assert document.scenarios[0].header.title == "7 # 8 // 9"
    assert document.scenarios[0].steps[0].sentence == "Given a # b"


def test_several_annotations_stand_on_a_line() -> None:
    document, told = read('@a("x") @b(c=1) @d')
    assert not told
    assert [one.name for one in document.annotations] == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ('@a("x', "D004", 1, 4),
        ('@a(\n"x"', "D003", 1, 3),
        ('@a("x"\n@b', "D003", 1, 3),
        ('@a(["x")\n@b', "D003", 1, 3),
        ('@a("""x\ny', "D003", 1, 4),
        ("@a(\u201cx\u201d)", "D006", 1, 4),
        ('@a("x" "y")', "D002", 1, 8),
        ("@a(,)", "D002", 1, 4),
        ("@", "D002", 1, 1),
        ("@1", "D002", 1, 1),
        ("@a([[[[[[[[[[]]]]]]]]]])", "D002", 1, 1),
        ("  ? what", "D001", 1, 3),
        ("Feature : x", "D001", 1, 1),
        ("Given", "D002", 1, 1),
    ],
)
def test_a_mistake_is_told_where_it_is(text: str, code: str, line: int, column: int) -> None:
    _, told = read(text)
    assert [finding.code for finding in told] == [code]
    span = told[0].span
    assert span is not None
    assert (span.line, span.column) == (line, column)


def test_a_bracket_that_is_never_closed_costs_one_statement() -> None:
    document, told = read('Scenario: S\n@a("x"\n@b\nGiven c\n@d(\n\n  e=1\nScenario: T')
    assert [finding.code for finding in told] == ["D003", "D003"]
    assert [one.name for one in document.scenarios[0].annotations] == ["b"]
    assert len(document.scenarios) == 2


def test_a_quote_that_is_never_closed_costs_one_statement() -> None:
    document, told = read('Scenario: S\n@a("x,\n  b=1)\n@c')
    assert [finding.code for finding in told] == ["D004"]
    assert [one.name for one in document.scenarios[0].annotations] == ["c"]


def test_reading_ends_where_nobody_reads_further() -> None:
    _, told = read("x\n" * 10 * MISTAKES_MAX)
    assert len(told) == MISTAKES_MAX + 1


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Scenario: A\nGiven " + "x" * 10_000_000, set()),
        ('@a("' + "x" * 10_000_000 + '")', set()),
        ('@a("' + "x" * 10_000_000, {"D004"}),
        ("@a(" + "\u201c" * 1_000_000, {"D006"}),
        ("@a(" + "(" * 10_000, {"D003"}),
        ("@a(" * 10_000 + ")" * 10_000, {"D002"}),
        ("@a(" + "[" * 10_000 + "]" * 10_000 + ")", {"D002"}),
        ('@a("' + "\\" * 1_000_001 + '")', {"D004"}),
        ("Scenario: A\nMetadata:\n  k: [" + '"a' * 100_000, {"D003"}),
        ("Scenario: A\nMetadata:\n" + "\n".join(" " * n + "- x" for n in range(400)), {"D002"}),
        ('@a("""\n@a\n' * 1_000, {"D003"}),
    ],
    ids=range(11),
)
def test_a_text_that_nobody_wrote_is_read_or_told_and_never_hangs(
    text: str, codes: set[str]
) -> None:
    document, told = read(text)
    assert {one.code for one in told} == codes
    again, findings = Incremental("x.dsl").parse(text)
    assert list(again.scenarios) == list(document.scenarios)
    assert findings.told() == told


def findings_of(text: str) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        compile_text(text)
    return [(finding.code, finding.text) for finding in caught.value.findings]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a note", "\ufeff", "\r\n"])
def test_an_empty_file_lacks_a_feature(text: str) -> None:
    assert findings_of(text) == [("D020", "there is no Feature:")]


def test_a_feature_without_scenarios_does_nothing() -> None:
    assert findings_of("Feature: x") == [("D020", "there is no scenario")]


def test_a_file_that_is_too_large_is_not_read() -> None:
    assert findings_of("Feature: x\n" * 100_000)[0][0] == "D005"


def test_line_ends_and_a_byte_order_mark_mean_nothing() -> None:
    text = 'Feature: F\nScenario: S\n@source("csv://a.csv")\n@sink("csv://b.csv")\nGiven x\n'
    plain = compile_text(text).dag.hash
    assert compile_text("\ufeff" + text.replace("\n", "\r\n")).dag.hash == plain


@pytest.mark.parametrize(
    "char",
    ["\x00", "\x1b", "\x0b", "\x0c", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\ufeff", "\r",
     "\u200b", "\u200f", "\u2060", "\xad", "\u3164", "\U000e0041"],
)  # fmt: skip
def test_a_character_that_cannot_be_seen_is_refused(char: str) -> None:
    text = f'Feature: F\nScenario: S{char}x\n@source("csv://a.csv")\n@sink("csv://b.csv")\n'
    assert [code for code, _ in findings_of(text)] == ["D007"]


def test_letters_and_emojis_may_be_joined() -> None:
    text = 'Feature: \u0645\u06cc\u200c\u062e \U0001f468\u200d\U0001f4bb \u2764\ufe0f\nScenario: S\n@source("csv://a")\n@sink("csv://b")\n'
    assert compile_text(text).dag.nodes


# Frames.


def test_a_message_shows_nothing_that_a_terminal_would_obey_and_has_an_end() -> None:
    text = "\x1b[31mred" + "x" * 100_000
    findings = Findings("x.dsl", text)
    parsed(text, findings)
    shown = rendered(findings.told())
    assert "\x1b" not in shown
    assert len(shown) < 2 * LINE_KEPT_MAX


def test_a_caret_stands_below_its_word_behind_tabs_too() -> None:
    finding = Finding("D1", "wrong", Span("x", 12, 3, 4), "mend it", "\t\tword rest")
    assert rendered([finding]).split("\n") == [
        "error[D1]: wrong",
        "   --> x:12:3",
        "    |",
        " 12 | \t\tword rest",
        "    | \t\t^^^^",
        "    = help: mend it",
        "",
    ]


def test_a_long_line_is_cut_around_its_caret() -> None:
    line = "a" * 500 + "HERE" + "b" * 500
    shown = rendered([Finding("D1", "wrong", Span("x", 1, 501, 4), "", line)]).split("\n")
    assert len(shown[3]) < LINE_SHOWN_MAX + 10
    at = shown[4].index("^")
    assert shown[3][at : at + 4] == "HERE"
    assert shown[4].count("^") == 4


def test_a_terminal_obeys_nothing_that_a_file_holds() -> None:
    shown = rendered([Finding("D1", "wrong", Span("x", 1, 1), "", "\x1b[2Jx\x07")])
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_finding_without_a_place_has_no_frame() -> None:
    assert rendered([Finding("D1", "wrong", None, "mend it")]) == (
        "error[D1]: wrong\n   = help: mend it\n"
    )


def test_more_findings_than_anybody_reads_are_counted() -> None:
    assert rendered([Finding("D1", "wrong")] * 60).endswith("and 10 more\n")
