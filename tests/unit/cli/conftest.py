"""Commands that are called in this process change its log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def unheard() -> Iterator[None]:
    """Leave the log as it was before the test."""
    log = logging.getLogger("runink")
    kept, propagates = log.handlers[:], log.propagate
    log.handlers.clear()
    yield
    log.handlers[:], log.propagate = kept, propagates
