"""All that a Barn's group is put through at once: the mixed workload, leases, faults, and an operator who changes its members."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
from barn_faults import Faults
from barn_group import BarnGroup
from barn_lease_load import LeaseLoad
from barn_operator import Operator
from barn_workload import Load, settled
from runink.testing.lease_lives import Moment


@dataclass
class Ordeal:
    """What happens to one group, and what is wrong then."""

    group: BarnGroup
    seed: int
    load: Load = field(init=False)
    leases: LeaseLoad = field(init=False)
    faults: Faults = field(init=False)
    operator: Operator = field(init=False)

    def __post_init__(self) -> None:
        self.load = Load(self.group, self.seed)
        self.leases = LeaseLoad(self.group, self.seed)
        self.faults = Faults(self.group, self.seed)
        self.operator = Operator(self.group, self.seed, self.faults)

    async def run(self, seconds: float) -> list[str]:
        """Let it all happen for so long; return everything that is wrong, for people."""
        async with anyio.create_task_group() as working:
            working.start_soon(self.load.run)
            working.start_soon(self.leases.run)
            async with anyio.create_task_group() as happening:
                happening.start_soon(self.faults.run, seconds)
                happening.start_soon(self.operator.run, seconds)
            await settled(self.group)
            await self.leases.outlived()
            self.leases.is_over = self.load.is_over = True
        return await self._judge()

    async def _judge(self) -> list[str]:
        answered = [one for one in self.load.history if one.answer is not None]
        moments = [Moment(one.began, one.ended, one.answer.revision) for one in answered]
        return [
            *self.faults.findings,
            *await self.operator.judge(),
            *self.leases.judge(moments),
            *await self.load.judge(),
        ]

    def told(self, took_s: float) -> str:
        """Return the figures, for people."""
        load, leases, operator = self.load, self.leases, self.operator
        unknown = sum(operation.answer is None for operation in load.history)
        renewals = sum(len(life.renewals) - 1 for life in leases.lives)
        keys = sum(len(life.keys) for life in leases.lives)
        return (
            f"seed {self.seed}, {len(self.group.members)} members, {took_s:.0f} s:"
            f" {len(load.history)} operations ({unknown} with an unknown outcome; order: {load.verdict.value}),"
            f" {len(load.watched[0])} changes watched;"
            f" {len(leases.lives)} leases with {keys} keys, {renewals} renewals,"
            f" {leases.lapsed()} lapsed though kept;"
            f" {len(operator.joined)} members joined, {len(operator.removed)} were removed;"
            f" refused: {load.refusals}, leases {leases.refusals}, changes {operator.refusals}"
        )
