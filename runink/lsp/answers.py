"""Answers to an editor's questions: each is one of the modules beside this one, said in the protocol's words."""

from __future__ import annotations

from collections.abc import Sequence

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInternalError, JsonRpcInvalidParams
from pygls.uris import from_fs_path

from runink.dsl.edits import Edit
from runink.dsl.formatting import formatted
from runink.dsl.lint_codes import LINT_CODES
from runink.errors import Broken, Invalid, Refused
from runink.lsp.actions import Action, actions_at, every_fix
from runink.lsp.analysis import Analysis
from runink.lsp.completion import TRIGGERS, Offer, completions
from runink.lsp.definition import Here, There, origins
from runink.lsp.hover import told_at
from runink.lsp.naming import renamed, same
from runink.lsp.open_page import OpenPage
from runink.lsp.project import Offers
from runink.lsp.server import PipelineServer
from runink.lsp.views import answer_views

FIX_ALL = f"{lsp.CodeActionKind.SourceFixAll.value}.runink"


def answer_all(server: PipelineServer) -> None:
    """Make the server answer all that it can."""
    _answer_words(server)
    _answer_names(server)
    _answer_edits(server)
    answer_views(server)


def _answer_words(server: PipelineServer) -> None:
    @server.feature(
        lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=TRIGGERS)
    )
    def completion(params: lsp.CompletionParams) -> lsp.CompletionList:
        page = server.page(params.text_document.uri)
        offset = page.positions.offset(params.position)
        found = completions(page.page, offset, server.offers(page))
        has_snippets = _has_snippets(server)
        items = [
            _item(one, place, page, has_snippets=has_snippets) for place, one in enumerate(found)
        ]
        return lsp.CompletionList(is_incomplete=False, items=items)

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        page = server.page(params.text_document.uri)
        offset = page.positions.offset(params.position)
        told = told_at(page.page, offset, server.offers(page))
        codes = _codes_at(server.analyses.get(page.uri), page, offset)
        if told is None and not codes:
            return None
        texts = [told.text] if told is not None else []
        text = lsp.MarkupContent(lsp.MarkupKind.Markdown, "\n\n".join([*texts, *codes]))
        return lsp.Hover(text, page.range(told.start, told.end) if told is not None else None)


def _codes_at(analysis: Analysis | None, page: OpenPage, offset: int) -> list[str]:
    """Return at length what lint has found at a place, if the page is still what it was then."""
    if analysis is None or analysis.text != page.text:
        return []
    found = []
    for one in analysis.told_of(analysis.file):
        code, span = LINT_CODES.get(one.finding.code), one.finding.span
        start, end = page.page.offsets.range(span) if span is not None else (0, -1)
        if code is not None and start <= offset <= end:
            found.append(f"**{code.code}** {code.text}")
    return list(dict.fromkeys(found))


def _item(one: Offer, place: int, page: OpenPage, *, has_snippets: bool) -> lsp.CompletionItem:
    is_snippet = one.is_snippet and has_snippets
    text = one.text if is_snippet or not one.is_snippet else _plain(one.text)
    about = lsp.MarkupContent(lsp.MarkupKind.Markdown, one.about) if one.about else None
    formats = lsp.InsertTextFormat
    return lsp.CompletionItem(
        label=one.label,
        kind=one.kind,
        detail=one.detail or None,
        documentation=about,
        sort_text=f"{place:04}",
        filter_text=one.label if one.is_snippet else one.text,
        insert_text_format=formats.Snippet if is_snippet else formats.PlainText,
        text_edit=lsp.TextEdit(page.range(one.start, one.end), text),
    )


def _has_snippets(server: PipelineServer) -> bool:
    text = server.client_capabilities.text_document
    item = text.completion.completion_item if text and text.completion else None
    return bool(item and item.snippet_support)


def _plain(snippet: str) -> str:
    return snippet.replace("$1", "").replace("$0", "")


