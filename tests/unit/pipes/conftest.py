"""Every rule of an edge holds whatever carries it."""

from __future__ import annotations

import pytest
from edge_world import KINDS, SMALL_SLOTS, Kind
from runink.pipes import slot_pool, slots


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    if request.param is SMALL_SLOTS:
        monkeypatch.setattr(slot_pool, "SLOT_BYTES_MIN", 4096)
        monkeypatch.setattr(slots, "INLINE_BYTES_MAX", 0)
    return request.param
