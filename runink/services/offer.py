"""What a member offers to those who ask from outside, one for all its doors: HTTP and the wire have the same services, the same records of calls, and count together who asks how often."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runink.clients.cluster import Cluster
from runink.clock import now_ms
from runink.identity.principals import Principal
from runink.observe.api_metrics import ApiMetrics
from runink.operations.calls import Service
from runink.operations.catalog.table import CATALOG
from runink.operations.cursors import Cursors
from runink.operations.declarations import Table
from runink.operations.hearing import Hearing
from runink.operations.idempotency import KeyStore
from runink.operations.purses import Budget
from runink.services.all import services_of
from runink.services.behind import Access, Behind
from runink.services.desk import DeskParts
from runink.services.kept_calls import BarnCalls


class Guests(Access, Protocol):
    """Knows whose a token is, and what they may."""

    async def authenticate(self, token: str) -> Principal:
        """Return who a token speaks for. Raises Unauthenticated."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """Services, who is heard, who may what, what was answered before, and what all doors count."""

    services: Service
    hearing: Hearing
    access: Access
    keys: KeyStore
    metrics: ApiMetrics

    def desk_parts(self, cursor_keys: Sequence[bytes]) -> DeskParts:
        """Return what the desk of the wire is made of."""
        return DeskParts(
            table=Table(CATALOG),
            service=self.services,
            authorize=self.access,
            hearing=self.hearing,
            keys=self.keys,
            cursors=Cursors(cursor_keys),
            now_ms=now_ms,
            entropy=os.urandom,
            metrics=self.metrics,
        )


def offer_of(
    cluster: Cluster, guests: Guests, metrics: ApiMetrics, *, budget_times: int = 1
) -> Offer:
    """Return what a cluster offers to these guests, counted by `metrics`. Each has so many times the usual budget."""
    behind = Behind(cluster=cluster, access=guests, now_ms=now_ms, entropy=os.urandom)
    budget = Budget().times(budget_times)
    hearing = Hearing(guests.authenticate, clock=time.monotonic, budget=budget)
    return Offer(services_of(behind), hearing, guests, BarnCalls(cluster.barn), metrics)
