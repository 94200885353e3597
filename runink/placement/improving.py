"""Improvement of a plan by large neighbourhoods, with OR-tools' CP-SAT: the extra `runink[solver]`.

A few nodes are taken, and a few units that wait.  What the plan itself has put on these nodes is placed anew, all of it, and of those that wait as many as find room beside it; everything
else stays.  It is kept if more is placed than before, or the same at less cost; what a plan costs is said in `packing.py`.  Then the next few nodes are taken.

Only units move that `packing.can_move` lets: for these, what fits alone and in sum is what fits.  Nodes that are kept for somebody are left alone, and who has some kept is not
placed here.  Rounds and deterministic time are the limits, never the clock; with one worker and a seed the same release gives the same plan on every machine.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, NamedTuple

from runink.errors import Refused
from runink.names import HerdName
from runink.placement.demands import Unit, UnitKey
from runink.placement.draft import Draft, Places
from runink.placement.packing import can_move, cost_on, tell_moved, worth
from runink.placement.plans import By, Solver
from runink.placement.rank import POINT, failure_cost, gpu_cost, locality_gain
from runink.placement.shapes import Shape

EXTRA: Final = "pip install 'runink[solver]'"
SOLVER_MISSING: Final = "solver_missing"
_SHARE: Final = 1000  # of a node's processors, or of its memory: all of it
Chosen = dict[UnitKey, int]  # units by their keys, and the places of their nodes


class _Neighbourhood(NamedTuple):
    """Nodes, what of them moves (by its number among what is placed), and what may come."""

    nodes: list[int]
    moving: list[int]
    coming: list[Unit]


def release() -> str:
    """Return which release of OR-tools is here, nothing if none is."""
    try:
        import ortools  # noqa: PLC0415 - it is an extra
    except ImportError:
        return ""
    return str(ortools.__version__)


def check_here(solver: Solver) -> None:
    """Raise Refused (`solver_missing`) unless that release is here."""
    found = release()
    if found != solver.release:
        raise Refused(
            f"that was made better by OR-tools {solver.release}, and here is {found or 'none'}",
            code=SOLVER_MISSING,
            hint=f"{EXTRA} 'ortools=={solver.release}' where the cluster's members run",
        )


def improve(draft: Draft, waits: list[Unit], solver: Solver, seed: int) -> list[Unit]:
    """Place anew what the draft has placed, part by part, and return what waits then. Raises Refused (`solver_missing`)."""
    check_here(solver)
    from ortools.sat.python import cp_model  # noqa: PLC0415 - 80 MB that only who asks for a solver needs

    for number in range(solver.rounds):
        found = _neighbourhood(draft, waits, solver, f"{seed} {number}")
        if found is not None:
            waits = _placed_anew(_Model(cp_model, draft, found), waits, solver, seed)
    return waits


def _drawn(lots: str, values: list[int], most: int) -> list[int]:
    """Choose by chance that is the same everywhere."""

    def lot(one: int) -> bytes:
        return sha256(f"{lots} {one}".encode()).digest()

    return sorted(sorted(values, key=lot)[:most])


def _neighbourhood(
    draft: Draft, waits: list[Unit], solver: Solver, lots: str
) -> _Neighbourhood | None:
    """Return what is placed anew next. Half of the nodes have something that moves; nothing if none has."""
    ready = {at for at, is_ready in enumerate(draft.room.ready) if is_ready} - set(draft.holds)
    movable = {places[0] for unit, places in draft.placed if can_move(unit)} & ready
    nodes = _drawn(lots, sorted(movable), max(solver.nodes // 2, 1))
    if not nodes:
        return None
    nodes += _drawn(lots, sorted(ready.difference(nodes)), solver.nodes - len(nodes))
    kept = {made.unit for made in draft.reservations}
    moving = [
        number
        for number, (unit, places) in enumerate(draft.placed)
        if places[0] in nodes and can_move(unit)
    ]
    candidates = [at for at, unit in enumerate(waits) if can_move(unit) and unit.key not in kept]
    coming = [waits[at] for at in _drawn(lots, candidates, solver.waiting)]
    return _Neighbourhood(sorted(nodes), moving, coming)


def _placed_anew(model: _Model, waits: list[Unit], solver: Solver, seed: int) -> list[Unit]:
    draft, found = model.draft, model.found
    before = [draft.placed[number] for number in found.moving]
    now: Chosen = {unit.key: places[0] for unit, places in before}
    units = [*(unit for unit, _ in before), *found.coming]
    order = list(draft.placed)
    cost_before = _cost(draft, found.nodes)
    _give(draft, before)
    chosen = model.solved(units, now, solver, seed)
    if chosen is None or chosen == now:
        _take(draft, before)
        return waits
    gone = set(found.moving)
    draft.placed = [one for number, one in enumerate(draft.placed) if number not in gone]
    after: list[tuple[Unit, Places]] = [
        (unit, (chosen[unit.key],)) for unit in units if unit.key in chosen
    ]
    _take(draft, after)
    draft.placed += after
    cost_after = _cost(draft, found.nodes)
    more = len(after) - len(before)
    if not more and cost_after >= cost_before:
        _give(draft, after)
        _take(draft, before)
        draft.placed = order
        return waits
    moved = [(key, at) for key, at in now.items() if chosen[key] != at]
    tell_moved(draft, moved, By.SOLVER, (cost_before, cost_after), more)
    return [unit for unit in waits if unit.key not in chosen]


def _give(draft: Draft, placed: list[tuple[Unit, Places]]) -> None:
    for unit, (at, *_) in placed:
        draft.give(unit, at, unit.parts[0])
        draft.ledger.charge(unit, unit.needs.numbers, -1)


def _take(draft: Draft, placed: list[tuple[Unit, Places]]) -> None:
    for unit, (at, *_) in placed:
        draft.take(unit, at, unit.parts[0])
        draft.ledger.charge(unit, unit.needs.numbers)


def _cost(draft: Draft, nodes: list[int]) -> int:
    """Return what everything on these nodes costs that the plan has placed, in its order."""
    return sum(_cost_of(draft, at) for at in nodes)


def _cost_of(draft: Draft, at: int) -> int:
    on = [
        (unit, number)
        for unit, places in draft.placed
        for number, place in enumerate(places)
        if place == at
    ]
    for unit, number in on:
        draft.room.give(at, unit.parts[number])
    cost = cost_on(draft, at, on)
    for unit, number in on:
        draft.room.take(at, unit.parts[number])
    return cost


def _left_of_quota(draft: Draft, herd: HerdName) -> list[int]:
    """Return what a herd may still have beside those of it for which nodes are kept."""
    kept = [needs for unit, needs in draft.quotas if unit.herd == herd]
    most = [max(column) for column in zip(*kept, strict=True)] if kept else [0] * 5
    return [left - own for left, own in zip(draft.ledger.left(herd), most, strict=True)]


class _Model:
    """Says to CP-SAT what a neighbourhood is."""

    def __init__(self, cp_model: Any, draft: Draft, found: _Neighbourhood) -> None:
        self.draft = draft
        self.found = found
        self._library = cp_model

    def solved(self, units: list[Unit], now: Chosen, solver: Solver, seed: int) -> Chosen | None:
        """Return where the units are best, nothing if it finds nothing. What stands somewhere `now` is placed for sure."""
        model = self._library.CpModel()
        on = self._variables(model, units, now)
        used = self._hold_room(model, units, on)
        self._hold_quotas(model, units, on)
        costs = {key: self._cost(units[key[0]], key[1]) for key in on}
        opened = {at: self._opening(at) for at in used}
        scale = sum(map(abs, costs.values())) + sum(opened.values()) + 1
        gain = sum(scale * worth(units[number]) * one for (number, _), one in on.items())
        cost = sum(costs[key] * one for key, one in on.items())
        model.maximize(gain - cost - sum(opened[at] * one for at, one in used.items()))
        for (number, at), variable in on.items():
            model.add_hint(variable, now.get(units[number].key) == at)
        runs = self._library.CpSolver()
        runs.parameters.num_workers = 1
        runs.parameters.random_seed = seed
        runs.parameters.max_deterministic_time = solver.work_m / 1000
        if runs.solve(model) not in {self._library.OPTIMAL, self._library.FEASIBLE}:
            return None
        return {units[number].key: at for (number, at), one in on.items() if runs.value(one)}

    def _variables(self, model: Any, units: list[Unit], now: Chosen) -> dict[tuple[int, int], Any]:
        on = {}
        for number, unit in enumerate(units):
            shape = self.draft.shape(unit)
            mine = [(number, at) for at in self.found.nodes if self._fits_alone(unit, shape, at)]
            on.update({key: model.new_bool_var("") for key in mine})
            hold = model.add_exactly_one if unit.key in now else model.add_at_most_one
            hold(on[key] for key in mine)
        return on

    def _fits_alone(self, unit: Unit, shape: Shape, at: int) -> bool:
        return self.draft.room.rule(at, unit.parts[0], shape) is None

    def _hold_room(
        self, model: Any, units: list[Unit], on: dict[tuple[int, int], Any]
    ) -> dict[int, Any]:
        """Have nodes hold what goes there, and return which of them are used."""
        used = {at: model.new_bool_var("") for at in self.found.nodes}
        for at, is_used in used.items():
            for place, left in enumerate(self.draft.room.free[at]):
                taken = [
                    units[number].needs.numbers[place] * variable
                    for (number, other), variable in on.items()
                    if other == at and units[number].needs.numbers[place]
                ]
                if taken:
                    model.add(sum(taken) <= max(left, 0) * is_used)
        return used

    def _hold_quotas(self, model: Any, units: list[Unit], on: dict[tuple[int, int], Any]) -> None:
        for herd in sorted({unit.herd for unit in units}):
            for place, left in enumerate(_left_of_quota(self.draft, herd)):
                asks = [
                    units[number].needs.numbers[place] * variable
                    for (number, _), variable in on.items()
                    if units[number].herd == herd and units[number].needs.numbers[place]
                ]
                if asks:
                    model.add(sum(asks) <= max(left, 0))

    def _cost(self, unit: Unit, at: int) -> int:
        """Return what the unit costs there whatever else is there, less what it fills of the node: in sum, what nodes have left."""
        room, part = self.draft.room, unit.parts[0]
        view, weights = room.views[at], room.weights
        gpus, uses_gpus = view.capacity.gpus, part.needs.gpus > 0
        cost = failure_cost(view.failures, weights) - locality_gain(view.held, part.inputs, weights)
        cost += gpu_cost(gpus, room.free[at][3], weights, uses_gpus=uses_gpus) if gpus else 0
        cost >>= POINT
        cost += weights.failed_here if view.node in unit.failed_on else 0
        return cost - sum(self._shares(at, part.needs.numbers))

    def _opening(self, at: int) -> int:
        """Return what it costs to take the node into use, nothing if it is in use."""
        room = self.draft.room
        whole = room.whole[at]
        if list(room.free[at]) != list(whole):
            return 0
        return room.weights.opening + sum(self._shares(at, whole))

    def _shares(self, at: int, numbers: tuple[int, ...]) -> list[int]:
        whole = self.draft.room.whole[at]
        return [numbers[place] * _SHARE // max(whole[place], 1) for place in (0, 1)]