def _answer_names(server: PipelineServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def definition(params: lsp.DefinitionParams) -> list[lsp.Location]:
        page = server.page(params.text_document.uri)
        offset = page.positions.offset(params.position)
        offers = server.offers(page)
        return [_location(one, page, offers) for one in origins(page.page, offset, offers)]

    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    def references(params: lsp.ReferenceParams) -> list[lsp.Location]:
        page = server.page(params.text_document.uri)
        found = same(page.page, page.positions.offset(params.position))
        return [
            lsp.Location(page.uri, page.range(one.start, one.end))
            for one in found
            if params.context.include_declaration or not one.is_definition
        ]

    @server.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare_rename(params: lsp.PrepareRenameParams) -> lsp.Range | None:
        page = server.page(params.text_document.uri)
        name = page.page.name_at(page.positions.offset(params.position))
        return page.range(name.start, name.end) if name is not None else None

    @server.feature(lsp.TEXT_DOCUMENT_RENAME, lsp.RenameOptions(prepare_provider=True))
    def rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit:
        page = server.page(params.text_document.uri)
        offset = page.positions.offset(params.position)
        try:
            edits = renamed(page.page, offset, params.new_name, server.offers(page))
        except Refused as error:
            raise JsonRpcInvalidParams(error.text) from None
        return _changed(page, edits)

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    def highlight(params: lsp.DocumentHighlightParams) -> list[lsp.DocumentHighlight]:
        page = server.page(params.text_document.uri)
        kinds = lsp.DocumentHighlightKind
        return [
            lsp.DocumentHighlight(
                page.range(one.start, one.end), kinds.Write if one.is_definition else kinds.Read
            )
            for one in same(page.page, page.positions.offset(params.position))
        ]


def _location(origin: Here | There, page: OpenPage, offers: Offers) -> lsp.Location:
    if isinstance(origin, Here):
        return lsp.Location(page.uri, page.range(origin.start, origin.end))
    path = offers.root / origin.file
    start = lsp.Position(origin.line - 1, origin.column)
    end = lsp.Position(origin.line - 1, origin.column + max(origin.length, 1))
    return lsp.Location(from_fs_path(str(path)) or path.as_uri(), lsp.Range(start, end))


def _changed(page: OpenPage, edits: Sequence[Edit]) -> lsp.WorkspaceEdit:
    changes = [lsp.TextEdit(page.range(one.start, one.end), one.text) for one in edits]
    return lsp.WorkspaceEdit(changes={page.uri: changes})


def _answer_edits(server: PipelineServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
        page = server.page(params.text_document.uri)
        try:
            made = formatted(page.text, page.file.name) if page.is_readable else page.text
        except Invalid:
            return []  # what is wrong with it is told already
        except Broken as error:
            raise JsonRpcInternalError(error.text) from None
        is_same = made == page.text
        return [] if is_same else [lsp.TextEdit(page.positions.whole(), made)]

    kinds = lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix, FIX_ALL])

    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, kinds)
    async def code_action(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        page = server.page(params.text_document.uri)
        found = await server.current(page)
        if found is None:
            return []  # the page has changed: the editor asks again
        start = page.positions.offset(params.range.start)
        end = page.positions.offset(params.range.end)
        only = params.context.only or []
        actions: list[lsp.CodeAction] = []
        if _wants(only, lsp.CodeActionKind.QuickFix.value):
            offered = actions_at(page.page, found.told_of(found.file), start, end)
            actions.extend(_action(one, page) for one in offered)
        edits = every_fix(found.told_of(found.file))
        if edits and _wants(only, FIX_ALL):
            title = "Mend all that lint can mend"
            whole = lsp.CodeAction(title, FIX_ALL, edit=_changed(page, edits))
            actions.append(whole)
        return actions


def _wants(only: Sequence[lsp.CodeActionKind | str], kind: str) -> bool:
    """Say whether a kind is asked for: it, or one that it is a part of."""
    names = [one.value if isinstance(one, lsp.CodeActionKind) else one for one in only]
    return not names or any(kind == one or kind.startswith(f"{one}.") for one in names)


def _action(one: Action, page: OpenPage) -> lsp.CodeAction:
    return lsp.CodeAction(
        one.title,
        lsp.CodeActionKind.QuickFix,
        edit=_changed(page, one.edits),
        is_preferred=one.is_sure,
    )
