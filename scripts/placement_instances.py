"""Make the stored instances of placement: thirty clusters of 8 to 20 nodes, half of them with more than fits, and what CP-SAT finds and proves for each.

First the value is made as large as possible, then the processors of nodes in use as small as possible at that value.  One worker, a seed and
deterministic time: the same release of OR-tools gives the same numbers.  OR-tools is needed by nothing else:

    uv run --with ortools==9.15.6755 scripts/placement_instances.py
"""

from __future__ import annotations

import sys

import msgspec
from msgspec.structs import replace
from ortools.sat.python import cp_model
from runink.placement.cluster import HerdView
from runink.placement.feasible import feasible
from runink.placement.plans import Plan, Snapshot
from runink.placement.solver import decide_batch
from runink.testing.placement_instances import STORED, Instance, instance

SECONDS = 6.0  # of deterministic time, for each of the two goals


class Model:
    """The instance as it is given to CP-SAT: which unit is on which node, and which nodes are in use."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.model = model = cp_model.CpModel()
        self.on = {}
        for unit in snapshot.waiting:
            (part,) = unit.parts
            for view in snapshot.nodes:
                if feasible(view, part, HerdView(unit.herd)) is None:
                    self.on[unit.gang, view.node] = model.new_bool_var(f"{unit.gang} {view.node}")
        self.used = {view.node: model.new_bool_var(f"{view.node}") for view in snapshot.nodes}
        for unit in snapshot.waiting:
            model.add(sum(self._of(gang=unit.gang)) <= 1)
        for view in snapshot.nodes:
            for place, whole in enumerate(view.capacity.numbers):
                taken = [
                    unit.needs.numbers[place] * self.on[unit.gang, view.node]
                    for unit in snapshot.waiting
                    if (unit.gang, view.node) in self.on
                ]
                model.add(sum(taken) <= whole * self.used[view.node])
        self.value = sum(
            4**unit.priority * unit.needs.slices * variable
            for unit in snapshot.waiting
            for variable in self._of(gang=unit.gang)
        )
        self.cpu_m = sum(
            view.capacity.cpu_m // 1000 * self.used[view.node] for view in snapshot.nodes
        )

    def _of(self, gang: str) -> list:
        return [variable for (unit, _), variable in self.on.items() if unit == gang]

    def hint(self, chosen: set[tuple[str, str]]) -> None:
        self.model.clear_hints()
        nodes = {node for _, node in chosen}
        for key, variable in self.on.items():
            self.model.add_hint(variable, key in chosen)
        for node, variable in self.used.items():
            self.model.add_hint(variable, node in nodes)

    def solve(self) -> tuple[cp_model.CpSolver, set[tuple[str, str]]]:
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = 1
        solver.parameters.max_deterministic_time = SECONDS
        status = solver.solve(self.model)
        assert status in {cp_model.OPTIMAL, cp_model.FEASIBLE}, solver.status_name(status)
        return solver, {key for key, variable in self.on.items() if solver.value(variable)}


def chosen_by(plan: Plan) -> set[tuple[str, str]]:
    return {(one.unit.gang, one.node) for one in plan.placed}


def solved(one: Instance) -> Instance:
    snapshot = one.snapshot()
    model = Model(snapshot)
    model.hint(chosen_by(decide_batch(snapshot)))
    model.model.maximize(model.value)
    by_value, chosen = model.solve()
    value = round(by_value.objective_value)
    model.model.add(model.value >= value)
    model.hint(chosen)
    model.model.minimize(model.cpu_m)
    by_cost, _ = model.solve()
    return replace(
        one,
        value=value,
        value_most=int(by_value.best_objective_bound + 1e-6),
        cpu_m=round(by_cost.objective_value) * 1000,
        cpu_m_least=round(by_cost.best_objective_bound) * 1000,
    )


def main() -> None:
    found = []
    for seed in range(30):
        found.append(solved(instance(seed, 0.6 if seed % 2 else 1.3)))
        last = found[-1]
        print(
            seed,
            len(last.nodes),
            len(last.units),
            last.value,
            last.value_most,
            last.cpu_m,
            last.cpu_m_least,
        )
        sys.stdout.flush()
    lines = ",\n".join(msgspec.json.encode(one).decode() for one in found)
    STORED.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
