"""Rows of operations on contracts. What is published needs a bundle that the herd has brought: who may is told that it has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access_row import Row
from runink.barn.keys import contract_key
from runink.contracts.fields import ContractSpec
from runink.governance.registry import ContractVersion, Origin
from runink.names import HerdName
from runink.testing.served import NOW_MS, Served

OF = {"contract": "Flight"}


async def published(world: Served, herd: str) -> Mapping[str, Any]:
    """Have a version of a contract in the herd."""
    whose = HerdName(herd)
    spec = ContractSpec("Flight", "1.0.0", (), description=f"of {herd}")
    version = ContractVersion(whose, spec, spec.hash, Origin("f.py", "operator:root", NOW_MS))
    await world.barn.put(contract_key(whose, "Flight", "1.0.0"), version)
    return {}


CONTRACT_ROWS: dict[str, Row] = {
    "contracts.list": Row(prepare=published, shows="Flight"),
    "contracts.get": Row(OF, prepare=published),
    "contracts.versions.list": Row(OF, prepare=published),
    "contracts.versions.get": Row({**OF, "version": "1.0.0"}, prepare=published),
    "contracts.diff": Row(OF, prepare=published),
    "contracts.versions.publish": Row(
        {**OF, "bundle": "ab" * 32, "file": "f.py"}, told="no_bundle"
    ),
}
