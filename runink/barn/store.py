"""The Barn's state machine: an ordered map with revisions, leases, client sessions and its past.

`apply` is the only thing that changes it, one entry of the log at a time, in order.  Same entries, same state, same snapshot
bytes, on every member and in every process: nothing here reads a clock, draws a number or walks a set.

Invariants
- `revision` grows by one with every entry that changes a key, and with no other; it begins at 0.
- A key with a lease stands in that lease's keys, and in no other's.
- The history holds every change behind `compacted`, revisions whole and in order.
- An entry is applied once: `applied_index` grows by one.
- The alarm is on from the first put that found no room until a tenth of the quota is free, or until somebody clears it; while it is on, nothing is put and
  no lease is granted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from runink.barn.commands import (
    Answer,
    Applied,
    ClearAlarm,
    Command,
    Compact,
    Declined,
    Delete,
    DeleteRange,
    ExpireLease,
    GrantLease,
    KeepAlive,
    NameCluster,
    Proposal,
    Put,
    Range,
    RevokeLease,
    SetLimits,
    Txn,
)
from runink.barn.digest import BEGINNING, after_changes, after_lease
from runink.barn.history import Watched
from runink.barn.image import FORMAT_VERSION, Facts, Header, Image
from runink.barn.keyspace import Keyspace, Room
from runink.barn.keyvalue import Change, KeyValue, Page, Span
from runink.barn.lease_table import LEASE_BYTES, LeaseTable, LeaseView, no_lease
from runink.barn.limits import Limits
from runink.barn.past import past_of, rows_of
from runink.barn.sessions import Sessions
from runink.barn.transactions import Decision, Doing, decide, growth_of, growth_of_put, look
from runink.barn.watching import Bounds, Interest, changes_behind

__all__ = ["LeaseView", "Store"]


class Store:
    """The state behind `applied_index` entries of the log."""

    def __init__(self) -> None:
        self.applied_index = 0
        self.applied_term = 0
        self.cluster = ""
        self.is_refounded = False
        self.digest = BEGINNING
        self.limits = Limits()
        self.is_alarmed = False
        self._keys = Keyspace()
        self._leases = LeaseTable()
        self._sessions = Sessions()
        self._fresh: list[Change] = []

    def __len__(self) -> int:
        return len(self._keys.items)

    @property
    def revision(self) -> int:
        return self._keys.revision

    @property
    def compacted(self) -> int:
        """The newest revision whose changes are not kept any more; the state at it can still be read."""
        return self._keys.history.compacted

    @property
    def size_bytes(self) -> int:
        """What the state counts for against the quota."""
        keys = self._keys
        return keys.items_bytes + keys.history.size_bytes + LEASE_BYTES * len(self._leases)

    @property
    def history_changes(self) -> int:
        """How many changes are kept."""
        return len(self._keys.history)

    @property
    def history_bytes(self) -> int:
        """What the kept changes count for."""
        return self._keys.history.size_bytes

    @property
    def clients(self) -> int:
        return len(self._sessions)

    def digest_at(self, revision: int) -> bytes:
        """Return the running hash behind a kept revision. Raises Refused (`compacted`, `future_revision`)."""
        self._keys.history.check_kept(revision)
        return self._keys.history.digest_at(revision)

    # Reads.

    def get(self, key: str) -> KeyValue | None:
        return self._keys.items.get(key)

    def range(self, span: Span, *, limit: int = 0) -> Page:
        """Return the keys of the span in order, the first `limit` of them (0: all)."""
        return self.select(Range(span.start, span.end, limit=limit))

    def select(self, query: Range) -> Page:
        """Answer a read, as far as there is room in an answer. Raises Refused (`compacted`, `future_revision`)."""
        return self._keys.select(query, Room())

    def select_all(self, queries: Iterable[Range]) -> tuple[Page, ...]:
        """Answer some reads, all in the room of one answer. Raises as `select`."""
        room = Room()
        return tuple(self._keys.select(query, room) for query in queries)

    def changes_after(
        self, revision: int, interest: Interest, bounds: Bounds, *, part: int = 0
    ) -> Watched:
        """Return the kept changes behind `revision`; see `watching.changes_behind`. Raises Refused (`compacted`, `future_revision`)."""
        return changes_behind(self._keys, revision, interest, bounds, part=part)

    def drain_changes(self) -> list[Change]:
        """Return the changes since the last call, for whoever waits for some."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def leases(self) -> tuple[LeaseView, ...]:
        return self._leases.views()

    def lease(self, lease: int) -> LeaseView | None:
        return self._leases.get(lease)

    def lease_keys(self, lease: int) -> list[str]:
        """Return the keys that end with a lease, in order."""
        return self._leases.keys(lease)

    # The log.

    def apply(self, proposal: Proposal, *, term: int, index: int) -> Answer:
        """Apply the next entry of the log, or answer again what its first copy was answered."""
        assert index == self.applied_index + 1
        assert term >= self.applied_term
        self.applied_index = index
        self.applied_term = term
        history = self._keys.history
        if not history.is_swept:
            history.sweep()
        client, sequence = proposal.client, proposal.sequence
        if not client:
            return self._execute(proposal.command)
        known = self._sessions.answer(client, sequence)
        if known is not None:
            return known
        answer = self._execute(proposal.command)
        self._sessions.record(client, sequence, answer)
        return answer

    def skip(self, *, term: int, index: int) -> None:
        """Take note of an entry without a command (the one that begins a term)."""
        assert index == self.applied_index + 1
        assert term >= self.applied_term
        self.applied_index = index
        self.applied_term = term

    def _execute(self, command: Command) -> Answer:
        if isinstance(command, Put) and not command.want_before:
            return self._put(command)
        match command:
            case Put() | Delete() | DeleteRange():
                return self._change(Decision((command,)))
            case Txn():
                return self._change(decide(self._keys, command))
            case GrantLease() | KeepAlive() | RevokeLease() | ExpireLease():
                return self._of_lease(command)
            case Compact(revision):
                if revision > self.revision:
                    return Declined("future_revision", f"revision {revision} is yet to come")
                self._keys.history.compact(revision)
            case SetLimits(quota, changes, size):
                known = self.limits
                self.limits = Limits(
                    quota or known.quota_bytes,
                    changes or known.history_changes,
                    size or known.history_bytes,
                )
            case ClearAlarm():
                self.is_alarmed = False
            case NameCluster(cluster):
                self.cluster = self.cluster or cluster
            case _:
                assert_never(command)
        self._keep_limits()
        return Applied(self.revision)

    def _put(self, put: Put) -> Answer:
        """Do as `_change` does, on the shortest way: most entries of a busy log are such."""
        if put.lease and put.lease not in self._leases:
            return no_lease(put.lease)
        declined = self._over_quota(growth_of_put(put))
        if declined is not None:
            return declined
        keys = self._keys
        revision = keys.history.revision + 1
        change = keys.put(put.key, put.value, revision, put.lease)
        before = change.before
        if before is not None and before.lease:
            self._leases.detach(before.lease, change.key)
        if put.lease:
            self._leases.attach(put.lease, change.key)
        self._commit(revision, (change,))
        return Applied(revision)

    def _change(self, decision: Decision) -> Answer:
        """Do all of it in one revision, or none."""
        room = Room()
        declined = look(self._keys, self._leases, decision, room)
        if declined is None:
            declined = self._over_quota(growth_of(decision))
        if declined is not None:
            return declined
        doing = Doing(self._keys, self._leases, self.revision + 1, room)
        results = doing.do(decision)
        self._commit_all(doing)
        failed = decision.failed
        return Applied(self.revision, not failed, failed, doing.deleted, results=results)

    def _commit(self, revision: int, changes: tuple[Change, ...]) -> None:
        """Make a revision of changes that are done."""
        self.digest = after_changes(self.digest, revision, changes)
        self._keys.history.add(changes, self.digest)
        self._fresh += changes
        self._keep_limits()

    def _commit_all(self, doing: Doing) -> None:
        if doing.changes:
            self._commit(doing.revision, tuple(doing.changes))

    def _over_quota(self, growth: int) -> Declined | None:
        """Decline what would grow beyond the quota, and everything that grows while the alarm is on."""
        if not growth:
            return None
        if not self.is_alarmed and self.size_bytes + growth <= self.limits.quota_bytes:
            return None
        self.is_alarmed = True
        return Declined(
            "quota_exceeded",
            f"the store has {self.size_bytes} of the {self.limits.quota_bytes} bytes that it may have",
        )

    def _keep_limits(self) -> None:
        limits = self.limits
        history = self._keys.history
        if len(history) > limits.history_changes or history.size_bytes > limits.history_bytes:
            history.keep(limits.history_changes, limits.history_bytes)
        if self.is_alarmed and self.size_bytes < limits.calm_bytes:
            self.is_alarmed = False

    def _of_lease(self, command: GrantLease | KeepAlive | RevokeLease | ExpireLease) -> Answer:
        if isinstance(command, GrantLease):
            declined = self._over_quota(LEASE_BYTES)
            if declined is not None:
                return declined
            view = self._leases.grant(self.applied_index, command.ttl_ms)
            self.digest = after_lease(self.digest, "grant", view)
            return Applied(self.revision, lease=view.lease)
        known = self._leases.get(command.lease)
        match command:
            case ExpireLease(renewals=renewals):
                if known is None or known.renewals > renewals:
                    return Applied(self.revision)
                return self._end_lease(known)
            case _ if known is None:
                return no_lease(command.lease)
            case KeepAlive():
                view = self._leases.renew(known.lease)
                self.digest = after_lease(self.digest, "renew", view)
                return Applied(self.revision, lease=view.lease)
            case RevokeLease():
                return self._end_lease(known)
            case _:
                assert_never(command)

    def _end_lease(self, view: LeaseView) -> Applied:
        doing = Doing(self._keys, self._leases, self.revision + 1)
        doing.delete_keys(self._leases.keys(view.lease))
        self._leases.end(view.lease)
        self.digest = after_lease(self.digest, "end", view)
        self._commit_all(doing)
        return Applied(self.revision, deleted=doing.deleted)

    # Pictures of it.

    def image(self) -> Image:
        """Return the whole state as it is now, as values that stand still. Quick: it copies rows of references; `image.encode` does the work, in any thread."""
        history = self._keys.history
        facts = Facts(
            self.cluster,
            self.digest,
            history.digest_at(history.compacted),
            self._leases.base,
            self.limits,
            self.is_alarmed,
            self.is_refounded,
        )
        header = Header(
            FORMAT_VERSION,
            self.applied_term,
            self.applied_index,
            self.revision,
            history.compacted,
            self._sessions.dropped_client,
            facts,
        )
        return Image(
            header,
            items=self._keys.items.freeze(),
            leases=self._leases.views(),
            sessions=self._sessions.frozen(),
            rows=rows_of(history),
        )

    @classmethod
    def restore(cls, state: Image) -> Store:
        """Return a store in the state that `image` told; from here on both give the same bytes."""
        store = cls()
        header, facts = state.header, state.header.facts
        store.applied_term, store.applied_index = header.term, header.index
        store.cluster, store.digest = facts.cluster, facts.digest
        store.limits, store.is_alarmed = facts.limits, facts.is_alarmed
        store.is_refounded = facts.is_refounded
        store._keys = past_of(state)
        store._leases = LeaseTable(tuple(state.leases), base=facts.lease_base)
        for item in state.items:
            if item.lease:
                store._leases.attach(item.lease, item.key)
        store._sessions = Sessions(state.sessions, dropped_client=header.dropped_client)
        return store
