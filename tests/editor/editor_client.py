"""An editor: a real client of the protocol, with `runi lsp` as it is started by editors, and a project on disk."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

WITHIN_S = 60.0  # of anything that is waited for: nothing takes a tenth of it on a machine that is not busy
RUNI = Path(sys.executable).with_name("runi")

STEPS = '''"""Steps."""

from runink import step


@step(each="batch")
def clean(flights, planes):
    """Take away what is broken."""
    return flights
'''
CONTRACTS = '''"""Contracts."""
from datetime import datetime
from typing import Annotated

from runink import Contract, Field


class Flight(Contract, version="1.2.0"):
    """One departure."""

    carrier: Annotated[str, Field(pattern="[A-Z]{2}")]
    dep_delay: Annotated[int, Field(ge=-120, unit="minutes", description="late when more than 0")]
    tailnum: str | None = None
    planned: datetime | None = None
'''
PIPELINE = """@herd("analytics")
@param("day", default="2013-01-01")
Feature: On time

  @module(layer="bronze")
  Scenario: Take in what was flown
    @source("csv://data/flights-${day}.csv")
    @source("csv://data/planes.csv", as=planes)
    @contract("contracts/flights.py:Flight")
    @step("clean", as=cleaned)
    @sink("parquet://out/bronze/flights.parquet", from=cleaned, when "dep_delay > 15")
    @deadletter("jsonl://out/dead/flights.jsonl")
    @assert("rejected_ratio <= 0.03")

    Given the airport's own schedule

  @module(layer="gold")
  Scenario: By airline
    @source("parquet://out/bronze/flights.parquet")
    @source("csv://data/airlines.csv", as=airlines)
    @step(sql="SELECT airlines.name, count(*) AS flights FROM input JOIN airlines USING (carrier) GROUP BY ALL")
    @sink("parquet://out/gold/flights.parquet")
    @golden("golden/flights.csv", key=["name"])
"""


class Held:
    """A contract's file whose import waits until it is released."""

    def __init__(self, pipe: Path) -> None:
        self._pipe = pipe
        os.mkfifo(pipe)
        self.lines = f"open({str(pipe)!r}).read()\n"

    def release(self) -> None:
        """Let the import go on; waits until it is there."""
        self._pipe.open("w").close()


class Editor:
    """Pages are named by their file in the project; places by the text around them, `|` is the cursor."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.client = LanguageClient("tests", "1")
        self.diagnostics: dict[str, lsp.PublishDiagnosticsParams] = {}
        self.messages: list[str] = []
        self._texts: dict[str, str] = {}
        self._versions: dict[str, int] = {}
        self._news = asyncio.Condition()
        self.answer: lsp.InitializeResult | None = None

        @self.client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        async def publish(params: lsp.PublishDiagnosticsParams) -> None:
            async with self._news:
                self.diagnostics[params.uri] = params
                self._news.notify_all()

        @self.client.feature(lsp.WINDOW_SHOW_MESSAGE)
        async def show(params: lsp.ShowMessageParams) -> None:
            async with self._news:
                self.messages.append(params.message)
                self._news.notify_all()

    # The project.

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def write_project(self) -> None:
        self.write("runink.toml", "")
        self.write("steps/flights.py", STEPS)
        self.write("contracts/flights.py", CONTRACTS)
        self.write("herds/analytics.toml", '[herd]\nid = "analytics"\n')
        self.write("golden/flights.csv", "name,flights\n")
        self.write("data/planes.csv", "tailnum\n")
        self.write("data/airlines.csv", "carrier,name\n")

    def hold_contract(self) -> Held:
        """Let the import of the project's contracts wait."""
        held = Held(self.root / "held")
        self.write("contracts/flights.py", held.lines + CONTRACTS)
        return held

    def uri(self, path: str) -> str:
        return (self.root / path).as_uri()

    # The process.

    async def start(self, **capabilities: Any) -> None:
        await self.client.start_io(str(RUNI), "lsp", "--stdio", cwd=str(self.root))
        with anyio.fail_after(WITHIN_S):
            self.answer = await self.client.initialize_async(
                lsp.InitializeParams(
                    capabilities=lsp.ClientCapabilities(**capabilities),
                    root_uri=self.root.as_uri(),
                )
            )
        self.client.initialized(lsp.InitializedParams())

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self.client._server is not None
        return self.client._server

    async def stop(self) -> int | None:
        """End the server as an editor does, and return its exit code; kill it if that does not help."""
        if self.process.returncode is None:
            try:
                with anyio.fail_after(WITHIN_S):
                    await self.client.shutdown_async(None)
                    self.client.exit(None)
                    await self.process.wait()
            finally:
                if self.process.returncode is None:
                    self.process.kill()
        await self.client.stop()
        return self.process.returncode

    # Pages.

    def open(self, path: str, text: str) -> str:
        uri = self.uri(path)
        self._texts[uri] = text
        version = self._versions[uri] = self._versions.get(uri, 0) + 1
        item = lsp.TextDocumentItem(uri, "runink", version, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        return uri

    def change(self, uri: str, text: str) -> int:
        self._texts[uri] = text
        self._versions[uri] += 1
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(self._versions[uri], uri),
                [lsp.TextDocumentContentChangeWholeDocument(text)],
            )
        )
        return self._versions[uri]

    async def told(
        self, uri: str, fits: Callable[[lsp.PublishDiagnosticsParams], bool] | None = None
    ) -> list[lsp.Diagnostic]:
        """Wait for what is wrong with a page as it is now, or until it fits."""

        def is_there() -> bool:
            last = self.diagnostics.get(uri)
            if last is None:
                return False
            if fits is not None:
                return fits(last)
            return last.version == self._versions.get(uri)

        with anyio.fail_after(WITHIN_S):
            async with self._news:
                await self._news.wait_for(is_there)
        return list(self.diagnostics[uri].diagnostics)

    async def shown(self, fits: Callable[[str], bool]) -> None:
        """Wait for a message to the person at the editor."""
        with anyio.fail_after(WITHIN_S):
            async with self._news:
                await self._news.wait_for(lambda: any(fits(one) for one in self.messages))

    def text(self, uri: str) -> str:
        return self._texts[uri]

    def place(self, uri: str, around: str) -> lsp.Position:
        """Return the place of the `|` in a piece of the page's text, in UTF-16 units."""
        before, bar, after = around.partition("|")
        assert bar, "a place has a |"
        at = self._texts[uri].index(before + after) + len(before)
        lines = self._texts[uri][:at].split("\n")
        return lsp.Position(len(lines) - 1, len(lines[-1].encode("utf-16-le")) // 2)

    def at(self, uri: str, around: str) -> dict[str, Any]:
        return {
            "text_document": lsp.TextDocumentIdentifier(uri),
            "position": self.place(uri, around),
        }

    def within(self, uri: str, where: lsp.Range) -> str:
        """Return the text that a range holds."""
        lines = self._texts[uri].split("\n")
        assert where.start.line == where.end.line
        line = lines[where.start.line].encode("utf-16-le")
        return line[where.start.character * 2 : where.end.character * 2].decode("utf-16-le")

    async def completed(self, uri: str, around: str) -> list[str]:
        """Return the labels that are offered at a place."""
        found = await self.client.text_document_completion_async(
            lsp.CompletionParams(**self.at(uri, around))
        )
        assert isinstance(found, lsp.CompletionList)
        return [one.label for one in found.items]
