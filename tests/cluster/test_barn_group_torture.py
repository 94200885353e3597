"""Clients work on real members while these are killed, frozen, restarted, cut off and replaced: what was answered has an order, and nothing is lost.

`scripts/barn_torture.py` does the same for as long as one likes.
"""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from barn_faults import Faults
from barn_group import Loopback, Namespaces, Network, barn_group
from barn_ordeal import Ordeal
from barn_workload import Load, settled

pytestmark = pytest.mark.anyio

SECONDS = 10.0  # with each network
CHANGING_SECONDS = 3.0  # for faults; a round of changes and the last leases are waited for
DISK_BYTES = 32 << 20  # for a member's log and snapshots


@pytest.fixture
def anyio_backend() -> str:
    """Processes are the same under both; asyncio sometimes reads from a Unix socket for somebody who was cancelled just then."""
    return "trio"


@pytest.mark.parametrize(("network", "seed"), [(Loopback, 1), (Namespaces, 15)])
async def test_what_clients_are_answered_has_an_order_and_nothing_acknowledged_is_lost(
    tmp_path: Path, network: type[Network], seed: int
):
    disk_bytes = DISK_BYTES if network is Namespaces else 0
    async with barn_group(tmp_path, network=network(), disk_bytes=disk_bytes) as group:
        load = Load(group, seed)
        faults = Faults(group, seed)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load.run)
            await faults.run(SECONDS)
            await settled(group)
            load.is_over = True
        findings = [*faults.findings, *await load.judge()]
        assert not findings, "\n".join([*findings, *faults.done])
        assert len(load.history) > 200
        assert len(load.revoked) > 0


async def test_of_five_members_that_change_meanwhile_nothing_is_lost_and_leases_end_once_and_in_time(
    tmp_path: Path,
):
    async with barn_group(tmp_path, network=Namespaces(), size=5, disk_bytes=DISK_BYTES) as group:
        ordeal = Ordeal(group, 5)
        findings = await ordeal.run(CHANGING_SECONDS)
        assert not findings, "\n".join([*findings, *ordeal.faults.done])
        assert ordeal.operator.joined
        assert len(ordeal.operator.removed) == len(ordeal.operator.joined)
        assert len(ordeal.load.history) > 200
        ended = [life for life in ordeal.leases.lives if not life.is_kept]
        assert len(ended) > 0
        assert sum(len(life.renewals) for life in ordeal.leases.lives) > len(ordeal.leases.lives)
