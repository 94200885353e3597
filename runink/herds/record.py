"""A herd as it stands in the Barn: who it is, what it may have, and what holds for all that runs under it.

What people say of it comes from its file (`file.py`), through a project that is run or through `runi herd create` and `update`.  The first says what the herd is
for as long as nobody has declared it; what was declared stays until it is declared otherwise (`lifecycle.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import msgspec

from runink.capabilities import IsolationPolicy
from runink.checkpoints import KEEP_FAILED_MS
from runink.clearances import NO_CLEARANCES, ClearancePolicy
from runink.contracts.compatibility import ContractPolicy
from runink.identity.roles import Binding, Role
from runink.names import HerdName
from runink.networks import NetworkPolicy
from runink.wants import GRACE_MS_MAX


class SliceBounds(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one slice asks for at least and at most: milli-cores, bytes, graphics processors; 0 is no bound."""

    cpu_min_m: int = 0
    cpu_max_m: int = 0
    memory_min_bytes: int = 0
    memory_max_bytes: int = 0
    disk_max_bytes: int = 0
    gpu_max: int = 0


class Retention(msgspec.Struct, frozen=True, omit_defaults=True):
    """For how long something is kept once its run is over, and entries of the audit from when they were written, milliseconds; 0 where the herd says nothing."""

    runs_ms: int = 0
    logs_ms: int = 0
    dead_letters_ms: int = 0
    lineage_ms: int = 0
    audit_ms: int = 0


class AuditLevel(Enum):
    """Whether what only reads is written down as well."""

    CHANGES = "changes"
    ALL = "all"


class Declared(msgspec.Struct, frozen=True):
    """That somebody has declared the herd: since when it is there so, and when and by whom it was changed last. Milliseconds of the Unix epoch."""

    created_ms: int
    changed_ms: int
    by: str


class Deletion(msgspec.Struct, frozen=True, omit_defaults=True):
    """That the herd is deleted: its name is taken and nothing new runs. From `until_ms` on all of it may be purged; `is_purging`: that has begun, and there is no way back."""

    at_ms: int
    until_ms: int
    by: str
    is_purging: bool = False


class Apart(msgspec.Struct, frozen=True, omit_defaults=True):
    """Names of roles and of bindings that were written one by one, beside the herd's file (`beside.py`)."""

    roles: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()


class HerdRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tenant, its limits (0 is no limit) and weight among herds, what its network reaches, and what of the isolation its slices may do without.

    `priority_max` is the most that its runs have, nothing for no limit; `grace_max_ms` is the longest grace that its steps have. `lost_wait_ms` is how long its slices are waited for when their node is lost, 0 where they begin anew at once.
    `keep_failed_ms` is for how long what its failed runs have prepared is kept, 0 for not at all.
    `own_nodes` says that its slices go only to nodes that take them by name (`NodeRecord.herds`).
    `store` is where its runs have folders for checkpoints, empty for the nodes' own disks.
    `secrets` are patterns of the names that its steps may use, nothing for all of the herd's.
    `roles` and `bindings` are there only where somebody has declared the herd: a project gives nobody anything. `apart` says which of them no file has declared.
    """

    herd: HerdName
    domain: str = ""
    description: str = ""
    cpu_m: int = 0
    memory_bytes: int = 0
    slices: int = 0
    runs: int = 0
    network: NetworkPolicy = NetworkPolicy()
    isolation: IsolationPolicy = IsolationPolicy()
    clearances: ClearancePolicy = NO_CLEARANCES
    weight: int = 1
    priority_max: int | None = None
    lost_wait_ms: int = 0
    keep_failed_ms: int = KEEP_FAILED_MS
    own_nodes: bool = False
    store: str = ""
    grace_max_ms: int = GRACE_MS_MAX
    labels: dict[str, str] = {}
    disk_bytes: int = 0
    gpus: int = 0
    bounds: SliceBounds = SliceBounds()
    roles: tuple[Role, ...] = ()
    secrets: tuple[str, ...] | None = None
    contracts: ContractPolicy = ContractPolicy()
    retention: Retention = Retention()
    audit: AuditLevel | None = None
    declared: Declared | None = None
    deletion: Deletion | None = None
    bindings: tuple[Binding, ...] = ()
    apart: Apart = Apart()


def unenforced(record: HerdRecord) -> tuple[str, ...]:
    """Return the parts of a herd's file that nothing acts on yet, as they are written there."""
    return tuple(_unenforced(record))


def _unenforced(record: HerdRecord) -> Iterator[str]:
    if record.secrets is not None:
        yield "[secrets]"
