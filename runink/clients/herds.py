"""Herds in the Barn: declared, changed, deleted and purged as `herds/lifecycle.py` decides, and what is written only while a herd stands as it was known.

Who changes a herd reads it, has that decided, and writes only if it stands as it was read: nobody writes over what somebody else has said meanwhile.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace as changed

from runink.barn.keys import HERDS, OF_HERD, RUNS, SLICES, herd_key, lineage_key
from runink.clients.access import taking
from runink.clients.barn import BarnClient, Found, Transaction
from runink.errors import Conflict
from runink.herds.beside import beside
from runink.herds.lifecycle import By, created, deleted, no_such_herd, purging, undeleted, updated
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.runs.records import RunRecord

TURNS_MAX: Final = 20


def if_herd(
    transaction: Transaction, herd: HerdName, known: Found[HerdRecord] | None
) -> Transaction:
    """Return the transaction that is only done while the herd is as it is known."""
    key = herd_key(herd)
    if known is None:
        return transaction.if_absent(key)
    return transaction.if_revision(key, known.revision)


def with_herd(
    transaction: Transaction, herd: HerdRecord, known: Found[HerdRecord] | None
) -> Transaction:
    """Return the transaction that is only done while the herd is as it is known, and puts it where it is to be otherwise."""
    transaction = if_herd(transaction, herd.herd, known)
    if known is None or known.value != herd:
        transaction = transaction.put(herd_key(herd.herd), herd)
    return transaction


async def get_herd(barn: BarnClient, name: HerdName) -> Found[HerdRecord]:
    """Return a herd that is there, deleted or not. Raises NotFound (`no_such_herd`)."""
    found = await barn.get(herd_key(name), HerdRecord)
    if found is None:
        raise no_such_herd(name)
    return found


async def all_herds(barn: BarnClient) -> list[Found[HerdRecord]]:
    """Return the herds that are there, by name."""
    return list((await barn.range(HERDS.prefix(), HerdRecord)).items)


async def create_herd(barn: BarnClient, said: HerdRecord, by: By) -> Found[HerdRecord]:
    """Declare a herd. Raises Conflict (`herd_exists`, `herd_deleted`, `revision_changed`)."""
    found = await barn.get(herd_key(said.herd), HerdRecord)
    return await _put(barn, found, created(said, found.value if found is not None else None, by))


class Update(NamedTuple):
    """A herd before and after it was declared anew; both the same where that says nothing new."""

    before: Found[HerdRecord]
    after: Found[HerdRecord]


async def update_herd(
    barn: BarnClient,
    said: HerdRecord,
    by: By,
    *,
    if_revision: int | None = None,
    dry_run: bool = False,
) -> Update:
    """Declare a herd anew, beside what no file has declared of it, or with `dry_run` only return what would be there. Raises NotFound (`no_such_herd`), Conflict (`herd_deleted`, `revision_changed`)."""
    found = await get_herd(barn, said.herd)
    _check_revision(found, if_revision)
    after = updated(beside(said, found.value), found.value, by)
    if dry_run:
        return Update(found, changed(found, value=after))
    return Update(found, await _put(barn, found, after))


async def delete_herd(
    barn: BarnClient, name: HerdName, by: By, *, kept_ms: int, if_revision: int | None = None
) -> Found[HerdRecord]:
    """Let nothing new come into a herd. Raises NotFound (`no_such_herd`), Conflict (`herd_in_use` with the runs, `herd_deleted`, `revision_changed`)."""
    for _ in range(TURNS_MAX):  # each is one in which a run, or the herd, has changed meanwhile
        found = await get_herd(barn, name)
        _check_revision(found, if_revision)
        runs, revision = await runs_of(barn, name)
        living = [one.run for one in runs if not one.state.is_over]
        after = deleted(found.value, living, by, kept_ms=kept_ms)
        unchanged = Transaction().if_unchanged(RUNS.prefix(name), revision)
        committed = await barn.commit(with_herd(unchanged, after, found))
        if committed.succeeded:
            return changed(found, value=after, revision=committed.revision)
    raise _changed_meanwhile(name)


async def undelete_herd(barn: BarnClient, name: HerdName) -> Found[HerdRecord]:
    """Have a herd as it was before it was deleted. Raises NotFound (`no_such_herd`), Conflict (`herd_not_deleted`, `herd_purging`, `revision_changed`)."""
    found = await get_herd(barn, name)
    return await _put(barn, found, undeleted(found.value))


async def _put(
    barn: BarnClient, found: Found[HerdRecord] | None, after: HerdRecord
) -> Found[HerdRecord]:
    """Write a herd if it stands as it was found. Raises Conflict (`revision_changed`)."""
    if found is not None and found.value == after:
        return found
    committed = await barn.commit(with_herd(Transaction(), after, found))
    if not committed.succeeded:
        raise _changed_meanwhile(after.herd)
    key = herd_key(after.herd)
    version, born = (found.version, found.created) if found is not None else (0, committed.revision)
    return Found(key, after, committed.revision, version + 1, 0, born)


def _check_revision(found: Found[HerdRecord], wanted: int | None) -> None:
    if wanted is not None and found.revision != wanted:
        raise Conflict(
            f"herd {found.value.herd} is at revision {found.revision}, not {wanted}",
            code="revision_changed",
            hint=f"runi herd get {found.value.herd} shows it as it is now",
        )


def _changed_meanwhile(name: HerdName) -> Conflict:
    return Conflict(
        f"herd {name} was changed meanwhile by somebody else",
        code="revision_changed",
        hint=f"look at it, runi herd get {name}, and do it again",
    )


async def runs_of(barn: BarnClient, name: HerdName) -> tuple[list[RunRecord], int]:
    """Return the runs of a herd, and the revision at which these are all."""
    listing = await barn.range(RUNS.prefix(name), RunRecord)
    return [found.value for found in listing.items], listing.revision


async def begin_purge(
    barn: BarnClient, name: HerdName, *, now_ms: int, at_once: bool = False
) -> HerdRecord:
    """Say that a herd is being purged, from where there is no way back. Raises NotFound, Conflict."""
    found = await get_herd(barn, name)
    after = purging(found.value, now_ms=now_ms, at_once=at_once)
    await _put(barn, found, after)
    return after


async def purge(barn: BarnClient, name: HerdName) -> int:
    """Take away all that a herd has in the Barn, its own record last, and return how many keys that were. Whoever cuts it may call it again.

    The herd is being purged, so nothing new comes meanwhile. Runs go one by one: what watches them hears of each in an answer of its own.
    """
    found = await get_herd(barn, name)
    gone = found.value.deletion
    assert gone is not None
    assert gone.is_purging, "`begin_purge` comes first"
    count = 0
    for run in (await runs_of(barn, name))[0]:
        count += await barn.delete_prefix(SLICES.prefix(name, run.run))
        count += await barn.delete(lineage_key(name, run.run))
        count += await barn.delete(RUNS.key(name, run.run))
    for keys in OF_HERD:
        count += await barn.delete_prefix(keys.prefix(name))
    await barn.commit(taking(Transaction(), herd_key(name)))
    return count + 1
