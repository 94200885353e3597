"""What there is: nodes and herds, and the amounts that are asked for, taken and free. Plain frozen values, integers only.

What stands in `Snapshot.placed` is counted by the core itself.  `used` of a node or a herd is what is taken beyond that.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

from runink.capabilities import IsolationPolicy
from runink.labels import value_of
from runink.names import HerdName, NodeId
from runink.wants import NODE

MILLION: Final = 1_000_000
Numbers = tuple[int, int, int, int, int]  # the fields of an Amount, in their order


class Amount(Struct, frozen=True, cache_hash=True):
    """Room that is asked for, taken or free: milli-cores, bytes of memory and of disk, graphics processors, slices."""

    cpu_m: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    gpus: int = 0
    slices: int = 0

    @property
    def numbers(self) -> Numbers:
        return (self.cpu_m, self.memory_bytes, self.disk_bytes, self.gpus, self.slices)

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.cpu_m + other.cpu_m,
            self.memory_bytes + other.memory_bytes,
            self.disk_bytes + other.disk_bytes,
            self.gpus + other.gpus,
            self.slices + other.slices,
        )

    def __sub__(self, other: Amount) -> Amount:
        return Amount(
            self.cpu_m - other.cpu_m,
            self.memory_bytes - other.memory_bytes,
            self.disk_bytes - other.disk_bytes,
            self.gpus - other.gpus,
            self.slices - other.slices,
        )

    def fits(self, room: Amount) -> bool:
        return all(a <= b for a, b in zip(self.numbers, room.numbers, strict=True))


def dominant(part: tuple[int, ...] | list[int], whole: tuple[int, ...] | list[int]) -> int:
    """Return the largest share that `part` has of `whole`, in millionths: all of it, where there is nothing of what is asked for."""
    share = 0
    for mine, all_of_it in zip(part, whole):  # noqa: B905 - both have five, and checking that costs a third of it all
        if mine > 0:
            own = mine * MILLION // all_of_it if all_of_it > 0 else MILLION
            if own > share:  # noqa: PLR1730 - `max` takes three times as long, and this runs at every placement
                share = own
    return share


def lacking(needs: Amount, free: list[int], whole: Numbers) -> int:
    """Return how much is missing for the amount: the shares that are short, added up, in thousandths."""
    return sum(
        max(number - max(left, 0), 0) * 1000 // max(most, 1)
        for number, left, most in zip(needs.numbers, free, whole, strict=True)
    )


NOTHING: Final = Amount()


class NodeState(Enum):
    """Only a ready node gets something new. A suspect one has not been heard of for a while, a cordoned one keeps what it has, a draining one is to lose that."""

    READY = "ready"
    SUSPECT = "suspect"
    CORDONED = "cordoned"
    DRAINING = "draining"


class NodeView(Struct, frozen=True):
    """A node that is there.

    `labels` are names (`gpu`) and pairs (`zone=eu`); the value of a pair is the node's domain for spreading.  `dedicated_to` are the herds that alone may use it (none: all
    may), `visible` the names of secrets and data that it may see (None: all), `missing` the capabilities that it has not got and why; `is_plain` says that its slices are
    to be plain processes.  `held` are bytes of inputs that it has or is near to, by name, `failures` how many slices failed there lately, as the caller lets them fade.  `groups` stand
    on it and `shunned` are those that what stands on it does not stand beside: both beyond what `Snapshot.placed` says.
    """

    node: NodeId
    capacity: Amount
    used: Amount = NOTHING
    labels: frozenset[str] = frozenset()
    state: NodeState = NodeState.READY
    dedicated_to: frozenset[HerdName] = frozenset()
    visible: frozenset[str] | None = None
    missing: dict[str, str] = {}
    is_plain: bool = False
    held: dict[str, int] = {}
    failures: int = 0
    groups: frozenset[str] = frozenset()
    shunned: frozenset[str] = frozenset()

    @property
    def free(self) -> Amount:
        return self.capacity - self.used

    def domain(self, key: str) -> str:
        """Return the domain that it is in by that key (`zone`), empty if it does not say; `node` is a domain of its own."""
        return str(self.node) if key == NODE else value_of(self.labels, key)


class HerdView(Struct, frozen=True):
    """A herd's quota (0: no limit), what it uses, its weight among herds, and what of the isolation its slices may do without. With `own_nodes` they go only to nodes that are dedicated to it."""

    herd: HerdName
    quota: Amount = NOTHING
    used: Amount = NOTHING
    weight: int = 1
    isolation: IsolationPolicy = IsolationPolicy()
    own_nodes: bool = False
