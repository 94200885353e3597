"""Improvement of a batch by large neighbourhoods, with OR-tools' CP-SAT: the extra `runink[solver]`.

A few nodes are taken, and a few units that wait.  What the plan itself has put on these nodes, and those units, are placed anew as well as can be, everything else stays.  What is better
is kept, and the next few nodes are taken.  It is for batches, never for what somebody waits for: a round takes hundredths of a second.

Only units of one part move, without company to keep or to avoid: for these, what fits alone and in sum is what fits.  Rounds and deterministic time are the limits, never the clock; with one
worker and a seed the same release gives the same plan on every machine.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, NamedTuple

from runink.placement.demands import Unit
from runink.placement.draft import Draft, Finish
from runink.placement.packing import pack, worth
from runink.placement.shapes import Shape

ROUNDS: Final = 40
NODES_MAX: Final = 4  # in a neighbourhood; more take longer and gain little
WAITING_MAX: Final = 8
SECONDS: Final = 0.05  # of deterministic time, for one neighbourhood


class _Neighbourhood(NamedTuple):
    """Nodes, what of them moves (by its number among what is placed), and what may come."""

    nodes: list[int]
    moving: list[int]
    coming: list[Unit]


def improver(seed: int, rounds: int = ROUNDS) -> Finish:
    """Return what packs a draft and then improves it. Raises ImportError if OR-tools is not there."""
    from ortools.sat.python import cp_model  # noqa: PLC0415 - 80 MB that only batches with this extra need

    def finish(draft: Draft, waits: list[Unit]) -> list[Unit]:
        waits = pack(draft, waits)
        for number in range(rounds):
            found = _neighbourhood(draft, waits, seed, number)
            if found.nodes:
                waits = _placed_anew(cp_model, draft, waits, found, seed)
        return waits

    return finish


def _drawn(seed: int, number: int, values: list[int], most: int) -> list[int]:
    """Choose by chance that is the same everywhere."""

    def lot(one: int) -> bytes:
        return sha256(f"{seed} {number} {one}".encode()).digest()

    return sorted(sorted(values, key=lot)[:most])


def _can_move(unit: Unit) -> bool:
    part = unit.parts[0]
    return len(unit.parts) == 1 and not (part.groups or part.anti or part.spread or part.pin)


def _neighbourhood(draft: Draft, waits: list[Unit], seed: int, number: int) -> _Neighbourhood:
    room = draft.room
    ready = [at for at, is_ready in enumerate(room.ready) if is_ready and at not in draft.holds]
    nodes = _drawn(seed, number, ready, NODES_MAX)
    moving = [
        at
        for at, (unit, places) in enumerate(draft.placed)
        if places[0] in nodes and _can_move(unit)
    ]
    candidates = [at for at, unit in enumerate(waits) if _can_move(unit)]
    return _Neighbourhood(
        nodes, moving, [waits[at] for at in _drawn(seed, number, candidates, WAITING_MAX)]
    )


def _placed_anew(
    cp_model: Any, draft: Draft, waits: list[Unit], found: _Neighbourhood, seed: int
) -> list[Unit]:
    room = draft.room
    before = [draft.placed[number] for number in found.moving]
    for unit, (at, *_) in before:
        room.give(at, unit.parts[0])
        draft.ledger.charge(unit, unit.needs.numbers, -1)
    units = [unit for unit, _ in before] + found.coming
    now = {unit.key: at for unit, (at, *_) in before}
    better = _solved(cp_model, draft, units, found.nodes, now, seed)
    chosen = now if better is None else better
    gone = set(found.moving)
    draft.placed = [one for number, one in enumerate(draft.placed) if number not in gone]
    for unit in units:
        if unit.key in chosen:
            room.take(chosen[unit.key], unit.parts[0])
            draft.ledger.charge(unit, unit.needs.numbers)
            draft.placed.append((unit, (chosen[unit.key],)))
    if better is None:
        return waits
    left = {unit.key: unit for unit in (*waits, *units) if unit.key not in chosen}
    return list(left.values())


def _solved(
    cp_model: Any,
    draft: Draft,
    units: list[Unit],
    nodes: list[int],
    now: dict[Any, int],
    seed: int,
) -> dict[Any, int] | None:
    """Return where the units are best, nothing if that is where they are."""
    room, model = draft.room, cp_model.CpModel()
    on = {}
    for number, unit in enumerate(units):
        shape = draft.shape(unit)
        mine = [(number, at) for at in nodes if _fits_alone(draft, unit, shape, at)]
        on.update({key: model.new_bool_var("") for key in mine})
        model.add_at_most_one(on[key] for key in mine)
    used = {at: model.new_bool_var("") for at in nodes}
    for at in nodes:
        for place, left in enumerate(room.free[at]):
            taken = [
                units[number].needs.numbers[place] * variable
                for (number, other), variable in on.items()
                if other == at
            ]
            model.add(sum(taken) <= max(left, 0) * used[at])
    _hold_quotas(model, draft, units, on)
    cores = {at: 0 if tuple(room.free[at]) != room.whole[at] else room.whole[at][0] for at in nodes}
    scale = sum(cores.values()) + 1
    gain = sum(scale * worth(units[number]) * variable for (number, _), variable in on.items())
    model.maximize(gain - sum(cores[at] * variable for at, variable in used.items()))
    for (number, at), variable in on.items():
        model.add_hint(variable, now.get(units[number].key) == at)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.max_deterministic_time = SECONDS
    if solver.solve(model) not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return None
    before = scale * sum(worth(unit) for unit in units if unit.key in now)
    before -= sum(cores[at] for at in set(now.values()))
    if solver.objective_value <= before:
        return None
    return {
        units[number].key: at for (number, at), variable in on.items() if solver.value(variable)
    }


def _fits_alone(draft: Draft, unit: Unit, shape: Shape, at: int) -> bool:
    return draft.room.rule(at, unit.parts[0], shape) is None


def _hold_quotas(
    model: Any, draft: Draft, units: list[Unit], on: dict[tuple[int, int], Any]
) -> None:
    for herd in sorted({unit.herd for unit in units}):
        for place, left in enumerate(draft.ledger.left(herd)):
            asks = [
                units[number].needs.numbers[place] * variable
                for (number, _), variable in on.items()
                if units[number].herd == herd
            ]
            if asks:
                model.add(sum(asks) <= max(left, 0))
