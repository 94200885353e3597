"""Attacks an API by its own document: a server in a thread, and schemathesis with examples of each operation, good and bad ones."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))
from notebook import OPERATIONS, Guests, Notebook, parts_of
from runink.api.app import App, Parts, make_app
from runink.api.limits import Limits
from runink.api.openapi import document
from runink.api.serving import Door, serving
from runink.api.system import SYSTEM
from runink.config import Address
from runink.operations.answers import Event
from runink.operations.declarations import Operation, Table

HEADERS = {"Authorization": "Bearer anna-token"}
KNOWN = {"herd": "flights", "note": "first"}  # or most of what is asked for would not be there
WITHIN_S = 20.0


class Attacked(Notebook):
    """Notes whose streams end, with some in it."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("first", "second"):
            self.put("flights", name, "x")

    async def _events(self, herd: str, since: int) -> AsyncIterator[Event]:
        for whose, event in self.changes:
            if whose == herd and event.revision > since:
                yield event


@asynccontextmanager
async def notes(make: Callable[[], Parts]) -> AsyncIterator[App]:
    """Make the notes' application."""
    yield make_app(OPERATIONS, make())


@contextmanager
def served(make: Callable[[], AbstractAsyncContextManager[App]]) -> Iterator[str]:
    """Serve in a thread of its own, and yield the address."""
    ready: list[Any] = []
    up = threading.Event()

    async def serve() -> None:
        over = asyncio.Event()
        async with make() as app, serving(app, [Door(Address("127.0.0.1", 0))]) as server:
            ready.extend([server.addresses[0][1], asyncio.get_running_loop(), over])
            up.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert up.wait(WITHIN_S), "the server did not begin"
        yield f"http://127.0.0.1:{ready[0]}"
    finally:
        if ready:
            ready[1].call_soon_threadsafe(ready[2].set)
        thread.join(WITHIN_S)


def attack(
    make: Callable[[], Parts],
    *,
    examples: int,
    modes: tuple[GenerationMode, ...] = tuple(GenerationMode),
) -> dict[str, set[str]]:
    """Attack the notes' API. Return what was found wrong, by the name of the operation: the names of schemathesis' failures."""
    return attacked(partial(notes, make), OPERATIONS, KNOWN, examples=examples, modes=modes)


def attacked(
    make: Callable[[], AbstractAsyncContextManager[App]],
    operations: tuple[Operation, ...],
    names: Mapping[str, str],
    *,
    examples: int,
    modes: tuple[GenerationMode, ...] = tuple(GenerationMode),
    only: str = "",
) -> dict[str, set[str]]:
    """Attack an API of these operations, or only the one of that name. `names` are parts of paths that are there, for good examples; `make` may add to them."""
    found: dict[str, set[str]] = {}
    plain = document(Table((*SYSTEM, *operations)), version="0")
    with served(make) as address:
        schema = schemathesis.openapi.from_dict(plain)
        schema.config.update(base_url=address)
        for result in schema.get_all_operations():
            operation = result.ok()
            name = operation.definition.raw["operationId"]
            for mode in modes if only in {"", name} else ():
                known = names if mode is GenerationMode.POSITIVE else {}
                there = {one: text for one, text in known.items() if f"{{{one}}}" in operation.path}
                strategy = operation.as_strategy(
                    generation_mode=mode, path_parameters=there or None
                )
                found.setdefault(name, set()).update(_tried(strategy, examples))
    return {name: kinds for name, kinds in found.items() if kinds}


def _tried(strategy: Any, examples: int) -> set[str]:
    kinds: set[str] = set()
    session = requests.Session()

    @seed(7)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def one(case: Any) -> None:
        response = case.call(headers=HEADERS, session=session)
        try:
            case.validate_response(response, headers=HEADERS)
        except FailureGroup as group:
            kinds.update(type(failure).__name__ for failure in group.exceptions)
            if _cannot_be_made_up(response):
                kinds.discard("RejectedPositiveData")

    with suppress(Unsatisfiable):  # what takes no parameter cannot be asked wrongly
        one()
    session.close()
    return kinds


def _cannot_be_made_up(response: Any) -> bool:
    """Say whether an ETag or a cursor was refused: a schema cannot say which ones there are."""
    return (
        b'"code":"precondition_failed"' in response.content
        or b'"code":"invalid_cursor"' in response.content
    )


def clean(**changes: Any) -> Callable[[], Parts]:
    def make() -> Parts:
        limits = Limits(requests_burst=1_000_000, failures_burst=1_000_000)
        return parts_of(
            changes.pop("notebook", Attacked)(),
            changes.pop("guests", Guests)(),
            limits=limits,
            **changes,
        )

    return make
