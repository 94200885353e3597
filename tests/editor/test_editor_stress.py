"""`runi lsp` under what editors do: large pages, many pages, changes on disk, questions that are taken back, ends in the wrong order."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from editor_client import CONTRACTS, PIPELINE, WITHIN_S, Editor
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from test_language_server_life import request, spoken

pytestmark = pytest.mark.anyio

SCENARIO = """
  @module(layer="l{n}")
  Scenario: Take in {n}
    @source("csv://data/planes.csv")
    @stp("clean")
    @sink("parquet://out/{n}.parquet")
"""
LONG = "Feature: long\n" + "".join(SCENARIO.format(n=n) for n in range(400))


def codes(found: lsp.PublishDiagnosticsParams) -> list[str]:
    return [str(one.code) for one in found.diagnostics]


async def test_a_long_page_has_the_parsers_mistakes_at_once_and_all_in_the_end(
    editor: Editor,
) -> None:
    editor.write_project()
    uri = editor.open("features/long.dsl", LONG)
    await editor.told(uri, lambda last: codes(last).count("D010") == 400)
    editor.change(uri, LONG.replace('@stp("clean")', '@step("clean', 1))
    await editor.told(uri, lambda last: last.version == 2 and "D004" in codes(last))
    assert codes(editor.diagnostics[uri]).count("D010") == 399  # of the other lines
    editor.change(uri, LONG)
    await editor.told(uri, lambda last: last.version == 3 and codes(last).count("D010") == 400)


async def test_a_page_of_ten_megabytes_is_no_pipeline_and_holds_nothing_up(editor: Editor) -> None:
    editor.write_project()
    huge = editor.open("features/huge.dsl", "@source(\n" * 1_200_000)
    (found,) = await editor.told(huge)
    assert found.code == "D005"
    where = lsp.TextDocumentIdentifier(huge)
    await editor.completed(huge, "@source(|")
    assert (
        await editor.client.text_document_document_symbol_async(lsp.DocumentSymbolParams(where))
        == []
    )
    tokens = await editor.client.text_document_semantic_tokens_full_async(
        lsp.SemanticTokensParams(where)
    )
    assert tokens is not None
    assert list(tokens.data) == []
    uri = editor.open("features/flights.dsl", PIPELINE)
    assert await editor.told(uri) == []


async def test_a_contract_that_changes_on_disk_changes_what_is_wrong_with_an_open_page(
    editor: Editor,
) -> None:
    editor.write_project()
    uri = editor.open("features/flights.dsl", PIPELINE)
    assert await editor.told(uri) == []
    file = editor.write("contracts/flights.py", CONTRACTS.replace("class Flight(", "class Flown("))
    changed = lsp.FileEvent(file.as_uri(), lsp.FileChangeType.Changed)
    editor.client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams([changed]))
    await editor.told(uri, lambda last: codes(last) == ["D040"])
    editor.write("contracts/flights.py", CONTRACTS)
    editor.client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams([changed]))
    await editor.told(uri, lambda last: not last.diagnostics)


async def test_a_broken_steps_file_is_told_as_long_as_one_page_needs_it(editor: Editor) -> None:
    editor.write_project()
    editor.write("steps/broken.py", "def x(:\n")
    text = PIPELINE.replace('"clean"', '"cleen"')
    one = editor.open("features/one.dsl", text)
    other = editor.open("features/other.dsl", text)
    steps = editor.uri("steps/broken.py")
    for uri in (one, other):
        await editor.told(uri, lambda last: "D050" in codes(last))
    (found,) = await editor.told(steps, lambda last: bool(last.diagnostics))
    editor.change(one, PIPELINE)
    assert await editor.told(one) == []
    assert list(editor.diagnostics[steps].diagnostics) == [found]
    editor.client.text_document_did_close(
        lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(other))
    )
    assert await editor.told(steps, lambda last: not last.diagnostics) == []


async def test_a_page_goes_on_when_its_file_is_gone_or_has_another_name(editor: Editor) -> None:
    editor.write_project()
    file = editor.write("features/flights.dsl", PIPELINE)
    uri = editor.open("features/flights.dsl", PIPELINE)
    assert await editor.told(uri) == []
    file.rename(file.with_name("renamed.dsl"))
    editor.change(uri, PIPELINE.replace("@step", "@stp", 1))
    assert "D010" in [one.code for one in await editor.told(uri)]
    editor.client.text_document_did_close(
        lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri))
    )
    assert await editor.told(uri, lambda last: not last.diagnostics) == []
    renamed = editor.open("features/renamed.dsl", PIPELINE)
    assert await editor.told(renamed) == []


async def test_lines_that_end_in_cr_and_lf_have_the_same_places(editor: Editor) -> None:
    editor.write_project()
    text = PIPELINE.replace("@step", "@🐎() @stp", 1)
    uri = editor.open("features/flights.dsl", text)
    found = [one.range for one in await editor.told(uri)]
    editor.change(uri, text.replace("\n", "\r\n"))
    assert [one.range for one in await editor.told(uri)] == found


@pytest.mark.parametrize(("line", "character"), [(2**31 - 1, 0), (0, 2**31 - 1), (6, 2**31 - 1)])
async def test_a_place_that_there_is_not_harms_nothing(
    shared: Editor, line: int, character: int
) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    where, place = lsp.TextDocumentIdentifier(uri), lsp.Position(line, character)
    client = shared.client
    await client.text_document_hover_async(lsp.HoverParams(where, place))
    await client.text_document_completion_async(lsp.CompletionParams(where, place))
    await client.text_document_definition_async(lsp.DefinitionParams(where, place))
    await client.text_document_code_action_async(
        lsp.CodeActionParams(where, lsp.Range(place, place), lsp.CodeActionContext([]))
    )
    await client.text_document_semantic_tokens_range_async(
        lsp.SemanticTokensRangeParams(where, lsp.Range(place, lsp.Position(0, 0)))
    )


async def test_a_question_that_is_taken_back_is_answered_so_and_spoils_no_other(
    editor: Editor,
) -> None:
    editor.write_project()
    held = editor.hold_contract()
    uri = editor.open("features/flights.dsl", PIPELINE)  # what is wrong with it is not known yet
    place = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
    params = lsp.CodeActionParams(lsp.TextDocumentIdentifier(uri), place, lsp.CodeActionContext([]))
    protocol = editor.client.protocol
    taken = protocol.send_request_async(lsp.TEXT_DOCUMENT_CODE_ACTION, params, msg_id="taken")
    kept = protocol.send_request_async(lsp.TEXT_DOCUMENT_CODE_ACTION, params, msg_id="kept")
    protocol.notify(lsp.CANCEL_REQUEST, lsp.CancelParams("taken"))
    with anyio.fail_after(WITHIN_S):
        with pytest.raises(JsonRpcException, match="cancel"):
            await taken
        await anyio.to_thread.run_sync(held.release)
        assert list(await kept) == []
    assert await editor.told(uri) == []


async def test_what_is_asked_of_a_page_that_changes_meanwhile_gets_no_old_answer(
    editor: Editor,
) -> None:
    editor.write_project()
    held = editor.hold_contract()
    wrong = PIPELINE.replace('"clean"', '"cleen"')
    uri = editor.open("features/flights.dsl", wrong)
    place = editor.place(uri, '"cl|een"')
    asked = editor.client.protocol.send_request_async(
        lsp.TEXT_DOCUMENT_CODE_ACTION,
        lsp.CodeActionParams(
            lsp.TextDocumentIdentifier(uri), lsp.Range(place, place), lsp.CodeActionContext([])
        ),
    )
    editor.change(uri, PIPELINE)
    with anyio.fail_after(WITHIN_S):
        await anyio.to_thread.run_sync(held.release)
        assert list(await asked) == []
    assert await editor.told(uri) == []


def test_questions_behind_shutdown_are_refused_and_exit_is_an_end(tmp_path: Path) -> None:
    answers, code = spoken(
        tmp_path,
        request(
            1,
            "textDocument/hover",
            {"textDocument": {"uri": "file:///x"}, "position": {"line": 0, "character": 0}},
        ),
        request(2, "initialize", {"capabilities": {}}),
        request(3, "shutdown", None),
        request(
            4,
            "textDocument/hover",
            {"textDocument": {"uri": "file:///x"}, "position": {"line": 0, "character": 0}},
        ),
        request(5, "shutdown", None),
        {"jsonrpc": "2.0", "method": "exit"},
    )
    assert code == 0
    errors = {one["id"]: one["error"]["code"] for one in answers if "error" in one}
    assert errors == {1: -32002, 4: -32600, 5: -32600}


def test_changes_of_a_page_that_is_not_open_end_nothing(tmp_path: Path) -> None:
    page = {"uri": (tmp_path / "x.dsl").as_uri(), "version": 1}
    answers, code = spoken(
        tmp_path,
        request(1, "initialize", {"capabilities": {}}),
        {
            "jsonrpc": "2.0",
            "method": "textDocument/didChange",
            "params": {"textDocument": page, "contentChanges": [{"text": "x"}]},
        },
        {"jsonrpc": "2.0", "method": "textDocument/didClose", "params": {"textDocument": page}},
        {"jsonrpc": "2.0", "method": "textDocument/didClose", "params": {"textDocument": page}},
        request(2, "shutdown", None),
        {"jsonrpc": "2.0", "method": "exit"},
    )
    assert code == 0
    assert [one["id"] for one in answers if "result" in one] == [1, 2]


def test_a_place_before_the_text_is_refused(tmp_path: Path) -> None:
    page = {"uri": (tmp_path / "x.dsl").as_uri(), "languageId": "runink", "version": 1, "text": "x"}
    where = {"textDocument": page, "position": {"line": -1, "character": 0}}
    answers, code = spoken(
        tmp_path,
        request(1, "initialize", {"capabilities": {}}),
        {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": page}},
        request(2, "textDocument/hover", where),
        request(3, "shutdown", None),
        {"jsonrpc": "2.0", "method": "exit"},
    )
    assert code == 0
    assert {one["id"]: "error" in one for one in answers if "id" in one} == {
        1: False,
        2: True,
        3: False,
    }
