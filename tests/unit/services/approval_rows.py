"""Rows of operations on approvals: of a version that nobody who asks has published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access_row import Row
from runink.barn.keys import contract_key
from runink.contracts.fields import ContractSpec
from runink.governance.registry import ContractVersion, Origin
from runink.names import HerdName
from runink.testing.served import NOW_MS, Served

OF = {"contract": "Flight", "version": "1.0.0"}


async def published_by_another(world: Served, herd: str) -> Mapping[str, Any]:
    """Have a version of a contract in the herd, of somebody who has left."""
    whose = HerdName(herd)
    spec = ContractSpec("Flight", "1.0.0", (), description=f"of {herd}")
    origin = Origin("f.py", "user:corp:gone", NOW_MS)
    version = ContractVersion(whose, spec, spec.hash, origin)
    await world.barn.put(contract_key(whose, "Flight", "1.0.0"), version)
    return {}


APPROVAL_ROWS: dict[str, Row] = {
    "contract-approvals.list": Row(prepare=published_by_another, shows="Flight"),
    "contracts.versions.approval": Row(OF, prepare=published_by_another),
    "contracts.versions.approve": Row(OF, prepare=published_by_another),
    "contracts.versions.reject": Row({**OF, "reason": "no"}, prepare=published_by_another),
}
