"""The ledger: what herds and runs use, what herds may use, and their shares of the cluster.

A herd's share is that of what it has most of (dominant resource fairness), through its weight; a run's the same without weight.  Both are millionths.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from msgspec.structs import replace

from runink.names import HerdName, RunId
from runink.placement.cluster import NOTHING, Amount, HerdView, Numbers, dominant
from runink.placement.demands import Unit
from runink.placement.feasible import Reason, limits, refused_by_quota
from runink.placement.shapes import keep

_NONE = (0, 0, 0, 0, 0)
_Before = tuple[dict[HerdName, list[int]], dict[RunId, int]]
# What a run uses is one number, of which each amount has its own digits: runs are many, and to find and change five numbers of each is most of what charging would cost.
_DIGITS: Final = Struct("<5Q")


class Ledger:
    """Counts what is charged to it. A herd that nobody has described has no limits and the weight 1."""

    def __init__(self, herds: Iterable[HerdView]) -> None:
        self._views: dict[HerdName, HerdView] = {}
        self._limits: dict[HerdName, Numbers] = {}
        self._used: dict[HerdName, list[int]] = {}
        self._of_runs: dict[RunId, int] = {}
        self._as_one: dict[Numbers, int] = {}
        self._whole: Numbers = _NONE
        self._shares: dict[HerdName, int] = {}
        self._served: dict[RunId, int] = {}
        self._sizes: dict[Amount, int] = {}
        self._refusals: dict[tuple[HerdName, Amount, tuple[int, ...]], Reason] = {}
        self._before: _Before | None = None
        for herd in herds:
            self.describe(herd)

    def describe(self, herd: HerdView) -> None:
        """Take what is said of a herd, in the place of what was said before."""
        before = self._views.get(herd.herd, HerdView(herd.herd))
        used = self._used.setdefault(herd.herd, [0] * 5)
        for at, (new, old) in enumerate(zip(herd.used.numbers, before.used.numbers, strict=True)):
            used[at] += new - old
        self._views[herd.herd] = herd
        if herd.quota == NOTHING:
            self._limits.pop(herd.herd, None)
        else:
            self._limits[herd.herd] = limits(herd.quota).numbers
        self._shares.pop(herd.herd, None)
        self._refusals.clear()

    def measure(self, whole: Numbers) -> None:
        """Take what the cluster has in all, of which shares are told."""
        if whole != self._whole:
            self._whole = whole
            self._shares.clear()
            self._served.clear()
            self._sizes.clear()

    def herd(self, name: HerdName) -> HerdView:
        """Return the herd as it was described, without what is charged."""
        return self._views.get(name) or HerdView(name)

    def herd_now(self, name: HerdName) -> HerdView:
        """Return the herd with all that it uses."""
        herd = self.herd(name)
        used = Amount(*self._used.get(name, _NONE))
        return replace(herd, used=used)

    def has_quota(self, name: HerdName) -> bool:
        return name in self._limits

    def allows(self, unit: Unit, needs: Numbers) -> bool:
        """Say whether the quota has room for it. `needs` are the unit's."""
        most = self._limits.get(unit.herd)
        if most is None or needs == _NONE:
            return True
        used = self._used[unit.herd]
        for number, taken, limit in zip(needs, used, most, strict=True):
            if number and taken + number > limit:
                return False
        return True

    def left(self, name: HerdName) -> list[int]:
        """Return what the herd may still have, of each amount: a number that nobody reaches where it has no limit."""
        most = self._limits.get(name, limits(NOTHING).numbers)
        return [
            limit - taken for limit, taken in zip(most, self._used.get(name, _NONE), strict=True)
        ]

    def refusal(self, unit: Unit, needs: Amount) -> Reason | None:
        """Say why the quota has no room for it, or nothing if it has."""
        if self.allows(unit, needs.numbers):
            return None
        # Of those that wait for their herd many need the same, and while the herd has the same they wait for the same.
        key = (unit.herd, needs, tuple(self._used[unit.herd]))
        reason = self._refusals.get(key)
        if reason is None:
            reason = refused_by_quota(self.herd_now(unit.herd), needs)
            assert reason is not None
            keep(self._refusals, key, reason)
        return reason

    def charge(self, unit: Unit, needs: Numbers, sign: int = 1) -> None:
        """Count it, or with `sign` -1 no longer."""
        herd = self._used.get(unit.herd)
        if herd is None:
            herd = self._used[unit.herd] = [0] * 5
        one = self._as_one.get(needs)
        if one is None:
            one = int.from_bytes(_DIGITS.pack(*needs), "little")
            keep(self._as_one, needs, one)
        before = self._of_runs.get(unit.run, 0)
        if self._before is not None:
            herds, runs = self._before
            if unit.herd not in herds:
                herds[unit.herd] = herd.copy()
            runs.setdefault(unit.run, before)
        now = before + one * sign
        if now:
            self._of_runs[unit.run] = now
        else:
            self._of_runs.pop(unit.run, None)
        cpu_m, memory, disk, gpus, slices = needs
        if sign < 0:
            cpu_m, memory, slices = -cpu_m, -memory, -slices
        herd[0] += cpu_m
        herd[1] += memory
        herd[4] += slices
        if disk or gpus:
            herd[2] += sign * disk
            herd[3] += sign * gpus
        if self._shares:
            self._shares.pop(unit.herd, None)
        if self._served:
            self._served.pop(unit.run, None)

    def begin(self) -> None:
        """Remember from now on what was, for `undo`."""
        self._before = ({}, {})

    def undo(self) -> None:
        """Count as it was when `begin` was called."""
        assert self._before is not None
        herds, runs = self._before
        self._before = None
        self._used.update(herds)
        for name in herds:
            self._shares.pop(name, None)
        for run, used in runs.items():
            self._served.pop(run, None)
            if used:
                self._of_runs[run] = used
            else:
                self._of_runs.pop(run, None)

    def share(self, name: HerdName) -> int:
        """Return the herd's weighted share, of which the smallest is served first."""
        share = self._shares.get(name)
        if share is None:
            used = self._used.get(name)
            whole = dominant(used, self._whole) if used else 0
            share = self._shares[name] = whole * 1000 // max(self.herd(name).weight, 1)
        return share

    def served(self, run: RunId) -> int:
        """Return the run's share."""
        share = self._served.get(run)
        if share is None:
            used = self._of_runs.get(run, 0)
            numbers = _DIGITS.unpack(used.to_bytes(_DIGITS.size, "little")) if used else _NONE
            share = self._served[run] = dominant(numbers, self._whole)
        return share

    def size(self, needs: Amount) -> int:
        """Return what share of the cluster the amount is."""
        size = self._sizes.get(needs)
        if size is None:
            size = self._sizes[needs] = dominant(needs.numbers, self._whole)
        return size
