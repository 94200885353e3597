"""The running hash: equal for equal pasts, whatever is kept of them; unlike from the first difference on."""

from __future__ import annotations

import pytest
from barn_world import applied
from runink.barn import image
from runink.barn.commands import Command, Compact, Delete, GrantLease, KeepAlive, Put, RevokeLease
from runink.barn.digest import BEGINNING
from runink.barn.store import Store
from runink.errors import Refused


def digests(*commands: Command) -> tuple[bytes, bytes]:
    store = Store()
    for command in commands:
        applied(store, command)
    return store.digest, store.digest_at(store.revision)


def test_equal_pasts_have_equal_hashes():
    commands = (Put("/a", b"1"), GrantLease(5000), Put("/a", b"2"), Delete("/a"))
    assert digests(*commands) == digests(*commands)


@pytest.mark.parametrize(
    "other",
    [
        (Put("/a", b"2"), Put("/b", b"2")),
        (Put("/b", b"1"), Put("/b", b"2")),
        (Put("/b", b"2"), Put("/a", b"1")),
        (GrantLease(5000), Put("/a", b"1"), Put("/b", b"2")),
        (Put("/a", b"1"), Put("/x", b""), Delete("/x"), Put("/b", b"2")),
    ],
)
def test_a_difference_shows_in_every_hash_behind_it(other: tuple[Command, ...]):
    assert digests(Put("/a", b"1"), Put("/b", b"2"))[1] != digests(*other)[1]


def test_what_is_done_to_leases_counts():
    granted = digests(GrantLease(5000))[0]
    assert granted != BEGINNING
    assert granted != digests(GrantLease(6000))[0]
    assert granted != digests(GrantLease(5000), KeepAlive(1))[0]
    assert granted != digests(GrantLease(5000), RevokeLease(1))[0]


def test_a_kept_revision_has_the_hash_that_it_had_whatever_was_compacted_or_restored():
    store = Store()
    applied(store, Put("/a", b"1"), Put("/a", b"2"))
    second = store.digest_at(2)
    applied(store, Put("/a", b"3"), Compact(2))
    again = Store.restore(image.decode(b"".join(image.encode(store.image()))))
    for one in (store, again):
        assert one.digest_at(2) == second
        assert one.digest_at(3) == store.digest
        with pytest.raises(Refused):
            one.digest_at(1)
    applied(store, Put("/b", b""))
    applied(again, Put("/b", b""))
    assert store.digest == again.digest
