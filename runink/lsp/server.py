"""The pages that an editor has open, and what is wrong with them.

    a change        the page is looked at in a thread, when and how often `looking.py` says; what is found is told with the version that it is of
    contracts       are imported by a process of its own (`contracts.py`), and are waited for
    a question      is answered from the page as it is, within milliseconds; what it needs of contracts is what was read last
    a refusal       is an answer: the editor shows its text

Pages come whole with every change: an editor and Python disagree on what ends a line, and a text that is put together from parts may
become another one.  What goes wrong in one question spoils no other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import anyio.to_thread
from lsprotocol import types as lsp
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcServerNotInitialized,
)
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.json_rpc import RPCRequest

from runink import __version__
from runink.dsl.compiler import Reading
from runink.lsp.analysis import Analysis, Reader, analysed, early
from runink.lsp.contracts import Contracts
from runink.lsp.looking import Looking
from runink.lsp.open_page import OpenPage
from runink.lsp.project import Offers, Superseded
from runink.lsp.telling import Board, told_of
from runink.projects import find_root

ROUNDS_MAX: Final = 3  # of reading contracts for one look: what is named by a contract that was just read comes in the next
WATCHED: Final = (
    "**/*.py",
    "**/herds/*.toml",
    "**/golden/*",
    "**/contracts/**/*.{yaml,yml}",
    "**/runink.toml",
)


class _Protocol(LanguageServerProtocol):
    """Answers a question of the wrong shape too: pygls tells the person and leaves the editor waiting.  Refuses, as the protocol demands, what comes before the beginning and behind the end.  And forgets what is done, which pygls keeps."""

    _has_begun = False
    _is_over = False

    def structure_message(self, data: dict[str, Any]) -> Any:
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if "id" in data and "method" in data:
                self._send_response(data["id"], error=error.to_response_error())
            raise

    def handle_message(self, message: Any) -> None:
        refused = self._refused(message) if isinstance(message, RPCRequest) else None
        if refused is None:
            super().handle_message(message)
        else:
            self._send_response(message.id, error=refused.to_response_error())

    def _refused(self, message: RPCRequest) -> JsonRpcException | None:
        begins = message.method == lsp.INITIALIZE
        if self._is_over or (begins and self._has_begun):
            return JsonRpcInvalidRequest()
        if not (begins or self._has_begun):
            return JsonRpcServerNotInitialized()
        self._has_begun = True
        self._is_over = message.method == lsp.SHUTDOWN
        return None

    def _handle_notification(self, method_name: str, params: Any) -> None:
        for number in [one for one, future in self._request_futures.items() if future.done()]:
            del self._request_futures[number]
        super()._handle_notification(method_name, params)


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
        self._sight = _Sight(self)
        self.looking = Looking(self._sight)
        self.board = Board()

    def opened(self, uri: str) -> OpenPage:
        """Read a page as it is now."""
        document = self.workspace.get_text_document(uri)
        encoding = self.server_capabilities.position_encoding or lsp.PositionEncodingKind.Utf16
        page = OpenPage(uri, document.source, document.version, lsp.PositionEncodingKind(encoding))
        self.pages[uri] = page
        return page

    def page(self, uri: str) -> OpenPage:
        """Return a page that is open. Raises JsonRpcInvalidParams for one that is not."""
        page = self.pages.get(uri)
        if page is None:
            raise JsonRpcInvalidParams(f"{uri} is not open")
        return page

    def offers(self, page: OpenPage) -> Offers:
        return Offers.of(page.file, self.contracts.last(find_root(page.file)))

    def closed(self, uri: str) -> None:
        self.pages.pop(uri, None)
        self.analyses.pop(uri, None)
        self._sight.forget(uri)
        for one, found in self.board.take(uri).items():
            self._publish(one, found, None)

    async def current(self, page: OpenPage) -> Analysis | None:
        """Wait until the page has been looked at, and return what was found; nothing if it is another one by then."""
        await self.looking.seen(page.uri)
        known = self.analyses.get(page.uri)
        return known if known is not None and known.text == page.text else None

    def tell(self, page: OpenPage, analysis: Analysis) -> None:
        """Tell the editor what was found in a page and the files that it depends on."""
        for uri, found in self.board.put(page.uri, told_of(analysis, page)).items():
            self._publish(uri, found, page.version if uri == page.uri else None)

    def _publish(self, uri: str, found: list[lsp.Diagnostic], version: int | None) -> None:
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found, version))


class _Sight:
    """How the server looks at its pages (`looking.Sight`)."""

    def __init__(self, server: PipelineServer) -> None:
        self._server = server
        self._readers: dict[str, Reader] = {}
        self._readings: dict[str, Reading] = {}

    def forget(self, uri: str) -> None:
        self._readers.pop(uri, None)
        self._readings.pop(uri, None)

    def is_open(self, uri: str) -> bool:
        return uri in self._server.pages

    def is_long(self, uri: str) -> bool:
        return self._server.pages[uri].is_long

    async def read(self, uri: str) -> None:
        page = self._server.pages[uri]
        last = self._server.analyses.get(uri) or Analysis("", "", page.file, ())
        reading = await self._reading(page)
        found = await anyio.to_thread.run_sync(early, reading, last)
        if self.is_open(uri):
            self._server.tell(page, found)

    async def judge(self, uri: str, is_stale: Callable[[], bool]) -> None:
        page = self._server.pages[uri]
        reading = await self._reading(page)
        root = find_root(page.file)
        contracts = self._server.contracts
        answers = await anyio.to_thread.run_sync(contracts.known, root)
        for _ in range(ROUNDS_MAX):
            offers = Offers(root, answers, is_stale)
            found = await anyio.to_thread.run_sync(analysed, reading, offers)
            if not found.missing:
                break
            answers = await contracts.read(root, {*found.missing, *answers})
        if is_stale():
            raise Superseded
        if self.is_open(uri):
            self._server.analyses[uri] = found
            self._server.tell(page, found)

    async def _reading(self, page: OpenPage) -> Reading:
        """Return the page as the parser knows it, which it reads once."""
        known = self._readings.get(page.uri)
        if known is None or known.source.text != page.text:
            reader = self._readers.setdefault(page.uri, Reader(page.file))
            known = await anyio.to_thread.run_sync(reader.read, page.text)
            if self.is_open(page.uri):
                self._readings[page.uri] = known
        return known


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
        await server.looking.look(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    async def did_change(params: lsp.DidChangeTextDocumentParams) -> None:
        server.opened(params.text_document.uri)
        await server.looking.look(params.text_document.uri)

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
    async with anyio.create_task_group() as group:
        for uri in list(server.pages):
            group.start_soon(server.looking.look, uri)
