"""Names of aiohttp's inside that the guard uses: this fails, and says which, when a version has them no more."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from api_world import world
from runink.api.guard import GuardedHandler

HINT = "runink/api/guard.py uses it: look at what this version of aiohttp has in its place, and raise the pin in pyproject.toml with it"


@pytest.mark.parametrize("name", ["_current_request", "_messages", "_loop", "transport"])
def test_the_protocol_has_what_the_guard_looks_at(name: str) -> None:
    slots = {slot for base in RequestHandler.__mro__ for slot in getattr(base, "__slots__", ())}
    assert name in slots, f"RequestHandler.{name}: {HINT}"


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (RequestHandler, "connection_made"),
        (RequestHandler, "connection_lost"),
        (RequestHandler, "data_received"),
        (RequestHandler, "resume_writing"),
        (RequestHandler, "force_close"),
        (RequestHandler, "handle_error"),
        (web.AppRunner, "_make_server"),
        (web.BaseSite, "start"),
    ],
)
def test_what_the_guard_takes_the_place_of_is_there(owner: type, name: str) -> None:
    assert callable(getattr(owner, name, None)), f"{owner.__name__}.{name}: {HINT}"


def test_the_protocol_says_whether_the_client_takes_what_is_sent() -> None:
    assert isinstance(getattr(RequestHandler, "writing_paused", None), property), HINT


def test_options_that_the_guard_sets_are_known() -> None:
    known = inspect.signature(RequestHandler.__init__).parameters
    wanted = {
        "auto_decompress",
        "keepalive_timeout",
        "lingering_time",
        "max_field_size",
        "max_headers",
        "max_line_size",
    }
    assert wanted <= known.keys(), f"{wanted - known.keys()}: {HINT}"


@pytest.mark.anyio
async def test_a_connection_is_busy_while_a_request_is_handled_and_only_then() -> None:
    seen: list[bool] = []
    async with world() as api:
        runner = api.server._runner
        assert runner.server is not None

        async def look(operation: object) -> None:
            del operation
            assert runner.server is not None
            seen.extend(
                one._is_busy for one in runner.server.connections if isinstance(one, GuardedHandler)
            )

        api.notebook.put("flights", "first", "x")
        api.notebook.turn = look
        await api.ask("GET", "/herds/flights/notes/first")
        assert seen == [True], f"_current_request means something else: {HINT}"
        async with asyncio.timeout(5):
            (one,) = runner.server.connections
            assert isinstance(one, GuardedHandler)
            while one._is_busy:
                await api.ask("GET", "/health", {})
