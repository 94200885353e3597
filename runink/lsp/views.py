"""How an editor shows a page: its outline, what can be folded, and what each word is. All of it is of the text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread
from lsprotocol import types as lsp

from runink.lsp.folds import folds
from runink.lsp.legend import MODIFIERS, TYPES, changes
from runink.lsp.open_page import OpenPage
from runink.lsp.server import PipelineServer
from runink.lsp.symbols import Symbol, symbols

if TYPE_CHECKING:
    from runink.lsp.tokens import Colours

LEGEND = lsp.SemanticTokensLegend(list(TYPES), list(MODIFIERS))


def answer_views(server: PipelineServer) -> None:
    """Make the server answer what pages look like."""
    _answer_outline(server)
    _answer_colours(server)


def _answer_outline(server: PipelineServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    async def outline(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        # In a thread: of a long page it is all annotations, and editors ask behind every change.
        return await anyio.to_thread.run_sync(_outlined, server.page(params.text_document.uri))

    @server.feature(lsp.TEXT_DOCUMENT_FOLDING_RANGE)
    def folding(params: lsp.FoldingRangeParams) -> list[lsp.FoldingRange]:
        page = server.page(params.text_document.uri)
        return [
            lsp.FoldingRange(
                # Our lines end in LF alone; an editor's in CR, too.
                page.positions.position(page.page.offsets.line_range(one.first + 1)[0]).line,
                page.positions.position(page.page.offsets.line_range(one.last + 1)[0]).line,
                kind=lsp.FoldingRangeKind.Comment if one.is_note else lsp.FoldingRangeKind.Region,
            )
            for one in folds(page.page)
        ]


def _outlined(page: OpenPage) -> list[lsp.DocumentSymbol]:
    return [_symbol(one, page) for one in symbols(page.page)]


def _symbol(one: Symbol, page: OpenPage) -> lsp.DocumentSymbol:
    return lsp.DocumentSymbol(
        name=one.name,
        kind=one.kind,
        range=page.range(one.start, one.end),
        selection_range=page.range(one.name_start, one.name_end),
        detail=one.detail or None,
        children=[_symbol(child, page) for child in one.children],
    )


class _Painter:
    """The colours of pages that are open, and what an editor was told last of each."""

    def __init__(self, server: PipelineServer) -> None:
        self._server = server
        self._colours: dict[str, Colours] = {}
        self._told: dict[str, tuple[str, list[int]]] = {}
        self._number = 0

    async def whole(self, uri: str) -> tuple[str, list[int]]:
        """Return the tokens of a page, and what this answer is called."""
        found = await self.of(uri, 0, None)
        self._number += 1
        for closed in self._told.keys() - self._server.pages.keys():
            del self._told[closed]
        self._told[uri] = str(self._number), found
        return self._told[uri]

    async def of(self, uri: str, start: int, end: int | None) -> list[int]:
        from runink.lsp.tokens import Colours  # noqa: PLC0415 - an editor that does not ask does not wait for Pygments

        page = self._server.page(uri)
        for closed in self._colours.keys() - self._server.pages.keys():
            del self._colours[closed]
        colours = self._colours.setdefault(uri, Colours(page.encoding))
        return await anyio.to_thread.run_sync(colours.coloured, page.page, start, end)

    def last(self, uri: str, name: str) -> list[int] | None:
        """Return what was told by an answer, if it was the last one."""
        known = self._told.get(uri)
        return known[1] if known is not None and known[0] == name else None


def _answer_colours(server: PipelineServer) -> None:
    painter = _Painter(server)

    @server.feature(lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, LEGEND)
    async def full(params: lsp.SemanticTokensParams) -> lsp.SemanticTokens:
        name, found = await painter.whole(params.text_document.uri)
        return lsp.SemanticTokens(found, name)

    @server.feature(lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL_DELTA, LEGEND)
    async def delta(
        params: lsp.SemanticTokensDeltaParams,
    ) -> lsp.SemanticTokens | lsp.SemanticTokensDelta:
        uri = params.text_document.uri
        old = painter.last(uri, params.previous_result_id)
        name, found = await painter.whole(uri)
        if old is None:
            return lsp.SemanticTokens(found, name)
        change = changes(old, found)
        edits = [lsp.SemanticTokensEdit(*change)] if change is not None else []
        return lsp.SemanticTokensDelta(edits, name)

    @server.feature(lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_RANGE, LEGEND)
    async def part(params: lsp.SemanticTokensRangeParams) -> lsp.SemanticTokens:
        page = server.page(params.text_document.uri)
        start = page.positions.offset(params.range.start)
        end = page.positions.offset(params.range.end)
        return lsp.SemanticTokens(await painter.of(page.uri, start, max(end, start)))
