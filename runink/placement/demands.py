"""What is asked for: units, and the parts of which each has a node.

a slice            a unit of one part
a colocated gang   slices joined by pipes: one part, with the sum of what they need
a network gang     slices joined by wire streams: several parts, all of which are placed, or none
"""

from __future__ import annotations

from msgspec import Struct

from runink.labels import LabelRule
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import NOTHING, Amount

UnitKey = tuple[RunId, str]  # a run and the name of a gang in it
Inputs = tuple[tuple[str, int], ...]  # names with their bytes


class Spread(Struct, frozen=True, cache_hash=True):
    """That parts of a group are to be spread over domains: the values of the label `key` (`zone`), or `node`.

    Hard: a domain never has more than `skew_max` more of them than the emptiest one of those that the part may use: what is pinned may use
    one, and is never refused.  Soft: emptier domains are better.
    """

    group: str
    key: str = "zone"
    is_hard: bool = False
    skew_max: int = 1


class Part(Struct, frozen=True, cache_hash=True):
    """What stands on one node.

    `requires` are capabilities, `sees` names of secrets and data.  `groups` are those that it belongs to, `anti` those that it does not stand on a node with; names of
    groups are the caller's, with the herd and the run in them where they mean only those.  `inputs` are what it reads: names with their bytes, or 1 each where nobody knows.
    It does not go to the nodes that it `avoids`: it failed there, and the caller knows of others (`scheduling/returning.py`).
    """

    needs: Amount
    labels: tuple[LabelRule, ...] = ()
    requires: tuple[str, ...] = ()
    sees: tuple[str, ...] = ()
    pin: NodeId | None = None
    groups: tuple[str, ...] = ()
    anti: tuple[str, ...] = ()
    spread: Spread | None = None
    inputs: Inputs = ()
    avoids: tuple[NodeId, ...] = ()


class Unit(Struct, frozen=True, cache_hash=True):
    """What is placed together, or not at all.

    `priority`: more is sooner.  `run_order` is when its run was submitted and `waiting_since_ms` since when it waits, milliseconds of the Unix epoch; `rank` is the longest
    way to the end of its run, milliseconds.  `estimate_ms` is how long it will take (0: unknown).  `grace_ms` is how long it goes on when it is told to give way,
    beside what anything has for its end (`Policy.grace_ms`).  On `failed_on` it goes only if there is no other, now.
    """

    run: RunId
    gang: str
    herd: HerdName
    parts: tuple[Part, ...]
    priority: int = 0
    run_order: int = 0
    rank: int = 0
    waiting_since_ms: int = 0
    failed_on: frozenset[NodeId] = frozenset()
    estimate_ms: int = 0
    can_be_preempted: bool = True
    grace_ms: int = 0

    @property
    def key(self) -> UnitKey:
        return (self.run, self.gang)

    @property
    def needs(self) -> Amount:
        """Return what its parts need together."""
        if len(self.parts) == 1:
            return self.parts[0].needs
        return sum((part.needs for part in self.parts), NOTHING)
