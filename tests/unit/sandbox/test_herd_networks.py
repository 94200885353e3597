"""What the spawner keeps of herds' networks, where nothing can be made."""

from __future__ import annotations

import pytest
from runink.sandbox.herd_networks import HerdNetworks


@pytest.mark.parametrize("policy", ["{", "[" * 20_000, "nothing", '{"a"'])
def test_a_policy_that_cannot_be_read_is_a_failure_of_its_own_network(policy):
    networks = HerdNetworks("node", "/nowhere", are_possible=True)
    found = networks.of("h", policy, now_s=1.0)
    assert found.failure is not None
    assert found.failure.code == "network_unavailable"
    networks.forget_failure("h")
    assert networks.pids == set()
