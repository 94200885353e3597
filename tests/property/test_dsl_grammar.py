"""The reader and the grammar of record are one: what is read without mistakes is what the grammar says, and what the grammar refuses is a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lark.exceptions import UnexpectedInput
from runink.dsl.annotations import TreeReader, lark, quickly, thoroughly
from runink.dsl.diagnostics import Findings, rendered
from runink.dsl.entries import Tree
from runink.dsl.parser import parsed
from runink.dsl.statements import Kind, Statement, statements
from runink.dsl.syntax import Annotation, Block, Document, Entry, Header, Step, Table
from runink.dsl.tables import doc_string, row
from runink.testing.pipeline_texts import annotation_text, damaged_text, whole_text

# What the grammar has no word for: it is about meaning, or about the text as a whole.
BEYOND = {"D001", "D003", "D006", "D007", "D013", "D016", "D017", "D018"}


class Heard:
    """What a file says, in order: (line, column, what it is, whose it is, what it says)."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def say(self, span: Any, what: str, owner: int, *said: object) -> None:
        self.events.append((span.line, span.column, what, owner, *said))

    def told(self) -> list[tuple[Any, ...]]:
        return sorted(self.events, key=lambda event: event[:2])


# From the reader.


def of_document(document: Document) -> list[tuple[Any, ...]]:
    heard = Heard()
    for header in (document.feature,):
        if header is not None:
            _header(heard, header)
    _items(heard, document.items)
    holders: list[Any] = [document.background, *document.rules, *document.scenarios]
    holders += [one.background for one in document.rules]
    for one in holders:
        if one is None:
            continue
        _header(heard, one.header)
        _items(heard, getattr(one, "decorations", []))
        _items(heard, getattr(one, "items", []))
        for examples in getattr(one, "examples", []):
            _header(heard, examples.header)
            _table(heard, examples.table, examples.header.span.line)
    return heard.told()


def _header(heard: Heard, header: Header) -> None:
    heard.say(header.span, "header", 0, f"{header.keyword}:", header.title)
    for text in header.description:
        heard.say(text.span, "free", header.span.line, text.value)


def _items(heard: Heard, items: list[Any]) -> None:
    for item in items:
        match item:
            case Annotation():
                heard.say(item.span, "annotation", 0, item)
            case Step(keyword, text, span, bullets, grid, doc):
                heard.say(span, "step", 0, keyword, text.value)
                _entries(heard, bullets, span.line)
                _table(heard, grid, span.line)
                if doc is not None:
                    heard.say(doc.span, "doc", span.line, doc.media, doc.text)
            case Block(keyword, span, entries):
                heard.say(span, "block", 0, f"{keyword}:")
                _entries(heard, entries, span.line)


def _table(heard: Heard, grid: Table | None, owner: int) -> None:
    for one in grid.rows if grid is not None else ():
        heard.say(one.span, "row", owner, [(cell.value, cell.span) for cell in one.cells])


def _entries(heard: Heard, entries: list[Entry], owner: int) -> None:
    for one in entries:
        if one.is_bullet:
            heard.say(one.span, "bullet", owner, one.text.value)
        else:
            heard.say(one.span, "pair", owner, one.key, one.value)
        is_twice = one.is_bullet and bool(one.entries) and one.entries[0].text is one.text
        if is_twice:  # `- key: value`: the grammar leaves it a text
            _entries(heard, one.entries[0].entries, owner)
        _entries(heard, one.entries[is_twice:], owner)


# From the grammar.


