"""A server of notes on a loopback socket, and clients of it: a good one, and one that writes bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from notebook import OPERATIONS, Guests, Notebook, parts_of
from runink.api.app import App, Parts, make_app
from runink.api.limits import Limits
from runink.api.serving import Door, Serving, serving
from runink.config import Address

LOOPBACK = Address("127.0.0.1", 0)
ANNA = {"Authorization": "Bearer anna-token"}
BERT = {"Authorization": "Bearer bert-token"}
SOON_S = 10.0  # what takes longer hangs


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes
    json: Any


class World:
    def __init__(self, notebook: Notebook, guests: Guests, parts: Parts, server: Serving) -> None:
        self.notebook = notebook
        self.guests = guests
        self.parts = parts
        self.server = server
        self.port: int = server.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        self.session: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> Answer:
        """Ask as Anna, if no headers say otherwise."""
        async with self.session.request(
            method, self.url + path, headers=ANNA if headers is None else headers, **options
        ) as response:
            body = await response.read()
            is_json = response.content_type.endswith("json") and body
            return Answer(
                response.status,
                response.headers,
                body,
                await response.json(content_type=None) if is_json else None,
            )

    async def raw(self, request: bytes) -> bytes:
        """Send bytes and return all that comes, until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(SOON_S):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def world(*, limits: Limits | None = None, **changes: Any) -> AsyncIterator[World]:
    notebook, guests = Notebook(), changes.pop("guests", None) or Guests()
    parts = parts_of(notebook, guests, limits=limits or Limits(), **changes)
    app: App = make_app(OPERATIONS, parts)
    async with serving(app, [Door(LOOPBACK)]) as server:
        made = World(notebook, guests, parts, server)
        timeout = aiohttp.ClientTimeout(total=SOON_S)
        async with aiohttp.ClientSession(timeout=timeout) as made.session:
            yield made
