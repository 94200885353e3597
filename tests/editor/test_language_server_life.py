"""`runi lsp` when things go wrong: requests that make no sense, files that vanish, users' code that hangs, editors that leave."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from editor_client import PIPELINE, RUNI, WITHIN_S, Editor
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

pytestmark = pytest.mark.anyio


async def test_a_page_that_is_not_open_is_an_error_and_no_end(editor: Editor) -> None:
    editor.write_project()
    uri = editor.open("features/flights.dsl", PIPELINE)
    nowhere = lsp.TextDocumentIdentifier(editor.uri("features/other.dsl"))
    with pytest.raises(JsonRpcException, match="is not open"):
        await editor.client.text_document_hover_async(lsp.HoverParams(nowhere, lsp.Position(0, 0)))
    assert await editor.told(uri) == []


def test_what_is_asked_wrongly_is_refused_and_the_next_question_is_answered(tmp_path: Path) -> None:
    place = {"textDocument": {"uri": "file:///x.dsl"}, "position": {"line": 0, "character": 0}}
    answers, code = spoken(
        tmp_path,
        request(1, "initialize", {"capabilities": {}}),
        request(2, "runink/nothing", {}),
        request(3, "textDocument/hover", {"position": "x"}),
        request(4, "textDocument/hover", place),
        request(5, "textDocument/rename", {**place, "newName": 7}),
        request(6, "shutdown", None),
        {"jsonrpc": "2.0", "method": "exit"},
    )
    assert code == 0
    by_id = {one["id"]: one for one in answers if "id" in one}
    assert {number: "error" in one for number, one in by_id.items()} == {
        1: False,
        2: True,
        3: True,
        4: True,
        5: True,
        6: False,
    }


def request(number: int, method: str, params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def spoken(folder: Path, *messages: dict[str, object]) -> tuple[list[dict[str, object]], int]:
    """Say all this to a server, and return what it said and its exit code."""
    frames = b""
    for message in messages:
        body = json.dumps(message).encode()
        frames += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    done = subprocess.run(
        [RUNI, "lsp"], input=frames, capture_output=True, timeout=WITHIN_S, check=False, cwd=folder
    )
    bodies = re.split(rb"Content-Length: \d+\r\n(?:[^\r\n]+\r\n)*\r\n", done.stdout)
    return [json.loads(body) for body in bodies if body], done.returncode


async def test_places_beyond_the_text_are_its_end(editor: Editor) -> None:
    uri = editor.open("features/x.dsl", "Feature: x\n@")
    for place in (lsp.Position(99, 0), lsp.Position(1, 99), lsp.Position(0, 99)):
        where = lsp.TextDocumentIdentifier(uri)
        await editor.client.text_document_completion_async(lsp.CompletionParams(where, place))
        assert (
            await editor.client.text_document_definition_async(lsp.DefinitionParams(where, place))
            == []
        )


async def test_a_thousand_quick_changes_end_with_what_is_wrong_with_the_last(
    editor: Editor,
) -> None:
    editor.write_project()
    uri = editor.open("features/flights.dsl", PIPELINE)
    for number in range(1_000):
        editor.change(uri, PIPELINE.replace('"clean"', f'"clean{number}"'))
    assert "clean999" in "".join(one.message for one in await editor.told(uri))


async def test_a_project_without_contracts_or_folders_is_read_as_it_is(editor: Editor) -> None:
    uri = editor.open("alone.dsl", PIPELINE)
    codes = {one.code for one in await editor.told(uri)}
    assert codes == {"D023", "D040", "D050"}
    assert "csv://" in await editor.completed(uri, '@source("|csv://data/planes')


async def test_files_that_vanish_underneath_are_told_and_missed_no_more_when_they_are_back(
    editor: Editor,
) -> None:
    editor.write_project()
    uri = editor.open("features/flights.dsl", PIPELINE)
    assert await editor.told(uri) == []
    (editor.root / "contracts/flights.py").unlink()
    (editor.root / "steps/flights.py").unlink()
    editor.change(uri, PIPELINE + "\n")
    assert {one.code for one in await editor.told(uri)} == {"D023", "D040", "D050"}
    editor.write_project()
    editor.change(uri, PIPELINE)
    assert await editor.told(uri) == []


async def test_a_contract_that_ends_its_process_ends_no_server(editor: Editor) -> None:
    editor.write_project()
    text = "import os\nprint('hello', flush=True)\nos.write(1, b'}')\nos._exit(7)\n"
    editor.write("contracts/flights.py", text)
    uri = editor.open("features/flights.dsl", PIPELINE)
    found = await editor.told(uri)
    assert any("ended with 7" in one.message for one in found)
    editor.write_project()
    editor.change(uri, PIPELINE)
    assert await editor.told(uri) == []


async def test_questions_are_answered_while_a_contract_is_imported(editor: Editor) -> None:
    editor.write_project()
    held = editor.hold_contract()
    uri = editor.open("features/flights.dsl", PIPELINE)
    offered = await editor.completed(uri, "\n    @|sink(")
    assert "@sink" in offered
    assert uri not in editor.diagnostics
    with anyio.fail_after(WITHIN_S):
        await anyio.to_thread.run_sync(held.release)
    assert await editor.told(uri) == []


async def test_a_page_that_is_closed_has_nothing_wrong_any_more(editor: Editor) -> None:
    uri = editor.open("features/x.dsl", "@nothing\n")
    assert await editor.told(uri)
    editor.client.text_document_did_close(
        lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri))
    )
    assert await editor.told(uri, lambda last: not last.diagnostics) == []


async def test_an_editor_that_says_goodbye_gets_exit_code_0(editor: Editor) -> None:
    assert await editor.stop() == 0


async def test_an_editor_that_says_only_exit_gets_1(editor: Editor) -> None:
    editor.client.exit(None)
    with anyio.fail_after(WITHIN_S):
        assert await editor.process.wait() == 1


def test_an_editor_that_is_gone_takes_its_server_along(tmp_path: Path) -> None:
    done = subprocess.run(
        [RUNI, "lsp"], input=b"", capture_output=True, timeout=WITHIN_S, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_what_is_no_message_is_complained_about_and_the_end_is_still_an_end(tmp_path: Path) -> None:
    wrong = b"Content-Length: 5\r\n\r\n{]{]{hello\r\n"
    done = subprocess.run(
        [RUNI, "lsp"], input=wrong, capture_output=True, timeout=WITHIN_S, check=False, cwd=tmp_path
    )
    assert done.returncode == 0


def test_the_command_line_loads_no_language_server_before_it_is_asked() -> None:
    code = (
        "import sys, runink.cli.commands as c; c.called(['--version']);"
        "sys.exit(bool({'pygls', 'lsprotocol', 'runink.lsp', 'pygments'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
