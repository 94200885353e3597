"""Around every request: its ids, errors as problems, headers, one line in the log. The one place of the API that catches everything."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from runink.api import origins, tracing
from runink.api.addresses import counted_as
from runink.api.entry import ALLOWANCE, PRINCIPAL, PURSE
from runink.api.handling import CODE, OPERATION, REQUEST_ID
from runink.api.headers import standard_headers
from runink.api.problems import HttpRefused, tell
from runink.errors import Broken, Refused, RuninkError
from runink.observe.api_metrics import Answered, ApiMetrics, Carrier
from runink.operations.declarations import HERD
from runink.operations.permission import absent
from runink.runtime.envelope import TRACEPARENT

_log = logging.getLogger("runink.api.access")
_broken = logging.getLogger(__name__)
_REASON: Final = web.RequestKey("reason", str)
_BEGAN_S: Final = web.RequestKey("began_s", float)


def around(*, shared: frozenset[str], methods: str) -> Middleware:
    """Return the middleware. `shared` are the origins whose pages may read answers, `methods` those that the API has."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        began_s = request[_BEGAN_S] = time.monotonic()
        _name(request)
        if request.method == "OPTIONS" and (
            told := origins.preflight(request.headers, shared, methods)
        ):
            response: web.StreamResponse = web.Response(status=204, headers=told)
        else:
            response = await _told(request, handler)
        _charge(request, response)
        _note(request, response, time.monotonic() - began_s)
        return response

    return middleware


def preparing(
    *, shared: frozenset[str], metrics: ApiMetrics
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return what is called before an answer's head is sent, a stream's as well; `metrics` are told of it."""

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        kind = headers.get("Content-Type", "")
        ours = standard_headers(kind, is_tls=request.secure)
        headers.update(
            ours | {"Cache-Control": headers.get("Cache-Control", ours["Cache-Control"])}
        )
        headers.update(origins.shared_with(request.headers, shared))
        headers["X-Request-Id"] = request.get(REQUEST_ID, "")
        allowance = request.get(ALLOWANCE)
        if allowance is not None:
            headers["RateLimit-Policy"] = allowance.policy
            headers["RateLimit"] = allowance.header
        metrics.answered(Carrier.HTTP, _answered(request, response.status))

    return prepare


def _answered(request: web.Request, status: int) -> Answered:
    seconds = time.monotonic() - request.get(_BEGAN_S, time.monotonic())
    herd = request.match_info.get(HERD, "")
    return Answered(request.get(OPERATION, ""), herd, status, request.get(CODE, ""), seconds)


def _name(request: web.Request) -> None:
    request_id = request.headers.get("X-Request-Id", "")
    entropy = secrets.token_bytes(tracing.REQUEST_ID_BYTES)
    request[REQUEST_ID] = tracing.request_id_of(request_id, entropy=entropy)
    entropy = secrets.token_bytes(tracing.TRACE_BYTES + tracing.SPAN_BYTES)
    said = request.headers.get("Traceparent", "")
    TRACEPARENT.set(tracing.traceparent_of(said, entropy=entropy))


async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RuninkError as error:
        if isinstance(error, Broken):
            _broken.exception("request failed", extra={"request_id": request[REQUEST_ID]})
        return _problem(request, error)
    except web.HTTPMethodNotAllowed as error:
        return _problem(request, _not_allowed(request.method, error.allowed_methods))
    except web.HTTPException as error:
        return _problem(request, _of_aiohttp(error))
    except Exception as error:  # noqa: BLE001 - a bug of one request is told with that request's id, and the others go on
        _broken.exception("request failed", extra={"request_id": request[REQUEST_ID]})
        return _problem(request, Broken(type(error).__name__))


def _not_allowed(method: str, allowed: set[str]) -> HttpRefused:
    names = ", ".join(sorted(allowed))
    return HttpRefused(
        f"{method[:16]} is not among the methods here",
        code="method_not_allowed",
        headers={"Allow": names},
        hint=f"there are {names}",
    )


def _of_aiohttp(error: web.HTTPException) -> RuninkError:
    if error.status == 404:
        return absent()
    if 400 <= error.status < 500:
        return Refused("that cannot be read", code="bad_request")
    return Broken(error.reason)


def _problem(request: web.Request, error: RuninkError) -> web.Response:
    request[CODE] = error.code
    request[_REASON] = error.text
    told = tell(error, instance=request.path, request_id=request[REQUEST_ID])
    response = web.Response(status=told.status, headers=told.headers, body=told.body)
    if told.headers.get("Connection") == "close":
        response.force_close()
    return response


def _charge(request: web.Request, response: web.StreamResponse) -> None:
    """Take a whole answer's bytes out of the purse of who has asked. What is sent as it comes takes its own (`sending.py`)."""
    purse = request.get(PURSE)
    if purse is not None and isinstance(response, web.Response) and request.method != "HEAD":
        body = response.body
        purse.has_sent(len(body) if isinstance(body, bytes) else 0)


def _note(request: web.Request, response: web.StreamResponse, took_s: float) -> None:
    """Write the line of a request: no header of it, no body, and of the query only the names."""
    if not _log.isEnabledFor(logging.INFO):
        return
    principal = request.get(PRINCIPAL)
    _log.info(
        "request",
        extra={
            "request_id": request[REQUEST_ID],
            "traceparent": TRACEPARENT.get(),
            "operation": request.get(OPERATION, ""),
            "method": request.method[:16],
            "path": request.path[:256],
            "query": ",".join(sorted(set(request.query)))[:256],
            "status": response.status,
            "code": request.get(CODE, ""),
            "reason": request.get(_REASON, "")[:256],
            "principal": principal.subject if principal is not None else "",
            "address": counted_as(request.remote or ""),
            "took_ms": round(took_s * 1000, 1),
            "sent_bytes": response.body_length,
        },
    )
