"""Images: format 1 is read, and a state of many keys is pictured without being walked over."""

from __future__ import annotations

from pathlib import Path

import pytest
from barn_world import applied
from runink.barn import image
from runink.barn.commands import Delete, DeleteRange, GrantLease, KeepAlive, Put, Txn
from runink.barn.keyvalue import KeyValue, key_prefix
from runink.barn.ordered import CHUNK_ITEMS
from runink.barn.store import LeaseView, Store
from runink.barn.watching import Bounds, Interest
from runink.errors import Broken, Refused

FORMAT_1 = Path(__file__).parents[2] / "golden" / "barn-image-v1" / "image.bin"


def test_an_image_of_format_1_is_read_without_its_history():
    store = Store.restore(image.decode(FORMAT_1.read_bytes()))
    assert (store.revision, store.applied_index, store.applied_term) == (154, 400, 5)
    assert (len(store), len(store.leases()), store.clients) == (98, 37, 30)
    item = store.range(key_prefix("/0/1")).items[0]
    assert (item.create_revision, item.mod_revision, item.version) == (8, 125, 2)
    assert store.lease(28) == LeaseView(28, 1000, 4)
    with pytest.raises(Refused) as caught:
        store.changes_after(153, Interest(("/",)), Bounds(9))
    assert caught.value.code == "compacted"
    assert store.changes_after(154, Interest(("/",)), Bounds(9)).changes == ()


def test_what_was_read_of_format_1_goes_on_as_format_2():
    stores = [Store.restore(image.decode(FORMAT_1.read_bytes()))]
    stores.append(Store.restore(image.decode(b"".join(image.encode(stores[0].image())))))
    for store in stores:
        applied(store, Put("/0/1", b"new"), Delete("/0/10"), KeepAlive(28))
        assert applied(store, GrantLease(5000)).lease == 404
    first, second = (b"".join(image.encode(store.image())) for store in stores)
    assert first == second
    assert image.decode(first).header.version == image.FORMAT_VERSION


def test_a_picture_does_not_change_with_the_store():
    store = Store()
    for number in range(20 * CHUNK_ITEMS):
        applied(store, Put(f"/{number:05}", b"old"))
    lease = applied(store, GrantLease(5000)).lease
    picture = store.image()
    before = b"".join(image.encode(picture))
    for number in range(0, 20 * CHUNK_ITEMS, 7):
        applied(
            store,
            Put(f"/{number:05}", b"new", lease),
            Delete(f"/{number + 1:05}"),
            Put(f"/x{number}", b""),
        )
    applied(store, KeepAlive(lease))
    assert b"".join(image.encode(picture)) == before
    assert b"".join(image.encode(store.image())) != before


def test_rows_that_do_not_fit_the_keys_are_refused():
    store = Store()
    applied(store, Put("/a", b"1"), Put("/a", b"2"))
    state = store.image()
    rows = list(state.rows)
    older = KeyValue("/a", b"2", 1, 1, 1)
    newer = image.PastRow(b"", (KeyValue("/a", b"2", 1, 7, 1),))
    for items, past in (([older], rows), (list(state.items), [rows[0], newer])):
        with pytest.raises(Broken) as caught:
            Store.restore(image.Image(state.header, items, (), (), past))
        assert caught.value.code == "snapshot_corrupt"
    short = image.Image(state.header, list(state.items), (), (), rows[:1])
    with pytest.raises(Broken):
        image.decode(b"".join(image.encode(short)))


def test_a_log_that_changes_a_key_twice_in_a_revision_can_still_be_restored():
    store = Store()
    applied(store, Put("/a", b"1"))
    applied(store, Txn((), (Put("/a", b"2"), Delete("/a"), Put("/a", b"3"), DeleteRange("/", ""))))
    again = Store.restore(image.decode(b"".join(image.encode(store.image()))))
    assert b"".join(image.encode(again.image())) == b"".join(image.encode(store.image()))
    changes = again.changes_after(1, Interest(("/",)), Bounds(9)).changes
    assert [one.now.value if one.now else None for one in changes] == [b"2", None, b"3", None]
