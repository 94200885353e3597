"""Commands that are called in this process change its log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Clusters that are served by HTTP: the tests of the client have them.
for folder in ("api", "client", "services"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))


@pytest.fixture(autouse=True)
def unheard() -> Iterator[None]:
    """Leave the log as it was before the test."""
    log = logging.getLogger("runink")
    kept, propagates = log.handlers[:], log.propagate
    log.handlers.clear()
    yield
    log.handlers[:], log.propagate = kept, propagates
