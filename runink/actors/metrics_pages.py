"""What an agent serves over HTTP.

    path        is answered
    /metrics    the node's metrics, the responder's own, and those of its relay and of the Barn's member that it speaks to, as far as they answer
    /healthz    200 while the node's lease is in force, else 503 with the reason

Each page is made anew when it is asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio.lowlevel

from runink.actors.node_metrics import NodeMetrics
from runink.actors.registration import LEASE_S
from runink.clients.barn_requests import Measure
from runink.config import Address
from runink.errors import Unavailable
from runink.observe.exposition import CONTENT_TYPE, expositions
from runink.observe.http_responder import Page, Responder, serving_http
from runink.observe.metrics import METRICS, Reading
from runink.relay.client import RelayClient
from runink.runtime.ref import Ref

BARN_S: Final = 2.0  # that a scrape waits for the Barn: Prometheus has 10


@asynccontextmanager
async def serving_metrics(
    place: Address | Path, metrics: NodeMetrics, barn: Ref[Any], state: Path
) -> AsyncIterator[int]:
    """Answer for a node with this state folder, for as long as the block. Yields and raises as `serving_http`."""
    async with serving_http(place, _responder(metrics, barn, state)) as port:
        yield port


def _responder(metrics: NodeMetrics, barn: Ref[Any], state: Path) -> Responder:

    async def metrics_page() -> Page:
        elsewhere = (*await _of_relay(metrics.relay), *await _of_barn(barn))
        readings = [*metrics.readings(state), *responder.readings(), *elsewhere]
        return Page(await _text(readings), content_type=CONTENT_TYPE)

    async def health_page() -> Page:
        return health(metrics.heartbeat_age_s)

    responder = Responder({"/metrics": metrics_page, "/healthz": health_page})
    return responder


def health(heartbeat_age_s: float | None) -> Page:
    """Return what /healthz answers."""
    if heartbeat_age_s is None:
        return Page(b"the node is not registered yet\n", 503)
    if heartbeat_age_s >= LEASE_S:
        said = f"the node's lease was not renewed for {heartbeat_age_s:.0f} s\n"
        return Page(said.encode(), 503)
    return Page(b"ok\n")


async def _of_relay(relay: RelayClient | None) -> Iterable[Reading]:
    readings = () if relay is None else await relay.readings()
    return (one for one in readings if one.name in METRICS)


async def _of_barn(barn: Ref[Any]) -> Iterable[Reading]:
    try:
        measures = await barn.ask(Measure(), within=BARN_S)
    except Unavailable:
        return ()
    return (one for one in measures.readings if one.name in METRICS)


async def _text(readings: Iterable[Reading]) -> bytes:
    """Write the readings, metric by metric, with room for others between."""
    parts = []
    for text in expositions(readings):
        parts.append(text.encode())
        await anyio.lowlevel.checkpoint()
    return b"".join(parts)
