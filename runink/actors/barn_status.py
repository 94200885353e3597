"""What the Barn says of itself: its status, for people, and the readings of its metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runink.actors.member_statistics import MemberStatistics
from runink.barn.store import Store
from runink.clients.barn_requests import BarnStatus
from runink.observe.metrics import Reading


@dataclass(slots=True)
class Served:
    """What one life of a member has served."""

    linearizable_reads: int = 0
    serializable_reads: int = 0
    leases_expired: int = 0
    watch_answers: int = 0
    watch_changes: int = 0


def status_of(
    store: Store, member: MemberStatistics, *, leases: int, watches: int, now_ms: int
) -> BarnStatus:
    """Return the status: `leases` and `watches` are how many there are, `now_ms` is our wall clock."""
    return BarnStatus(
        term=member.term,
        applied_index=store.applied_index,
        snapshot_index=member.snapshot_index,
        revision=store.revision,
        compacted=store.compacted,
        keys=len(store),
        leases=leases,
        clients=store.clients,
        watches=watches,
        waiting=member.waiting,
        batches=member.batches,
        log_segments=member.segments,
        free_bytes=member.free_bytes,
        torn=member.torn,
        trouble=member.trouble,
        cluster=store.cluster,
        digest=store.digest_at(store.revision).hex(),
        size_bytes=store.size_bytes,
        quota_bytes=store.limits.quota_bytes,
        history_changes=store.history_changes,
        history_changes_max=store.limits.history_changes,
        history_bytes=store.history_bytes,
        history_bytes_max=store.limits.history_bytes,
        is_alarmed=store.is_alarmed,
        member=member.member,
        lead=member.lead,
        committed_index=member.committed_index,
        voters=member.voters,
        learners=member.learners,
        now_ms=now_ms,
    )


def readings_of(store: Store, served: Served, *, leases: int, watches: int) -> Iterator[Reading]:
    """Yield what is known of the store, and of those who ask for something in it; `leases` and `watches` are how many there are."""
    numbers = {
        "revision": store.revision,
        "compacted_revision": store.compacted,
        "keys": len(store),
        "leases": leases,
        "sessions": store.clients,
        "watches": watches,
        "size_bytes": store.size_bytes,
        "quota_bytes": store.limits.quota_bytes,
        "history_changes": store.history_changes,
        "history_bytes": store.history_bytes,
        "is_alarmed": store.is_alarmed,
        "watch_answers_total": served.watch_answers,
        "watch_changes_total": served.watch_changes,
        "leases_expired_total": served.leases_expired,
    }
    for name, value in numbers.items():
        yield Reading(f"runink_barn_{name}", float(value))
    reads = {"linearizable": served.linearizable_reads, "serializable": served.serializable_reads}
    for kind, count in reads.items():
        yield Reading("runink_barn_reads_total", count, {"kind": kind})
