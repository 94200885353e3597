"""One revision of the cluster as it is decided on, and what is decided: `Snapshot` and `Plan`."""

from __future__ import annotations

from enum import Enum
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from runink.names import HerdName, NodeId
from runink.placement.cluster import HerdView, NodeView
from runink.placement.demands import Unit, UnitKey
from runink.placement.feasible import Rule

_ENCODER: Final = msgspec.msgpack.Encoder(order="deterministic")


class Weights(Struct, frozen=True):
    """What counts in the choice among nodes that fit, in thousandths of a node's processors; see `rank.py`."""

    opening: int = 600  # a node that is empty is taken into use
    gpu_idle: int = 500  # a part without graphics processors takes a node that has some
    gpu_free: int = 20  # for each of them that is free
    failure: int = 200  # for each slice that failed there lately
    failed_here: int = 1_000_000  # the unit itself failed there
    locality: int = 2000  # all inputs are there or near: what is left of an empty node
    crowd: int = 4000  # for each of its group in the same domain


class Solver(Struct, frozen=True):
    """How OR-tools' CP-SAT makes a packed plan better; see `improving.py`.

    `release` is that of OR-tools: another one may choose otherwise.  `rounds`: so many neighbourhoods, each of `nodes` nodes and `waiting` units that wait, are placed anew.
    `work_m`: how much work one of them may be, in thousandths of CP-SAT's deterministic time, which is counted and not measured.
    """

    release: str
    rounds: int = 8
    nodes: int = 4
    waiting: int = 8
    work_m: int = 50


class Finish(Struct, frozen=True):
    """How a plan is finished when all units have been served: it is packed, with at most so many `tries` to find a unit another node (0: it is not), and then given to a solver, if there is one."""

    tries: int = 0
    solver: Solver | None = None


class Policy(Struct, frozen=True):
    """How is decided. It is a part of the snapshot, so that an old decision is made again by the policy of its time.

    `ageing_ms`: for each of these that a unit has waited it is served as if of one priority more (0: never), so that nothing waits for ever.
    `reserve_after_ms`: a head of the queue whose room nobody can foresee, because what runs has no estimates, has nodes emptied for it when it has waited so long.
    `grace_ms`: how long what is stopped for others has for its end, behind the grace that it asks for itself.
    `victims_per_herd`: how many units of one herd may be ending for others at a time (0: any number).
    `finish`: what is done to what the plan has placed. Policies of decisions that are older than that say nothing of it, and nothing was done.
    """

    version: int = 1
    ageing_ms: int = 600_000
    backfill: bool = True
    preemption: bool = True
    reserve_after_ms: int = 300_000
    grace_ms: int = 30_000
    victims_per_herd: int = 0
    weights: Weights = Weights()
    finish: Finish = Finish()


class Running(Struct, frozen=True):
    """A unit that has nodes, one for each of its parts. `is_leaving`: it is being stopped, so its room will be free soon."""

    unit: Unit
    nodes: tuple[NodeId, ...]
    started_ms: int = 0
    is_leaving: bool = False


class Reservation(Struct, frozen=True):
    """Nodes that are kept for a unit. `at_ms`: when it is expected to fit, 0 if nobody knows; `victims` are stopped for it."""

    unit: UnitKey
    nodes: tuple[NodeId, ...]
    at_ms: int = 0
    victims: tuple[UnitKey, ...] = ()


class Snapshot(Struct, frozen=True):
    """One revision of the cluster. `waiting` may stand in any order; `reservations` are those of the plan before."""

    nodes: tuple[NodeView, ...]
    herds: dict[HerdName, HerdView] = {}
    waiting: tuple[Unit, ...] = ()
    placed: tuple[Running, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    revision: int = 0
    now_ms: int = 0
    policy: Policy = Policy()


class Placed(Struct, frozen=True):
    """That a unit goes to these nodes, one for each of its parts."""

    unit: Unit
    nodes: tuple[NodeId, ...]

    @property
    def node(self) -> NodeId:
        """Return the node of a unit that has one part."""
        (node,) = self.nodes
        return node


class By(Enum):
    """What has moved a unit that the plan had placed already."""

    PACKING = "packing"
    SOLVER = "solver"


class Moved(Struct, frozen=True):
    """That a unit was placed on other `nodes` first, one after the other, and why it left the last of them.

    `cost_before` is what all that was moved with it cost where it was, `cost_after` what it costs where it is, in thousandths (`rank.py`); `more` units that waited were let in with it.
    """

    unit: UnitKey
    nodes: tuple[NodeId, ...]
    by: By
    cost_before: int
    cost_after: int
    more: int = 0


class Preempted(Struct, frozen=True):
    """That a unit is stopped, after `grace_ms`, so that `by` fits."""

    unit: UnitKey
    by: UnitKey
    grace_ms: int
    lost_ms: int
    why: str


class Unplaced(Struct, frozen=True):
    """Why a unit is not placed: for each rule, on how many nodes it is the first that refuses. `text` says some of them in words.

    `is_final`: it will never fit unless nodes or quotas change.  `lacks` is the capability that every node lacks, if that is why.  `position` is its place among those that
    wait, from 1; `ahead` are the first of those before it.
    """

    unit: Unit
    counts: tuple[tuple[Rule, int], ...]
    text: str
    is_final: bool
    lacks: str = ""
    position: int = 0
    ahead: tuple[UnitKey, ...] = ()


class Order(Enum):
    """In which order units of one priority are served; see `queue.py`."""

    FAIR = "fair"
    SMALL_FIRST = "small first"
    LARGE_FIRST = "large first"


class Plan(Struct, frozen=True):
    """What is decided on one snapshot. Every unit that waits is in `placed` or `unplaced`, once. `moved` says of some that are placed where they would be if the plan had not been finished."""

    placed: tuple[Placed, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    preempted: tuple[Preempted, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    base_revision: int = 0
    seed: int = 0
    policy_version: int = 1
    moved: tuple[Moved, ...] = ()

    def packed(self) -> bytes:
        """Return the plan in its canonical form, as MessagePack: units by their keys, everything in the plan's order."""
        form: list[object] = [
            (self.base_revision, self.seed, self.policy_version),
            [(one.unit.key, one.nodes) for one in self.placed],
            [
                (one.unit.key, one.counts, one.text, one.is_final, one.lacks, one.ahead)
                for one in self.unplaced
            ],
            [msgspec.structs.astuple(one) for one in self.preempted],
            [msgspec.structs.astuple(one) for one in self.reservations],
        ]
        # Plans of which nothing was moved have the form that they had when nothing ever was: digests of decisions that were made then stay.
        if self.moved:
            form.append([msgspec.structs.astuple(one) for one in self.moved])
        return _ENCODER.encode(form)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the canonical form: the same for the same snapshot and seed, in any process."""
        return sha256(self.packed()).hexdigest()
