"""What a member of the Barn counts, and its readings (`observe/metrics.py` says what each means)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runink.actors.member_disk import MemberDisk, Written
from runink.actors.peers import Peer
from runink.barn.commands import Answer, Declined
from runink.barn.effects import Append
from runink.barn.replica import Replica
from runink.errors import RuninkError
from runink.observe.metrics import Histogram, Reading

_BARN = "runink_barn_"


class MemberMetrics:
    """The counters of one life."""

    def __init__(self) -> None:
        self.batches = 0
        self.entries = 0
        self._bytes = 0
        self._installed = 0
        self._sent = {"delivered": 0, "lost": 0}
        self._proposals = {"applied": 0, "declined": 0, "failed": 0}
        self._proposal_seconds = Histogram(f"{_BARN}proposal_seconds")
        self._write_seconds = Histogram(f"{_BARN}log_write_seconds")

    def written(self, append: Append, written: Written) -> None:
        """Count a batch that is on disk."""
        self.batches += 1
        self.entries += len(append.entries)
        self._bytes += sum(len(entry.data) for entry in append.entries)
        self._write_seconds.observe(written.seconds)
        self._installed += written.store is not None

    def snapshot_sent(self, *, is_delivered: bool) -> None:
        self._sent["delivered" if is_delivered else "lost"] += 1

    def answered(self, outcome: Answer | RuninkError, seconds: float) -> None:
        """Count a proposal that is over."""
        kind = "failed" if isinstance(outcome, RuninkError) else "applied"
        self._proposals["declined" if isinstance(outcome, Declined) else kind] += 1
        self._proposal_seconds.observe(seconds)

    def readings(
        self, replica: Replica, disk: MemberDisk, peers: Mapping[int, Peer]
    ) -> Iterator[Reading]:
        """Yield all that is known about consensus, the log and the other members."""
        raft, log = replica.node.raft, disk.storage.statistics()
        conf_state = raft.tracker.membership.conf_state()
        yield _one("is_leader", raft.is_leader)
        yield _one("has_leader", replica.lead != 0)
        yield _one("leader_changes_total", replica.leader_changes)
        yield _one("term", raft.term)
        yield _one("committed_index", raft.log.committed)
        yield _one("applied_index", replica.store.applied_index)
        yield _one("snapshot_index", log.snapshot_index)
        yield _one("members", len(conf_state.voters), role="voter")
        yield _one("members", len(conf_state.learners), role="learner")
        yield _one("waiting_requests", replica.waiting)
        yield _one("takes_no_writes", disk.full is not None)
        yield _one("disk_free_bytes", disk.free_bytes())
        yield _one("log_segments", log.segments)
        yield _one("log_entries_total", self.entries)
        yield _one("log_bytes_total", self._bytes)
        yield self._write_seconds.reading()
        yield disk.snapshot_seconds.reading()
        for kind, count in self._sent.items():
            yield _one("snapshots_sent_total", count, outcome=kind)
        yield _one("snapshots_installed_total", self._installed)
        for kind, count in self._proposals.items():
            yield _one("proposals_total", count, outcome=kind)
        yield self._proposal_seconds.reading()
        for member, peer in sorted(peers.items()):
            yield _one("peer_connected", peer.is_connected, member=str(member))
            yield _one("peer_messages_total", peer.sent, member=str(member))
            yield _one("peer_dropped_total", peer.dropped, member=str(member))
        if raft.is_leader:
            last_index = raft.log.last_index()
            for member, progress in sorted(raft.tracker.progress.items()):
                behind = last_index - progress.match
                yield _one("peer_behind_entries", behind, member=str(member))


def _one(name: str, value: float, **labels: str) -> Reading:
    return Reading(_BARN + name, float(value), labels)
