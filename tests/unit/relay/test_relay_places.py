"""Where a node's relay is, and for how long it goes on alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.actors.registration import parted_s
from runink.config import Address, NodeSettings
from runink.dag import Resources
from runink.joining import relay_place
from runink.node import spawner_place
from runink.trust.connecting import Trust, trust_of


@pytest.mark.parametrize("lost_s", [10.0, 30.0, 600.0])
def test_a_relay_without_its_agent_ends_before_others_may_have_what_it_carries(
    tmp_path: Path, lost_s: float
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("all of the cluster's nodes know it")
    secret.chmod(0o600)
    settings = NodeSettings(
        state=tmp_path,
        capacity=Resources(),
        lost_s=lost_s,
        orphan_s=25.0,
        listen=Address("127.0.0.1", 7500),
    )
    place = relay_place(settings, trust_of(tmp_path, secret))
    assert place is not None
    alone_s = place.settings.orphan_s
    assert alone_s == min(25.0, parted_s(lost_s)) < lost_s
    assert alone_s == spawner_place(settings).orphan_s, "slices and their streams end together"


def test_a_node_that_listens_for_nobody_has_none(tmp_path: Path) -> None:
    settings = NodeSettings(state=tmp_path, capacity=Resources())
    assert relay_place(settings, Trust(None)) is None
