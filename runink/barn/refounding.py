"""The state of one cluster, made that of a new one: what stays, what is forgotten, and how the two are told apart.

                     from a backup (`backups.py`)          from what a lost majority left
    keys, leases     as they are                           as they are, with all entries of the log, also those not known to be committed
    revision         kept, or moved on                     kept, or moved on
    log              begins anew                           goes on behind its last entry, in a new term
    clients          forgotten: what they repeat           kept: what they repeat is applied once
                     belongs to the old cluster
    addresses of     forgotten                             forgotten, but that of the member that is left
    members

Both have a new id and say that they were made from another one, so that members of the old cluster, which may run still or again, are strangers to those of the new
one.  Addresses are forgotten in a revision of its own.

Who has seen revisions that this state does not know must not take new ones for them: for that, the revision is moved on by more than the old cluster can have made
(`bump`), and what it skipped counts as compacted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from msgspec import structs

from runink.barn.commands import DeleteRange, Proposal, Txn
from runink.barn.image import FORMAT_VERSION, Header, Image
from runink.barn.keys import MEMBERS, member_key
from runink.barn.keyvalue import key_prefix
from runink.barn.pending import proposal_of
from runink.barn.store import Store
from runink.raft.messages import Entry, EntryType

_MEMBERS: Final = key_prefix(MEMBERS.prefix())


def for_new_cluster(state: Image, *, cluster: str, index: int, term: int, bump: int = 0) -> Image:
    """Return the state as that of a new cluster whose log begins behind `index`, its revision moved on by `bump`."""
    facts = state.header.facts
    last_lease = max((view.lease for view in state.leases), default=0)
    base = max(last_lease, facts.lease_base + state.header.index)
    new = replace(
        state,
        header=structs.replace(
            state.header,
            index=index - 1,
            term=term,
            dropped_client="",
            facts=structs.replace(facts, lease_base=base),
        ),
        sessions=(),
    )
    forget = DeleteRange(_MEMBERS.start, _MEMBERS.end)
    return _refounded(new, forget, cluster=cluster, term=term, bump=bump)


def for_group_of_one(state: Image, *, cluster: str, member: int, term: int, bump: int = 0) -> Image:
    """Return the state as that of a new cluster of this member alone: one entry more, of a new term, which forgets the other members."""
    ours = member_key(member)
    others = (DeleteRange(_MEMBERS.start, ours), DeleteRange(f"{ours}\0", _MEMBERS.end))
    return _refounded(state, Txn((), others), cluster=cluster, term=term, bump=bump)


def _refounded(
    state: Image, forget: DeleteRange | Txn, *, cluster: str, term: int, bump: int
) -> Image:
    """Return the state behind one entry more, in which the other members are forgotten."""
    header = state.header
    facts = structs.replace(header.facts, cluster=cluster, is_refounded=True)
    revision, compacted, rows = header.revision, header.compacted, state.rows
    if bump:
        revision = compacted = revision + bump
        rows = ()
        facts = structs.replace(facts, digest_compacted=facts.digest)
    moved = Header(
        FORMAT_VERSION,
        header.term,
        header.index,
        revision,
        compacted,
        header.dropped_client,
        facts,
    )
    store = Store.restore(replace(state, header=moved, rows=rows))
    store.apply(Proposal("", 0, forget), term=term, index=header.index + 1)
    return store.image()


def replay(store: Store, entries: Iterable[Entry]) -> None:
    """Apply entries of a log, as if they were all committed. Changes of the membership change nothing here. Raises Broken (`wal_version`)."""
    for entry in entries:
        if entry.type is EntryType.EntryNormal and entry.data:
            store.apply(proposal_of(entry), term=entry.term, index=entry.index)
        else:
            store.skip(term=entry.term, index=entry.index)
        store.drain_changes()  # nobody watches
