"""The server keeps nothing of what is done."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
from pathlib import Path

import anyio.lowlevel
from lsprotocol import types as lsp
from runink.lsp.server import PipelineServer, made

KEYS = 50


def pending() -> int:
    """Return how many results there are that somebody keeps."""
    gc.collect()
    kinds = (asyncio.Future, concurrent.futures.Future)
    return sum(isinstance(one, kinds) for one in gc.get_objects())


async def typed(server: PipelineServer, uri: str, first: int) -> None:
    for version in range(first, first + KEYS):
        where = lsp.VersionedTextDocumentIdentifier(version, uri)
        change = lsp.TextDocumentContentChangeWholeDocument(f"Feature: {version}\n")
        params = lsp.DidChangeTextDocumentParams(where, [change])
        server.protocol.handle_message(lsp.DidChangeTextDocumentNotification(params))
    await anyio.lowlevel.checkpoint()  # the look begins
    await server.looking.seen(uri)


def test_a_key_leaves_nothing_behind_when_it_has_been_looked_at(tmp_path: Path) -> None:
    async def run() -> None:
        server, uri = made(), (tmp_path / "x.dsl").as_uri()
        hello = lsp.InitializeParams(lsp.ClientCapabilities())
        server.protocol.handle_message(lsp.InitializeRequest(1, hello))
        item = lsp.TextDocumentItem(uri, "runink", 1, "")
        opened = lsp.DidOpenTextDocumentParams(item)
        server.protocol.handle_message(lsp.DidOpenTextDocumentNotification(opened))
        await typed(server, uri, 2)
        before = pending()
        await typed(server, uri, 2 + KEYS)
        assert pending() < before + KEYS

    asyncio.run(run())
