"""A member of the Barn in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from runink.actors.member_disk import MemberDisk
from runink.barn.replica import Replica


@dataclass(frozen=True, slots=True)
class MemberStatistics:
    """A member in numbers. `trouble` is why it takes no writes at the moment."""

    member: int
    lead: int
    term: int
    committed_index: int
    applied_index: int
    snapshot_index: int
    voters: tuple[int, ...]
    learners: tuple[int, ...]
    waiting: int
    batches: int
    entries: int
    segments: int
    free_bytes: int
    torn: str
    trouble: str


def statistics_of(
    replica: Replica, disk: MemberDisk, *, batches: int, entries: int
) -> MemberStatistics:
    raft, log = replica.node.raft, disk.storage.statistics()
    conf_state = raft.tracker.membership.conf_state()
    return MemberStatistics(
        member=raft.id,
        lead=replica.lead,
        term=raft.term,
        committed_index=raft.log.committed,
        applied_index=replica.store.applied_index,
        snapshot_index=log.snapshot_index,
        voters=conf_state.voters,
        learners=conf_state.learners,
        waiting=replica.waiting,
        batches=batches,
        entries=entries,
        segments=log.segments,
        free_bytes=disk.free_bytes(),
        torn=disk.storage.torn.text if disk.storage.torn else "",
        trouble=disk.full.text if disk.full else "",
    )
