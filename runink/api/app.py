"""The application: a table of operations and the parts that carry them out, put together."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from aiohttp import web

from runink.api.bodies import Bodies
from runink.api.entry import Entry
from runink.api.events import Streams
from runink.api.handling import Handling
from runink.api.limits import Limits
from runink.api.middleware import around, preparing
from runink.api.openapi import BASE
from runink.api.system import SYSTEM, System
from runink.identity.principals import Principal
from runink.observe.api_metrics import ApiMetrics
from runink.operations.calls import Authenticate, Authorize, Service
from runink.operations.crowd import Crowd
from runink.operations.cursors import Cursors
from runink.operations.declarations import Method, Operation, Table
from runink.operations.hearing import Hearing
from runink.operations.idempotency import KeyStore
from runink.operations.rates import Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an application is made of.

    `operator` is who speaks through a Unix socket without a token; nobody, if it is nothing.  `shared` are the origins whose pages may read
    answers: `https://console.example`.  `hearing` is there where the server has other doors than HTTP's, which count together with them, and `metrics` is
    told what all of them answer.
    """

    service: Service
    authenticate: Authenticate
    authorize: Authorize
    keys: KeyStore
    cursors: Cursors
    limits: Limits = field(default_factory=Limits)
    operator: Principal | None = None
    shared: frozenset[str] = frozenset()
    hearing: Hearing | None = None
    metrics: ApiMetrics = field(default_factory=ApiMetrics)


@dataclass(frozen=True, slots=True)
class App:
    """An application of aiohttp's, and what its server has to know of it."""

    web: web.Application
    limits: Limits
    streams: Streams
    system: System

    def stop(self) -> None:
        """End streams, and say that nothing new should come."""
        self.system.is_stopping = True
        self.streams.stop()


def make_app(operations: tuple[Operation, ...], parts: Parts) -> App:
    """Return the application. Raises InvariantBroken for a table that does not hold together, and Invalid for limits that cannot hold."""
    parts.limits.check()
    table = Table((*SYSTEM, *operations))
    hearing = parts.hearing or hearing_of(parts.authenticate, parts.limits)
    entry = Entry(hearing, parts.authorize, metrics=parts.metrics, operator=parts.operator)
    streams = Streams(parts.limits)
    system = System(table)
    handling = Handling(
        service=parts.service,
        system=system,
        entry=entry,
        keys=parts.keys,
        cursors=parts.cursors,
        streams=streams,
        crowd=Crowd(parts.limits.requests_at_once_max),
        bodies=Bodies(parts.limits),
        limits=parts.limits,
    )
    methods = ", ".join(sorted({*Method, "HEAD"}))
    app = web.Application(
        middlewares=[around(shared=parts.shared, methods=methods)],
    )
    app.on_response_prepare.append(preparing(shared=parts.shared, metrics=parts.metrics))
    for operation in sorted(table.operations, key=_named_first):
        _add(app, handling, operation)
    return App(app, parts.limits, streams, system)


def hearing_of(authenticate: Authenticate, limits: Limits) -> Hearing:
    """Return who hears callers with these limits."""
    return Hearing(
        authenticate,
        clock=time.monotonic,
        budget=limits,
        operator_times=limits.operator_times,
        failed=Rates(per_s=limits.failures_per_s, burst=limits.failures_burst),
    )


def _named_first(operation: Operation) -> list[bool]:
    """Return what routes are sorted by: the first one that fits is taken, and `/runs/events` is no run of that name."""
    return [part.startswith("{") for part in operation.path.split("/")]


def _add(app: web.Application, handling: Handling, operation: Operation) -> None:
    handler = handling.handler_of(operation)
    names = [operation.method.value]
    if operation.method is Method.GET:
        names.append("HEAD")
    for name in names:
        app.router.add_route(name, BASE + operation.path, handler, expect_handler=_later)


async def _later(_: web.Request) -> None:
    """Promise nothing to who waits for `100 Continue`: it is told when its body is read, so after it was let in."""
