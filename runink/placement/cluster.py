"""What placement looks at: nodes, herds, what runs already, and what wants to run. Plain frozen values, made from one revision of the Barn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runink.capabilities import IsolationPolicy
from runink.names import HerdName, NodeId, RunId


@dataclass(frozen=True, slots=True)
class Amount:
    """Room that is asked for, taken or free: milli-cores, bytes, slices."""

    cpu_m: int = 0
    memory_bytes: int = 0
    slices: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.cpu_m + other.cpu_m,
            self.memory_bytes + other.memory_bytes,
            self.slices + other.slices,
        )

    def __sub__(self, other: Amount) -> Amount:
        return Amount(
            self.cpu_m - other.cpu_m,
            self.memory_bytes - other.memory_bytes,
            self.slices - other.slices,
        )


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node that is there. `used` is what its placed slices ask for, `missing` what it has not got and why; `is_plain` says that its slices are to be plain processes."""

    node: NodeId
    capacity: Amount
    used: Amount = Amount()
    labels: frozenset[str] = frozenset()
    missing: Mapping[str, str] = field(default_factory=dict)
    is_plain: bool = False

    @property
    def free(self) -> Amount:
        return self.capacity - self.used


@dataclass(frozen=True, slots=True)
class HerdView:
    """A herd's quota (0: no limit), what its placed slices ask for, and what of the isolation they may do without."""

    herd: HerdName
    quota: Amount = Amount()
    used: Amount = Amount()
    isolation: IsolationPolicy = IsolationPolicy()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Unit:
    """What is placed together on one node: a gang of slices joined by pipes. `needs` is their sum, `requires` are capabilities that they ask for."""

    run: RunId
    gang: str
    herd: HerdName
    needs: Amount
    labels: frozenset[str] = frozenset()
    requires: frozenset[str] = frozenset()
    pin: NodeId | None = None
    failed_on: frozenset[NodeId] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One revision of the cluster. `waiting` stands in the order in which units are served."""

    nodes: tuple[NodeView, ...]
    herds: dict[HerdName, HerdView] = field(default_factory=dict)
    waiting: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a node or a herd has no room for a unit: what it needs, what there is, in the unit of `what`, which is a capability's name where that is missing."""

    what: str
    text: str
    is_final: bool = False  # no ending slice will ever make room


@dataclass(frozen=True, slots=True)
class Placed:
    unit: Unit
    node: NodeId


@dataclass(frozen=True, slots=True)
class Unplaced:
    """`is_final`: it will never fit unless nodes or quotas change, so its run is told so at once. `lacks` is the capability that every node lacks, if that is why."""

    unit: Unit
    text: str
    is_final: bool
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    placed: tuple[Placed, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
