"""The pages that an editor has open, and what is wrong with them.

    a change        the page is read anew at once; what is wrong with it is looked for in a thread, one look at a time for each page: a change
                    in the middle of one means one more behind it, however many changes there were
    contracts       are imported by a process of its own (`contracts.py`), and are waited for
    a question      is answered from the page as it is, within milliseconds; what it needs of contracts is what was read last
    a refusal       is an answer: the editor shows its text

Pages come whole with every change: an editor and Python disagree on what ends a line, and a text that is put together from parts may
become another one.  What goes wrong in one question spoils no other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol
from pygls.uris import from_fs_path, to_fs_path

from runink import __version__
from runink.dsl.lint_codes import Severity
from runink.dsl.linting import Lint
from runink.errors import Span
from runink.lsp.analysis import Analysis, analysed
from runink.lsp.contracts import Contracts
from runink.lsp.page import Page
from runink.lsp.positions import Positions
from runink.lsp.project import Offers
from runink.projects import find_root

ROUNDS_MAX: Final = 3  # of reading contracts for one look: what is named by a contract that was just read comes in the next
WATCHED: Final = ("**/*.py", "**/herds/*.toml", "**/golden/*")


class OpenPage:
    """A page that an editor has open: its text, and what it was when last looked at."""

    def __init__(self, uri: str, text: str, version: int | None, positions: Positions) -> None:
        self.uri = uri
        self.version = version
        self.page = Page(text)
        self.positions = positions
        self.file = Path(to_fs_path(uri) or uri)

    def range(self, start: int, end: int) -> lsp.Range:
        return self.positions.range(start, end)


class _Protocol(LanguageServerProtocol):
    """Answers a question of the wrong shape too: pygls tells the person and leaves the editor waiting."""

    def structure_message(self, data: dict[str, Any]) -> Any:
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if "id" in data and "method" in data:
                self._send_response(data["id"], error=error.to_response_error())
            raise


class PipelineServer(LanguageServer):
    """Speaks for the pages that are open."""

    def __init__(self) -> None:
        super().__init__(
            "runink",
            __version__,
            text_document_sync_kind=lsp.TextDocumentSyncKind.Full,
            protocol_cls=_Protocol,
        )
        self.contracts = Contracts()
        self.pages: dict[str, OpenPage] = {}
        self.analyses: dict[str, Analysis] = {}
        self.is_done = False  # the editor has said that it will leave
        self.exit_code = 0
        self._looking: set[str] = set()  # pages that are looked at
        self._stale: set[str] = set()  # pages that have changed since
        self._told: dict[str, set[str]] = {}  # of a page, the files that diagnostics were given for

    # Pages.

    def opened(self, uri: str) -> OpenPage:
        """Read a page as it is now."""
        document = self.workspace.get_text_document(uri)
        encoding = self.server_capabilities.position_encoding or lsp.PositionEncodingKind.Utf16
        positions = Positions(document.source, lsp.PositionEncodingKind(encoding))
        page = OpenPage(uri, document.source, document.version, positions)
        self.pages[uri] = page
        return page

    def page(self, uri: str) -> OpenPage:
        """Return a page that is open. Raises JsonRpcInvalidParams for one that is not."""
        page = self.pages.get(uri)
        if page is None:
            raise JsonRpcInvalidParams(f"{uri} is not open")
        return page

    def offers(self, page: OpenPage) -> Offers:
        return Offers.of(page.file, self.contracts.known(find_root(page.file)))

    def closed(self, uri: str) -> None:
        self.pages.pop(uri, None)
        self.analyses.pop(uri, None)
        for one in self._told.pop(uri, set()):
            self._publish(one, [], None)

    # Diagnostics.

    async def look(self, uri: str) -> None:
        """Find what is wrong with a page and tell the editor; when it changes meanwhile, once more."""
        self._stale.add(uri)
        if uri in self._looking:
            return
        self._looking.add(uri)
        try:
            while uri in self._stale and uri in self.pages:
                self._stale.discard(uri)
                page = self.pages[uri]
                analysis = await self._analysis(page)
                if uri in self.pages:
                    self.analyses[uri] = analysis
                    self._tell(page, analysis)
        finally:
            self._looking.discard(uri)

    async def current(self, page: OpenPage) -> Analysis:
        """Return what is known of a page as it is now."""
        known = self.analyses.get(page.uri)
        if known is not None and known.text == page.page.text:
            return known
        return await self._analysis(page)

    async def _analysis(self, page: OpenPage) -> Analysis:
        root = find_root(page.file)
        answers = await anyio.to_thread.run_sync(self.contracts.known, root)
        for _ in range(ROUNDS_MAX):
            found = await anyio.to_thread.run_sync(analysed, page.page.text, page.file, answers)
            if not found.missing:
                break
            answers = await self.contracts.read(root, {*found.missing, *answers})
        return found

    def _tell(self, page: OpenPage, analysis: Analysis) -> None:
        own: list[lsp.Diagnostic] = []
        others: dict[str, list[lsp.Diagnostic]] = {}
        for one in analysis.found:
            span = one.finding.span
            if span is None or span.file == analysis.file:
                own.append(_diagnostic(one, page, analysis))
            else:
                uri = uri_of(analysis.root / span.file)
                others.setdefault(uri, []).append(_diagnostic(one, None, analysis))
        before = self._told.get(page.uri, set())
        self._told[page.uri] = {page.uri, *others}
        self._publish(page.uri, own, page.version)
        for uri in sorted(before | others.keys()):
            if uri != page.uri:
                self._publish(uri, others.get(uri, []), None)

    def _publish(self, uri: str, found: list[lsp.Diagnostic], version: int | None) -> None:
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found, version))


def uri_of(path: Path) -> str:
    return from_fs_path(str(path)) or path.as_uri()


_SEVERITIES: Final = {
    Severity.ERROR: lsp.DiagnosticSeverity.Error,
    Severity.WARNING: lsp.DiagnosticSeverity.Warning,
    Severity.NOTE: lsp.DiagnosticSeverity.Information,
}


def _diagnostic(one: Lint, page: OpenPage | None, analysis: Analysis) -> lsp.Diagnostic:
    finding = one.finding
    text = f"{finding.text}\n{finding.hint}" if finding.hint else finding.text
    related = [
        lsp.DiagnosticRelatedInformation(
            lsp.Location(uri_of(analysis.root / label.span.file), range_of(label.span, page)),
            label.text,
        )
        for label in finding.labels
    ]
    return lsp.Diagnostic(
        range=range_of(finding.span, page),
        message=text,
        severity=_SEVERITIES[one.severity],
        code=finding.code,
        source="runink",
        related_information=related or None,
    )


def range_of(span: Span | None, page: OpenPage | None) -> lsp.Range:
    """Return a span as an editor says it; of a file that is not open, its columns are characters."""
    if span is None:
        return lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
    if page is not None:
        return page.range(*page.page.offsets.range(span))
    start = lsp.Position(span.line - 1, span.column - 1)
    return lsp.Range(start, lsp.Position(span.line - 1, span.column - 1 + span.length))


# What the editor does.


def made() -> PipelineServer:
    """Return a server that keeps pages, and answers nothing yet."""
    server = PipelineServer()
    _keep_pages(server)
    return server


def _keep_pages(server: PipelineServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    async def did_open(params: lsp.DidOpenTextDocumentParams) -> None:
        server.opened(params.text_document.uri)
        await server.look(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    async def did_change(params: lsp.DidChangeTextDocumentParams) -> None:
        server.opened(params.text_document.uri)
        await server.look(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    async def did_save(_: lsp.DidSaveTextDocumentParams) -> None:
        await _look_at_all(server)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: lsp.DidCloseTextDocumentParams) -> None:
        server.closed(params.text_document.uri)

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    async def did_change_files(_: lsp.DidChangeWatchedFilesParams) -> None:
        await _look_at_all(server)

    @server.feature(lsp.SHUTDOWN)
    def shutdown(_: None) -> None:
        server.is_done = True

    @server.feature(lsp.EXIT)
    def leave(_: None) -> None:
        server.exit_code = 0 if server.is_done else 1

    @server.feature(lsp.INITIALIZED)
    async def initialized(_: lsp.InitializedParams) -> None:
        workspace = server.client_capabilities.workspace
        watched = workspace.did_change_watched_files if workspace is not None else None
        if watched is None or not watched.dynamic_registration:
            return
        options = lsp.DidChangeWatchedFilesRegistrationOptions(
            [lsp.FileSystemWatcher(one) for one in WATCHED]
        )
        one = lsp.Registration("runink-files", lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        await server.client_register_capability_async(lsp.RegistrationParams([one]))


async def _look_at_all(server: PipelineServer) -> None:
    for uri in list(server.pages):
        await server.look(uri)
