"""Backups: handed out in parts, verified as a whole, restored as a new cluster."""

from __future__ import annotations

import hashlib

import pytest
from barn_world import applied, apply
from runink.barn import backups, image
from runink.barn.backups import (
    BACKUPS_MAX,
    HEADER_BYTES,
    IDLE_S,
    Backups,
    header_of,
    verified,
)
from runink.barn.commands import (
    Applied,
    Declined,
    Delete,
    GrantLease,
    NameCluster,
    Put,
    Range,
    RevokeLease,
)
from runink.barn.refounding import for_new_cluster
from runink.barn.store import Store
from runink.barn.watching import Bounds, Interest
from runink.errors import Broken, NotFound, Overloaded, Refused


def written() -> Store:
    store = Store()
    applied(store, NameCluster("old"), Put("/a", b"1"), Put("/a", b"2"), Put("/b", b""))
    lease = applied(store, GrantLease(5000)).lease
    apply(store, Put("/leased", b"", lease), client="c1", sequence=1)
    applied(store, Delete("/b"))
    return store


def file_of(store: Store) -> bytes:
    body = b"".join(image.encode(store.image()))
    return header_of(hashlib.sha256(body).digest(), len(body)) + body


def restored(store: Store, *, bump: int = 0) -> Store:
    state = verified(file_of(store), where="backup")
    return Store.restore(for_new_cluster(state, cluster="new", index=1, term=1, bump=bump))


def test_parts_make_the_state_of_the_moment_in_which_the_backup_began(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(backups, "PART_BYTES", 300)
    store = Store()
    for number in range(2000):
        applied(store, Put(f"/{number:04}", b"v" * 50))
    whole = b"".join(image.encode(store.image()))
    taken = Backups()
    number = taken.begin(store.image(), now_s=0.0)
    parts: list[bytes] = []
    is_last = False
    while not is_last:
        data, is_last = taken.part(number, len(parts), now_s=1.0)
        assert taken.part(number, len(parts), now_s=1.0) == (data, is_last), (
            "it can be asked for again"
        )
        parts.append(data)
        applied(store, Put(f"/{len(parts):04}", b"changed"), Delete(f"/{1999 - len(parts):04}"))
    assert b"".join(parts) == whole
    assert len(parts) > 3
    for part in (0, len(parts), -1):
        with pytest.raises(NotFound):
            taken.part(number, part, now_s=1.0)


def test_few_backups_are_under_way_at_once_and_idle_ones_are_forgotten():
    taken = Backups()
    state = written().image()
    first = taken.begin(state, now_s=0.0)
    for _ in range(BACKUPS_MAX - 1):
        taken.begin(state, now_s=0.0)
    with pytest.raises(Overloaded):
        taken.begin(state, now_s=1.0)
    taken.begin(state, now_s=IDLE_S + 1)
    with pytest.raises(NotFound):
        taken.part(first, 0, now_s=IDLE_S + 1)


def test_every_changed_byte_of_a_file_is_found():
    data = file_of(written())
    assert len(verified(data, where="here").items) == 2
    for place in (0, 7, 8, 39, 40, 47, HEADER_BYTES, len(data) // 2, len(data) - 1):
        damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(Broken, match="here") as caught:
            verified(damaged, where="here")
        assert caught.value.code == "backup_corrupt"
    for cut in (0, 10, HEADER_BYTES, len(data) - 1):
        with pytest.raises(Broken):
            verified(data[:cut], where="here")


def test_a_restored_cluster_has_the_keys_the_leases_and_the_revision_and_is_another():
    old = written()
    new = restored(old)
    assert (new.cluster, new.revision, new.applied_index) == ("new", old.revision, 1)
    assert new.range(backups_span()).items == old.range(backups_span()).items
    assert new.leases() == old.leases()
    assert new.lease_keys(old.leases()[0].lease) == ["/leased"]
    assert new.clients == 0
    assert new.changes_after(1, Interest(("/",)), Bounds(9)) == old.changes_after(
        1, Interest(("/",)), Bounds(9)
    )
    assert isinstance(apply(new, Put("/leased", b""), client="c1", sequence=1), Applied)


def backups_span() -> Range:
    return Range("/", "")  # type: ignore[return-value] # a read has the fields of a span


def test_where_the_old_members_listened_is_not_known_to_the_new_ones():
    old = written()
    applied(old, Put("/members/1", b"host:1"), Put("/members/2", b"host:2"))
    new = restored(old)
    assert (new.revision, new.applied_index) == (old.revision + 1, 1)
    assert (new.get("/members/1"), len(new)) == (None, len(old) - 2)
    assert new.digest_at(old.revision) == old.digest_at(old.revision)


def test_leases_of_a_restored_cluster_have_new_numbers():
    old = written()
    new = restored(old)
    known = {view.lease for view in old.leases()}
    for _ in range(old.applied_index + 3):
        lease = applied(new, GrantLease(5000)).lease
        assert lease not in known
        assert lease > old.applied_index
    assert isinstance(apply(new, RevokeLease(next(iter(known)))), Applied)
    assert isinstance(apply(new, RevokeLease(3)), Declined)


def test_a_bumped_revision_is_one_that_the_old_cluster_never_made():
    old = written()
    new = restored(old, bump=1000)
    assert new.revision == new.compacted == old.revision + 1000
    assert new.get("/a") == old.get("/a")
    with pytest.raises(Refused) as caught:
        new.changes_after(old.revision, Interest(("/",)), Bounds(9))
    assert caught.value.code == "compacted"
    assert applied(new, Put("/a", b"3")).revision == old.revision + 1001
    again = Store.restore(image.decode(b"".join(image.encode(new.image()))))
    assert again.digest == new.digest
