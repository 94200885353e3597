"""Relays of one test, each behind a listening socket of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from relay_world import Relay, RelayWorld


@pytest.fixture
def world() -> Iterator[RelayWorld]:
    made = RelayWorld()
    yield made
    made.close()


@pytest.fixture
def two(world: RelayWorld) -> tuple[Relay, Relay]:
    return world.relay("one"), world.relay("two")
