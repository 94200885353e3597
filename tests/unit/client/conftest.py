"""Every test of a client is one of both kinds, under both loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runink.client import AsyncClient, Client

# The notebook and its server: clients are asked to speak with what the tests of the API attack.
sys.path.insert(0, str(Path(__file__).parents[1] / "api"))


@pytest.fixture(params=[AsyncClient, Client], ids=["async", "blocking"])
def kind(request: pytest.FixtureRequest) -> type[AsyncClient | Client]:
    return request.param
