"""What an editor shows of a page, asked for by a real client: the colours of words, and what can be folded."""

from __future__ import annotations

import pytest
from editor_client import PIPELINE, Editor
from lsprotocol import types as lsp

pytestmark = pytest.mark.anyio


def words(editor: Editor, uri: str, found: list[int]) -> list[tuple[str, str]]:
    """Return what each word was said to be."""
    assert editor.answer is not None
    provider = editor.answer.capabilities.semantic_tokens_provider
    assert isinstance(provider, lsp.SemanticTokensOptions)
    told, line, column = [], 0, 0
    for at in range(0, len(found), 5):
        down, right, length, kind, bits = found[at : at + 5]
        line, column = line + down, right + (0 if down else column)
        where = lsp.Range(lsp.Position(line, column), lsp.Position(line, column + length))
        marks = [
            one for place, one in enumerate(provider.legend.token_modifiers) if bits & 1 << place
        ]
        told.append(
            (editor.within(uri, where), ".".join([provider.legend.token_types[kind], *marks]))
        )
    return told


async def coloured(editor: Editor, uri: str) -> lsp.SemanticTokens:
    found = await editor.client.text_document_semantic_tokens_full_async(
        lsp.SemanticTokensParams(lsp.TextDocumentIdentifier(uri))
    )
    assert isinstance(found, lsp.SemanticTokens)
    return found


async def test_words_are_coloured_by_what_they_are(shared: Editor) -> None:
    uri = shared.open("features/flights.dsl", "# 🐎\n" + PIPELINE)
    found = words(shared, uri, list((await coloured(shared, uri)).data))
    assert {
        ("# 🐎", "comment"),
        ("Feature", "keyword"),
        ("@source", "decorator"),
        ("contracts/flights.py:Flight", "class"),
        ("clean", "function"),
        ("cleaned", "variable.definition"),
        ("cleaned", "variable"),
        ("dep_delay", "variable"),
        ("15", "number"),
        ("the airport's own schedule", "comment.documentation"),
    } <= set(found)


async def test_a_change_is_told_as_a_change_and_an_unknown_answer_as_a_whole(
    shared: Editor,
) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    before = await coloured(shared, uri)
    shared.change(uri, PIPELINE.replace("dep_delay > 15", "dep_delay >= 15 && true"))
    assert before.result_id is not None
    where = lsp.TextDocumentIdentifier(uri)
    change = await shared.client.text_document_semantic_tokens_full_delta_async(
        lsp.SemanticTokensDeltaParams(where, before.result_id)
    )
    assert isinstance(change, lsp.SemanticTokensDelta)
    (edit,) = change.edits
    made = list(before.data)
    made[edit.start : edit.start + edit.delete_count] = edit.data or []
    assert made == list((await coloured(shared, uri)).data)
    assert len(edit.data or []) < len(made) // 10
    whole = await shared.client.text_document_semantic_tokens_full_delta_async(
        lsp.SemanticTokensDeltaParams(where, "none")
    )
    assert isinstance(whole, lsp.SemanticTokens)
    assert list(whole.data) == made


async def test_a_part_of_a_page_is_coloured_by_itself(shared: Editor) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    found = await shared.client.text_document_semantic_tokens_range_async(
        lsp.SemanticTokensRangeParams(
            lsp.TextDocumentIdentifier(uri),
            lsp.Range(shared.place(uri, "|Scenario: By"), shared.place(uri, "|@golden")),
        )
    )
    assert found is not None
    told = words(shared, uri, list(found.data))
    assert ("airlines", "variable.definition") in told
    assert ("clean", "function") not in told


async def test_scenarios_can_be_folded(shared: Editor) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    found = await shared.client.text_document_folding_range_async(
        lsp.FoldingRangeParams(lsp.TextDocumentIdentifier(uri))
    )
    assert found is not None
    lines = PIPELINE.split("\n")
    assert [lines[one.start_line].strip() for one in found] == [
        "Feature: On time",
        "Scenario: Take in what was flown",
        "Scenario: By airline",
    ]
