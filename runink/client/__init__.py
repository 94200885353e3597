"""The Python client of the HTTP API: the same calls, blocking (`Client`) and async (`AsyncClient`).

    with Client("unix:.runink/api.sock") as client:
        for herd in client.herds.list():
            print(herd.herd, herd.state)

Errors are those of `runink.errors`, with the codes that the server tells. Each client is loaded when it is first used: a command that asks in its own process needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runink.client.answers import Answer, Head
    from runink.client.asynchronous import AsyncClient, AsyncDownload, AsyncEvents, AsyncValues
    from runink.client.blocking import Client, Download, Events, Values
    from runink.client.calls import Patience
    from runink.client.credentials import Bearer, Credentials
    from runink.client.endpoints import Endpoint, endpoint_of
    from runink.client.programs import ClientCredentials

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncDownload",
    "AsyncEvents",
    "AsyncValues",
    "Bearer",
    "Client",
    "ClientCredentials",
    "Credentials",
    "Download",
    "Endpoint",
    "Events",
    "Head",
    "Patience",
    "Values",
    "endpoint_of",
]

_HOMES = {
    "Answer": "runink.client.answers",
    "AsyncClient": "runink.client.asynchronous",
    "AsyncDownload": "runink.client.asynchronous",
    "AsyncEvents": "runink.client.asynchronous",
    "AsyncValues": "runink.client.asynchronous",
    "Bearer": "runink.client.credentials",
    "Client": "runink.client.blocking",
    "ClientCredentials": "runink.client.programs",
    "Credentials": "runink.client.credentials",
    "Download": "runink.client.blocking",
    "Endpoint": "runink.client.endpoints",
    "Events": "runink.client.blocking",
    "Head": "runink.client.answers",
    "Patience": "runink.client.calls",
    "Values": "runink.client.blocking",
    "endpoint_of": "runink.client.endpoints",
}


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - only when something is asked for

    if name in _HOMES:
        found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return found
    raise AttributeError(f"module 'runink.client' has no attribute {name!r}")