def of_tree(text: str, tree: Any) -> list[tuple[Any, ...]]:
    heard = Heard()
    findings = Findings("x.dsl", text)
    reader = TreeReader(findings, 1)
    for node, owner in _nodes(tree, 0):
        if node.data == "annotation":
            found = reader.annotation(node)
            heard.say(found.span, "annotation", 0, found)
            continue
        if not node.children or hasattr(node.children[0], "data"):
            continue
        first = node.children[0]
        span = reader.span(first)
        line = text.split("\n")[span.line - 1].rstrip()
        rest = [str(one).strip() for one in node.children[1:] if not hasattr(one, "data")]
        match node.data:
            case "feature" | "background" | "rule" | "scenario" | "examples":
                heard.say(span, "header", 0, str(first), (rest or [""])[0])
            case "description":
                for free in node.children:
                    heard.say(reader.span(free), "free", owner, str(free).rstrip())
            case "step":
                heard.say(span, "step", 0, str(first), rest[0])
            case "block":
                heard.say(span, "block", 0, str(first))
            case "bullet":
                heard.say(span, "bullet", owner, rest[0])
            case "pair":
                pair = Statement(Kind.PAIR, span.line, line, span.column, str(first))
                entries: list[Entry] = []
                Tree(entries, findings).add(pair)
                _check_value(node, entries[0])
                heard.say(span, "pair", owner, entries[0].key, entries[0].value)
            case "row":
                statement = Statement(Kind.ROW, span.line, line, span.column, "|")
                found_row = row(statement, findings)
                assert found_row is not None
                bars = sum(1 for one in node.children if str(one) == "|")
                assert bars == len(found_row.cells) + 1
                cells = [(cell.value, cell.span) for cell in found_row.cells]
                heard.say(span, "row", owner, cells)
            case "doc":
                raw = "\n".join(one.removesuffix("\r") for one in str(first).split("\n"))
                padded = " " * (span.column - 1) + raw
                statement = Statement(Kind.DOC, span.line, padded, span.column, raw[:3])
                found_doc = doc_string(statement, findings)
                heard.say(span, "doc", owner, found_doc.media, found_doc.text)
            case _:
                pass
    assert {one.code for one in findings.told()} <= {"D017"}
    return [event for event in heard.told() if not _is_nested(event, heard)]


def _is_nested(event: tuple[Any, ...], heard: Heard) -> bool:
    """Say whether an annotation stands within another one, which holds it already."""
    return event[2] == "annotation" and any(
        other[2] == "annotation" and other is not event and _holds(other[4], event[4])
        for other in heard.events
    )


def _holds(outer: Annotation, inner: Annotation) -> bool:
    values = [one.value for one in outer.arguments if isinstance(one.value, Annotation)]
    return any(one == inner or _holds(one, inner) for one in values)


def _check_value(node: Any, entry: Entry) -> None:
    """What the grammar takes for a value is what the reader takes."""
    said = node.children[1:]
    if not said:
        assert entry.value is None
    elif hasattr(said[0], "data"):
        texts = [one for one in said[0].children if one.type in {"STRING", "BARE"}]
        assert len(texts) == len(entry.value.values)  # type: ignore[union-attr] # it is a list
    else:
        assert (said[0].type == "STRING") == (
            entry.value.span.column < entry.value.places[0].column
        )  # type: ignore[union-attr] # it is a text


def _nodes(tree: Any, owner: int) -> Iterator[tuple[Any, int]]:
    yield tree, owner
    first = tree.children[0] if tree.children else None
    line = getattr(first, "line", owner) if not hasattr(first, "data") else owner
    for child in tree.children:
        if hasattr(child, "data"):
            yield from _nodes(child, line)


# Laws.


def check(text: str) -> bool:
    findings = Findings("x.dsl", text)
    document = parsed(text, findings)
    told = findings.told()
    try:
        plain = text.replace("\r\n", "\n")
        tree = lark("file").parse(plain + "\n")
    except UnexpectedInput:
        tree = None
    if tree is None:
        assert told
        return False
    codes = {one.code for one in told}
    if not told or codes == {"D017"}:
        ours, theirs = of_document(document), of_tree(plain, tree)
        for one, other in zip_longest(ours, theirs):
            assert one == other
    else:
        assert codes & BEYOND, rendered(told)
    return True


SEEDS = st.integers(0, 2**64)


@settings(max_examples=300)
@given(SEEDS)
def test_a_file_is_read_as_the_grammar_says(seed: int) -> None:
    assert check(whole_text(Random(seed)))


@settings(max_examples=300)
@given(SEEDS)
def test_what_the_grammar_refuses_is_a_mistake_and_what_is_no_mistake_it_takes(seed: int) -> None:
    check(damaged_text(Random(seed)))


@settings(max_examples=300)
@given(SEEDS)
def test_the_quick_way_and_the_grammar_give_the_same_annotations(seed: int) -> None:
    text = annotation_text(Random(seed))
    findings = Findings("x.dsl", text)
    (statement,) = statements(text, findings)
    assert quickly(statement, findings) == thoroughly(statement, findings)
    assert not findings.told()
