"""When leases end: the deadlines that their owner keeps, beside the log. Pure; the owner passes its clock in.

The replicated state knows how long a lease lasts and how often it was renewed, never until when: deadlines are in the owner's own monotonic
time, and a new owner (after a restart, later also after an election) begins all of them anew.  So a lease may last longer than it
says, and never shorter.

The owner looks every TICK_S.  If it comes late, it was the owner that stood still, and who wanted to renew could not: what was missed
is given back to every lease.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from runink.barn.commands import ExpireLease
from runink.barn.lease_table import LeaseView

TICK_S: Final = 0.25  # a quarter of the shortest lease: how late a lease may end
LATE_S: Final = (
    0.5  # a longer gap between two looks is the owner's fault; shorter ones are a busy machine
)
AGAIN_S: Final = (
    1.0  # an expiry that was proposed is given this long to show before it is proposed again
)


class _Deadline(msgspec.Struct):
    renewals: int
    at_s: float


class LeaseDeadlines:
    """The deadlines of all leases, and the last time that somebody looked."""

    def __init__(self) -> None:
        self._deadlines: dict[int, _Deadline] = {}
        self._looked_s: float | None = None

    def __len__(self) -> int:
        return len(self._deadlines)

    def begin(self, leases: Iterable[LeaseView], *, now_s: float) -> None:
        """Begin all deadlines anew, as a new owner does."""
        self._deadlines.clear()
        for view in leases:
            self.renewed(view, now_s=now_s)

    def renewed(self, view: LeaseView, *, now_s: float) -> None:
        """Take note that a lease was granted or renewed."""
        if not self._deadlines:
            self._looked_s = None
        self._deadlines[view.lease] = _Deadline(view.renewals, now_s + view.ttl_ms / 1000)

    def ended(self, lease: int) -> None:
        self._deadlines.pop(lease, None)

    def left_s(self, lease: int, *, now_s: float) -> float:
        """Return how long a lease lasts still if nobody renews it; 0 for one whose end is proposed or that is not known."""
        deadline = self._deadlines.get(lease)
        return max(deadline.at_s - now_s, 0.0) if deadline is not None else 0.0

    def due(self, *, now_s: float) -> list[ExpireLease]:
        """Return what to propose now, in the order of the leases' ids."""
        late_s = now_s - self._looked_s - TICK_S if self._looked_s is not None else 0.0
        self._looked_s = now_s
        if late_s > LATE_S:
            for deadline in self._deadlines.values():
                deadline.at_s += late_s
        found = []
        for lease, deadline in sorted(self._deadlines.items()):
            if deadline.at_s <= now_s:
                deadline.at_s = now_s + AGAIN_S
                found.append(ExpireLease(lease, deadline.renewals))
        return found
