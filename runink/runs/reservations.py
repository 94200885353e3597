"""Nodes that are kept for slices that wait, as that stands in the Barn: what one plan decides, the next one goes on from, whoever makes it.

The scheduler writes it.  The run controller reads whom it names as victims, and stops those (`draining.py`).
"""

from __future__ import annotations

import msgspec

from runink.names import NodeId, RunId

GangKey = tuple[RunId, str]  # a run and the name of a gang in it


class Victim(msgspec.Struct, frozen=True, array_like=True, order=True):
    """An attempt of a gang that is stopped. Its next one has nothing to do with it, wherever that begins."""

    run: RunId
    gang: str
    attempt: int

    @property
    def key(self) -> GangKey:
        return self.run, self.gang


class ReservationRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """That nodes are kept for a gang, one for each of its parts.

    `at_ms` is when it was expected to fit when this was written, 0 if nobody knows; `victims` are stopped for it, because `priority` is more than theirs.
    `since` is the revision on which it was first decided and its place in that plan: who had nodes kept first is served first.
    """

    run: RunId
    gang: str
    nodes: tuple[NodeId, ...]
    at_ms: int = 0
    victims: tuple[Victim, ...] = ()
    priority: int = 0
    since: tuple[int, int] = (0, 0)

    @property
    def key(self) -> GangKey:
        return self.run, self.gang

    @property
    def why(self) -> str:
        """Say to its victims why they are stopped."""
        return f"{self.gang} of {self.run} needs its place, with priority {self.priority}"
