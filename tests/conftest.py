"""What every test may use."""

from __future__ import annotations

import gc
from importlib.util import find_spec

import pytest

if find_spec("hypothesis") is not None:  # the machines of tests/vm have none
    from hypothesis import settings

    # On a busy machine any example may be slow; what hangs meets the test's own time-out.
    settings.register_profile("runink", settings(), deadline=None)
    settings.load_profile("runink")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run an async test under both event loops: production's and the one with virtual time."""
    return request.param


def pytest_collection_finish() -> None:
    """Have the collector look at what tests make, and not at half a million things that stay: tests that count collect often."""
    gc.collect()
    gc.freeze()
