"""How worker nodes are: which have fallen silent, which are lost, and how much trouble there was with each lately.

    a node that                                              is, and has
    is there, and says that it lives                         well; what it had fades
    is there, and has said nothing for `suspect_s`           suspect: it gets nothing new
    says that it leaves                                      suspect at once
    is there no more: its lease has ended                    lost; a trouble, unless it had said that it leaves
    is there as another process than before                  a trouble
    could not launch a slice, for no fault of the slice's    a trouble

A node that is lost may come back: for `back_s` it is said to be awaited, and what only it could hold waits that long (`scheduling/absent.py`).  Where no node has gone on while nobody
acted, the whole cluster is being started, and each of its nodes has that time anew.

What is so is said in the Barn (`/health/NODE`) when it changes: who places slices compares that, and a decision that is made again later sees what was
seen then.  That a node lives is written nowhere.  The key is there from a node's first day until FORGET_MS after its loss.

Troubles fade: after FADE_MS half of them are left.  Who has come to act just now knows nothing of who lives: every node gets `suspect_s` anew, but those
that are suspect stay so until they are heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from runink.capabilities import ISOLATION
from runink.machines import BACK_S
from runink.names import NodeId
from runink.runs.records import NodeRecord

FADE_MS: Final = 600_000
TROUBLE: Final = 1000  # what one counts; so that a half of it is a number, too
TROUBLES_MAX: Final = 20 * TROUBLE  # it fades within an hour, however bad it was
UNBORN_MAX: Final = TROUBLES_MAX // TROUBLE  # of which a node is told at once
FORGET_MS: Final = 7 * 24 * 3_600_000  # of a node that does not come back


class NodeHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is said of a node, times in milliseconds of the Unix epoch by the clock of who acts.

    `silent_ms` is since when it is suspect, `lost_ms` since when it is lost, 0 if it is not. `troubles` is what there was of them at `troubled_ms`, TROUBLE for each; `why` is the
    last of them. `incarnation` is the process of its agent that was seen last, and `last` its record as it was then, as far as placement looks at it.
    Until `back_ms` a lost node may come back, 0 for one that is not lost.
    """

    node: NodeId
    silent_ms: int = 0
    lost_ms: int = 0
    troubles: int = 0
    troubled_ms: int = 0
    why: str = ""
    incarnation: str = ""
    back_ms: int = 0
    last: NodeRecord | None = None

    @property
    def is_suspect(self) -> bool:
        return self.silent_ms > 0

    def failures(self, now_ms: int) -> int:
        """Return how many troubles there were lately, as they have faded by now."""
        left = faded(self.troubles, now_ms - self.troubled_ms)
        return (left + TROUBLE // 2) // TROUBLE


class _Known(msgspec.Struct):
    """A node that is there, its record as far as placement looks at it. `unborn` is how many launches had failed when it was heard last; nothing where we have not heard it yet."""

    record: NodeRecord
    incarnation: str
    heard_s: float
    unborn: int | None
    is_leaving: bool = False


LOST: Final = "it was lost"
BEGAN_ANEW: Final = "its agent began anew"
NOT_LAUNCHED: Final = "a slice could not be launched there"

Said = tuple[NodeId, NodeHealth | None]


def faded(troubles: int, elapsed_ms: int) -> int:
    """Return what is left of them after some time: half after FADE_MS, a straight line between two halvings. Integers only, so that all members count alike."""
    halvings, rest_ms = divmod(max(elapsed_ms, 0), FADE_MS)
    left = troubles >> min(halvings, 62)
    return left - left * rest_ms // (2 * FADE_MS)


class Vigil:
    """All nodes, as who acts knows them. It is told what happens, and says what is to be written.

    What it wants written it wants until it is told that it stands there (`wrote`).
    """

    def __init__(self, suspect_s: float, back_s: float = BACK_S) -> None:
        self._suspect_s = suspect_s
        self._back_ms = round(back_s * 1000)
        self._starting: set[NodeId] = set()  # lost ones of a cluster that is being started
        self._nodes: dict[NodeId, _Known] = {}
        self._said: dict[NodeId, NodeHealth] = {}
        self._new: dict[NodeId, list[str]] = {}  # troubles that are not written yet

    def begin(
        self, nodes: Iterable[NodeRecord], said: Iterable[NodeHealth], *, now_s: float
    ) -> None:
        """Take what the Barn holds, and forget everything else."""
        self._said = {one.node: one for one in said}
        self._nodes, self._new = {}, {}
        records = {record.node: record for record in nodes}
        self._starting = self._all_away(records.values())
        for one in self._said.values():
            if one.node not in records and not one.lost_ms and not one.is_suspect:
                self._trouble(one.node, LOST)  # while nobody acted
        for record in records.values():
            was = self._said.get(record.node)
            is_suspect = was is not None and was.is_suspect
            heard_s = now_s - self._suspect_s if is_suspect else now_s
            self._nodes[record.node] = _Known(placed_by(record), record.incarnation, heard_s, None)
            if was is not None:
                self._compare(record, was.incarnation)

    def there(self, record: NodeRecord, *, now_s: float) -> None:
        """Take note of a node's record, which is new or has changed: it has just written it."""
        known = self._nodes.get(record.node)
        if known is not None and known.incarnation == record.incarnation:
            known.heard_s, known.is_leaving = now_s, False
            known.record = placed_by(record)
            return
        was = self._said.get(record.node)
        before = known.incarnation if known is not None else was.incarnation if was else ""
        self._compare(record, before)
        self._nodes[record.node] = _Known(placed_by(record), record.incarnation, now_s, 0)

    def gone(self, node: NodeId) -> None:
        """Take note that a node's lease has ended."""
        known = self._nodes.pop(node, None)
        if known is not None and not known.is_leaving:
            self._trouble(node, LOST)

    def heard(
        self, node: NodeId, incarnation: str, unborn: int, *, is_leaving: bool, now_s: float
    ) -> None:
        """Take note that a node lives, how many launches have failed there, and whether it leaves. What another process of it than the present one said is passed over."""
        known = self._nodes.get(node)
        if known is None or known.incarnation != incarnation:
            return
        before = unborn if known.unborn is None else known.unborn
        for _ in range(min(unborn - before, UNBORN_MAX)):
            self._trouble(node, NOT_LAUNCHED)
        known.unborn, known.heard_s, known.is_leaving = unborn, now_s, is_leaving

    def late(self, late_s: float) -> None:
        """Give time back to all nodes: it was we who stood still, and did not hear."""
        for known in self._nodes.values():
            known.heard_s += late_s

    def due_s(self, now_s: float) -> float | None:
        """Return when the next node is suspect if it is not heard until then; nothing if none can be."""
        due = (one.heard_s + self._suspect_s for one in self._nodes.values())
        return min((at_s for at_s in due if at_s > now_s), default=None)

    def wanted(self, now_s: float, now_ms: int, only: Iterable[NodeId] | None = None) -> list[Said]:
        """Return what is to be said otherwise than the Barn does, of all nodes or of some; None means that nothing is to be said."""
        names = sorted({*self._nodes, *self._said} if only is None else only)
        return [
            (node, health)
            for node in names
            if (health := self._health(node, now_s, now_ms)) != self._said.get(node)
        ]

    def wrote(self, said: Iterable[Said]) -> None:
        """Take note of what stands in the Barn now."""
        for node, health in said:
            self._new.pop(node, None)
            self._starting.discard(node)
            self._said.pop(node, None)
            if health is not None:
                self._said[node] = health

    def _health(self, node: NodeId, now_s: float, now_ms: int) -> NodeHealth | None:
        known, was = self._nodes.get(node), self._said.get(node)
        health = was or NodeHealth(node)
        if known is not None:
            is_silent = known.is_leaving or now_s - known.heard_s >= self._suspect_s
            silent_ms = (health.silent_ms or now_ms) if is_silent else 0
            health = changed(
                health,
                silent_ms=silent_ms,
                lost_ms=0,
                incarnation=known.incarnation,
                back_ms=0,
                last=known.record,
            )
        elif was is None or (was.lost_ms and now_ms - was.lost_ms > FORGET_MS):
            return None
        else:
            back_ms = 0 if node in self._starting else health.back_ms
            back_ms = back_ms or now_ms + self._back_ms
            health = changed(health, lost_ms=health.lost_ms or now_ms, back_ms=back_ms)
        return self._troubled(health, now_ms)

    def _troubled(self, health: NodeHealth, now_ms: int) -> NodeHealth:
        """Return it with the troubles that are not written yet."""
        new = self._new.get(health.node)
        if not new:
            return health
        left = faded(health.troubles, now_ms - health.troubled_ms)
        troubles = min(left + TROUBLE * len(new), TROUBLES_MAX)
        return changed(health, troubles=troubles, troubled_ms=now_ms, why=new[-1])

    def _all_away(self, records: Iterable[NodeRecord]) -> set[NodeId]:
        """Return the nodes that are said to be lost, if none of the others has gone on since that was said."""
        was = self._said
        goes_on = any(
            record.node in was
            and not was[record.node].lost_ms
            and was[record.node].incarnation == record.incarnation
            for record in records
        )
        if goes_on or not self._back_ms:
            return set()
        return {one.node for one in was.values() if one.lost_ms}

    def _compare(self, record: NodeRecord, before: str) -> None:
        if before and record.incarnation and before != record.incarnation:
            self._trouble(record.node, BEGAN_ANEW)

    def _trouble(self, node: NodeId, why: str) -> None:
        self._new.setdefault(node, []).append(why)


def placed_by(record: NodeRecord) -> NodeRecord:
    """Return what placement looks at of a node's record: what changes with the machine's load, its processes and clocks is left out."""
    isolation = record.capabilities.get(ISOLATION)
    return NodeRecord(
        record.node,
        record.capacity,
        labels=record.labels,
        slices_max=record.slices_max,
        capabilities={} if isolation is None else {ISOLATION: isolation},
        missing=record.missing,
        gpus=record.gpus,
        disk_bytes=record.disk_bytes,
        herds=record.herds,
        visible=record.visible,
        streams=record.streams,
        near=record.near,
    )
