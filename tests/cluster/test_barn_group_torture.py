"""16 clients work on three real members while these are killed, frozen, restarted and cut off: what was answered has an order, and nothing is lost.

`scripts/barn_torture.py` does the same for as long as one likes.
"""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from barn_faults import Faults
from barn_group import Loopback, Namespaces, Network, barn_group
from barn_workload import Load, settled

pytestmark = pytest.mark.anyio

SECONDS = 10.0  # with each network
DISK_BYTES = 32 << 20  # for a member's log and snapshots


@pytest.fixture
def anyio_backend() -> str:
    """Processes are the same under both; asyncio sometimes reads from a Unix socket for somebody who was cancelled just then."""
    return "trio"


@pytest.mark.parametrize(("network", "seed"), [(Loopback, 1), (Namespaces, 2)])
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
        findings = await load.judge()
        assert not findings, "\n".join([*findings, *faults.done])
        assert len(load.history) > 200
        assert len(load.revoked) > 0
