"""The Python client of the HTTP API: the same calls, blocking (`Client`) and async (`AsyncClient`).

    with Client("unix:.runink/api.sock") as client:
        for herd in client.herds.list():
            print(herd.herd, herd.state)

Errors are those of `runink.errors`, with the codes that the server tells.
"""

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
