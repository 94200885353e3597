"""The room: what is free on each node while a plan is made, and which node is best for a part.

Nodes stand in the order of their names and are known by their place in it.  What differs between parts that are alike to a node but
for its company is kept apart:

    a kind     what nodes have in common by nature (labels, dedication, sight, capabilities, the inputs that they have): what depends on
               these is asked once for a kind
    a shape    what parts have in common: what they need, what they ask of a node's nature, and what they read, if any node has that;
               solvers keep what they have worked out by shape
    odd nodes  those where a rule or a cost is this part's alone: it failed there, a group stands there.  They are few and looked at one
               by one; among the others the shape decides.

A room is changed by `take` and back by `give`; what was taken and given back leaves no trace.  `Room` looks through all nodes, one after the
other; `columns.Columns` gives the same answers by arithmetic over columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeAlias

from msgspec.structs import replace

from runink.names import HerdName, NodeId
from runink.placement.cluster import Amount, HerdView, NodeState, NodeView, Numbers, lacking
from runink.placement.companies import Companies, Crowds
from runink.placement.demands import Inputs, Part, Unit
from runink.placement.feasible import AMOUNTS, MENDABLE, Reason, Rule, refused_by_nature, uses_own
from runink.placement.plans import Weights
from runink.placement.rank import (
    NEVER,
    POINT,
    crowd_cost,
    failure_cost,
    gpu_cost,
    locality_gain,
    pace,
    worst,
)
from runink.placement.shapes import Nature, NatureKey, Shape, ShapeKey, Tally, keep, kinds_of

# What a node's cost is worked out by: the paces of its processors and its memory, what it has when it is empty, of that the graphics processors, and what its failures cost.
Scale: TypeAlias = tuple[int, int, list[int], int, int]
_ANY: Final = HerdName("")
_NOBODY: Final[frozenset[int]] = frozenset()


class Room:
    """The nodes and what is free on them. The plain loop: honest, and the faster one where nodes are few."""

    def __init__(self, nodes: Iterable[NodeView], weights: Weights, turn: int = 0) -> None:
        self.views = sorted(nodes, key=lambda view: view.node)
        self.index = {view.node: at for at, view in enumerate(self.views)}
        assert len(self.index) == len(self.views)
        assert worst(weights) < NEVER
        self.weights = weights
        self.turn = turn % len(self.views) if self.views else 0
        self.whole = [view.capacity.numbers for view in self.views]
        self.free: Sequence[list[int]] = [list(view.free.numbers) for view in self.views]
        self._opening = weights.opening << POINT
        self.ready = [view.state is NodeState.READY for view in self.views]
        self.companies = Companies(self.views)
        self._scales = [
            self._scale(view) for view in self.views
        ]  # side by side: each placement asks
        self._paces = [scale[:2] for scale in self._scales]
        self.kinds, self._examples = kinds_of(self.views)
        self._held = {name for view in self._examples for name in view.held}
        self._dedicated = {herd for view in self.views for herd in view.dedicated_to}
        self._natures: dict[NatureKey, Nature] = {}
        self._shapes: dict[ShapeKey, Shape] = {}
        self._bases: list[list[int] | memoryview[int]] = [[0] * len(self.views) for _ in range(2)]
        for at in range(len(self.views)):
            # Whoever keeps more than these numbers makes it of all of them at once.
            Room._weigh(self, at)

    # What changes.

    def take(self, at: int, part: Part, sign: int = 1) -> None:
        """Put the part on the node, or with `sign` -1 take it away again."""
        self._move(at, part, sign)
        self._weigh(at)

    def _move(self, at: int, part: Part, sign: int) -> None:
        free, needs = self.free[at], part.needs
        free[0] -= sign * needs.cpu_m
        free[1] -= sign * needs.memory_bytes
        free[4] -= sign * needs.slices
        if needs.disk_bytes:
            free[2] -= sign * needs.disk_bytes
        if needs.gpus:
            free[3] -= sign * needs.gpus
        if part.groups or part.anti:
            self.companies.join(at, part, sign)

    def give(self, at: int, part: Part) -> None:
        self.take(at, part, -1)

    def give_all(self, parts: Iterable[tuple[int, Part]]) -> None:
        """Take many away, and work out what nodes cost when all of them are."""
        changed = set()
        for at, part in parts:
            self._move(at, part, -1)
            changed.add(at)
        for at in changed:
            self._weigh(at)

    def restate(self, view: NodeView) -> bool:
        """Take a node's new state, failures or use. Returns False if anything else of it differs: then the room has to be made anew."""
        at = self.index.get(view.node, -1)
        if at < 0:
            return False
        old = self.views[at]
        if replace(view, state=old.state, failures=old.failures, used=old.used) != old:
            return False
        self._add(at, (old.used - view.used).numbers)
        self.views[at] = view
        self.ready[at] = view.state is NodeState.READY
        self._scales[at] = self._scale(view)
        self._weigh(at)
        return True

    def _scale(self, view: NodeView) -> Scale:
        whole = view.capacity.numbers
        failing = failure_cost(view.failures, self.weights)
        return pace(whole[0]), pace(whole[1]), list(whole), whole[3], failing

    def _add(self, at: int, numbers: Numbers) -> None:
        """Add to what is free on the node."""
        free = self.free[at]
        for place, number in enumerate(numbers):
            free[place] += number

    def _weigh(self, at: int) -> None:
        """Work out what the node costs whoever comes, without and with use for graphics processors."""
        free = self.free[at]
        cpu_m, memory, empty, gpus, failing = self._scales[at]
        cost = free[0] * cpu_m + free[1] * memory + failing
        if free == empty:
            cost += self._opening
        plain, with_gpus = self._bases
        if gpus:
            weights = self.weights
            plain[at] = cost + gpu_cost(gpus, free[3], weights, uses_gpus=False)
            with_gpus[at] = cost + gpu_cost(gpus, free[3], weights, uses_gpus=True)
        else:
            plain[at] = with_gpus[at] = cost

    # What is asked.

    def view(self, at: int, part: Part) -> NodeView:
        """Return the node with all that is on it now, of its company what matters to the part."""
        view = self.views[at]
        groups, shunned = self.companies.on(at, part)
        used = view.capacity - Amount(*self.free[at])
        return replace(view, used=used, groups=groups, shunned=shunned)

    def shape(self, part: Part, herd: HerdView) -> Shape:
        # To nodes all herds are alike that none is dedicated to, but those that use their own only: what they are told names them.
        own = uses_own(herd, part)
        name = herd.herd if own or herd.herd in self._dedicated else _ANY
        # And those parts are alike of which no node has what they read.
        inputs = part.inputs and self._inputs_there(part)
        key = (part.needs, part.labels, part.requires, part.sees, inputs, name, herd.isolation, own)
        shape = self._shapes.get(key)
        if shape is None:
            asked = key[1:]
            nature = self._natures.get(asked)
            if nature is None:
                reasons = [refused_by_nature(view, part, herd) for view in self._examples]
                nature = self._new_nature(reasons, self._gains(inputs))
                keep(self._natures, asked, nature)
            shape = self._new_shape(part.needs.numbers, nature)
            keep(self._shapes, key, shape)
        return shape

    def _inputs_there(self, part: Part) -> Inputs:
        held = self._held
        return part.inputs if held and any(name in held for name, _ in part.inputs) else ()

    def _gains(self, inputs: Inputs) -> list[int] | None:
        """Return by how much nodes are cheaper because they have inputs, by kind; nothing if there are none."""
        if not inputs:
            return None
        return [locality_gain(view.held, inputs, self.weights) for view in self._examples]

    def _new_nature(self, reasons: list[Reason | None], gains: list[int] | None) -> Nature:
        return Nature(reasons, self.kinds, gains)

    def _new_shape(self, needs: Numbers, nature: Nature) -> Shape:
        return Shape(needs, nature)

    def best(self, unit: Unit, part: Part, shape: Shape, barred: Collection[int] = ()) -> int:
        """Return the cheapest node that fits, -1 if none does. `barred` are kept for others."""
        if part.pin is not None:
            at = self.index.get(part.pin, -1)
            if at < 0 or at in barred:
                return -1
            return at if self.rule(at, part, shape, self.crowds(part, shape)) is None else -1
        odd = self._odd(unit, part)
        if barred:
            odd = odd.union(barred)
        if not odd and part.spread is None:
            return self.cheapest(shape)[1]
        crowds = self.crowds(part, shape)
        cost, best = self.cheapest(shape, odd, crowds)
        for at in sorted(odd.difference(barred)):
            own = self.own_cost(at, unit, part, shape, crowds)
            if own < NEVER and (own, self._turned(at)) < (cost, self._turned(best)):
                cost, best = own, at
        return best

    def cheapest(
        self, shape: Shape, odd: Collection[int] = _NOBODY, crowds: Crowds | None = None
    ) -> tuple[int, int]:
        """Return the cheapest fitting node that is not odd, with its cost; NEVER and -1 if there is none."""
        cpu_m, memory, _, _, _ = shape.needs
        least_cpu_m, least_memory, disk, gpus, slices = shape.floors
        bases, paces, frees, ready = (
            self._bases[shape.uses_gpus],
            self._paces,
            self.free,
            self.ready,
        )
        gains = shape.nature.gains
        best, cheapest, turn = -1, NEVER, self.turn
        for at in shape.nature.allowed:
            free = frees[at]
            if (
                free[0] < least_cpu_m
                or free[1] < least_memory
                or free[4] < slices
                or free[2] < disk
                or free[3] < gpus
                or not ready[at]
            ):
                continue
            own, memory_own = paces[at]
            cost = bases[at] - cpu_m * own - memory * memory_own
            if gains is not None:
                cost -= gains[at]
            if cost > cheapest:
                continue
            if odd and at in odd:
                continue
            if crowds is not None:
                count = crowds.count(at)
                if count < 0:
                    continue
                cost += crowd_cost(count, self.weights)
                if cost > cheapest:
                    continue
            if cost < cheapest or (best < turn <= at):
                best, cheapest = at, cost
        return cheapest, best

    def _own_base(self, at: int, shape: Shape) -> int:
        """Return what the node costs by its shape alone, NEVER if it does not fit by that."""
        if not shape.nature.allows[at] or not self.ready[at]:
            return NEVER
        cpu_m, memory, disk, gpus, slices = shape.floors
        free, needs = self.free[at], shape.needs
        if (
            free[0] < cpu_m
            or free[1] < memory
            or free[4] < slices
            or free[2] < disk
            or free[3] < gpus
        ):
            return NEVER
        own, memory_own = self._paces[at]
        cost = self._bases[shape.uses_gpus][at] - needs[0] * own - needs[1] * memory_own
        gains = shape.nature.gains
        return cost if gains is None else cost - gains[at]

    def own_cost(
        self, at: int, unit: Unit, part: Part, shape: Shape, crowds: Crowds | None = None
    ) -> int:
        """Return what the node costs for that part, NEVER if it does not fit. `crowds` are those of its spread."""
        cost = self._own_base(at, shape)
        view = self.views[at]
        if cost == NEVER or view.node in part.avoids or self.companies.parts(at, part):
            return NEVER
        if crowds is not None:
            count = crowds.count(at)
            if count < 0:
                return NEVER
            cost += crowd_cost(count, self.weights)
        if view.node in unit.failed_on:
            cost += self.weights.failed_here << POINT
        return cost

    def _odd(self, unit: Unit, part: Part) -> set[int] | frozenset[int]:
        if not (unit.failed_on or part.avoids or part.anti or part.groups):
            return _NOBODY
        odd = {*known(self, unit.failed_on), *known(self, part.avoids)}
        odd.update(self.companies.around(part))
        return odd

    def crowds(self, part: Part, shape: Shape) -> Crowds | None:
        if part.spread is None:
            return None
        spread = part.spread
        if spread.is_hard:
            # What belongs on one node may use that one's domain only, however crowded it is.
            key, pin = spread.key, part.pin
            reached = self._reached(shape, key) if pin is None else self._domain_of(pin, key)
            return self.companies.crowds(spread, reached)
        # The first of a group is crowded by nobody.
        return self.companies.crowds(spread, ()) if self.companies.has(spread.group) else None

    def _domain_of(self, node: NodeId, key: str) -> set[int]:
        codes = self.companies.domains(key).codes
        return {codes[at] for at in known(self, [node])}

    def _reached(self, shape: Shape, key: str) -> set[int]:
        """Return the domains of the nodes that are ready and allowed."""
        codes = self.companies.domains(key).codes
        return {codes[at] for at in shape.nature.allowed if self.ready[at]}

    def _turned(self, at: int) -> int:
        return (at - self.turn) % len(self.views)

    def could_hold(self, shape: Shape) -> bool:
        """Say whether any node would hold the shape if it were empty."""
        floors = shape.floors
        return any(
            self.ready[at]
            and all(n <= most for n, most in zip(floors, self.whole[at], strict=True))
            for at in shape.nature.allowed
        )

    # Why not.

    def rule(
        self, at: int, part: Part, shape: Shape, crowds: Crowds | None = None
    ) -> tuple[Rule, bool] | None:
        """Return the first rule by which the node refuses, as `feasible` says, and whether for ever."""
        nature = shape.nature.reasons[self.kinds[at]]
        if nature is not None:
            return nature.rule, True
        if (rule := _exceeded(shape, self.whole[at])) is not None:
            return rule, True
        view = self.views[at]
        is_ending = part.pin == view.node and view.state is not NodeState.SUSPECT
        if not self.ready[at] and not is_ending:
            return Rule.STATE, False
        if part.pin is not None and part.pin != view.node:
            return Rule.PIN, False
        if view.node in part.avoids:
            return Rule.FAILED, False
        if self.companies.parts(at, part):
            return Rule.APART, False
        if crowds is not None and crowds.count(at) < 0:
            return Rule.SPREAD, not crowds.has_domain(at)
        rule = _exceeded(shape, self.free[at])
        return None if rule is None else (rule, False)

    def tally(self, part: Part, shape: Shape) -> Tally:
        """Count by which rule each node refuses; those that fit are under RESERVED, because there is nothing else that could keep them."""
        crowds = self.crowds(part, shape)
        counts: dict[Rule, int] = {}
        finals = 0
        for at in range(len(self.views)):
            rule, is_final = self.rule(at, part, shape, crowds) or (Rule.RESERVED, False)
            counts[rule] = counts.get(rule, 0) + 1
            finals += is_final
        return Tally(counts, finals)

    def fitting(self, unit: Unit, part: Part, shape: Shape, most: int) -> list[tuple[int, int]]:
        """Return the cheapest nodes that fit with what they cost, the cheapest first."""
        crowds = self.crowds(part, shape)
        if part.pin is not None:
            at = self.best(unit, part, shape)
            return [(0, at)] if at >= 0 else []
        costs = [
            (self.own_cost(at, unit, part, shape, crowds), self._turned(at), at)
            for at in shape.nature.allowed
        ]
        return [(cost, at) for cost, _, at in sorted(costs)[:most] if cost < NEVER]

    def nearest(self, part: Part, shape: Shape, most: int) -> list[int]:
        """Return the nodes where only amounts are short, and would not be if they were empty; those first that lack least."""
        crowds = self.crowds(part, shape)
        found = []
        for at in shape.nature.allowed:
            rule, is_final = self.rule(at, part, shape, crowds) or (Rule.RESERVED, False)
            if rule in MENDABLE and not is_final:
                found.append((lacking(part.needs, self.free[at], self.whole[at]), at))
        return [at for _, at in sorted(found)[:most]]


def _exceeded(shape: Shape, there: Sequence[int]) -> Rule | None:
    """Return the first amount of which the shape needs more than there is."""
    return next((rule for place, rule, _ in AMOUNTS if shape.floors[place] > there[place]), None)


def known(room: Room, nodes: Iterable[NodeId]) -> list[int]:
    """Return the places of those of the nodes that there are."""
    return [room.index[node] for node in nodes if node in room.index]
