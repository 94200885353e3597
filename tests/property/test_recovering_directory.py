"""A member that a lost majority left is recovered, with a crash before any operation of the disk: it has what it had, or the whole new group, and the same can be done again."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.actors.recovering import Survivor, look, recover
from runink.barn import image
from runink.barn.commands import Proposal, Put, encode_proposal
from runink.barn.keyvalue import key_prefix
from runink.barn.refounding import replay
from runink.barn.store import Store
from runink.raft.messages import (
    ConfChangeSingle,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    HardState,
    SnapshotMetadata,
    encode_conf_change,
)
from runink.storage.checking import check_directory
from runink.storage.log_storage import begin_directory, open_log_storage
from runink.storage.wal import SEGMENT_BYTES_MIN
from runink.testing.disk import Cut, FaultyDisk

MEMBER = 3
GROUP = ConfState(voters=(1, 2, 3))


def written(random: Random) -> tuple[FaultyDisk, dict[str, bytes]]:
    """Return the directory of a follower of a group of three, and all keys that its log holds, whether they are known to be committed or not."""
    disk = FaultyDisk()
    store = Store()
    store.skip(term=1, index=1)
    begin_directory(disk, SnapshotMetadata(GROUP, 1, 1), image.encode(store.image()))
    storage, _ = open_log_storage(disk, segment_bytes=SEGMENT_BYTES_MIN)
    keys: dict[str, bytes] = {}
    term = commit = 1
    for index in range(2, 2 + random.randrange(1, 60)):
        term += random.random() < 0.1
        entry = _entry(random, term, index, keys)
        storage.save([entry], HardState(term, random.randrange(4), commit))
        replay(store, [entry])
        if random.random() < 0.5:
            commit = index
        if random.random() < 0.1 and commit == index:
            metadata = SnapshotMetadata(GROUP, index, term)
            storage.snapshot_written(storage.write_snapshot(metadata, image.encode(store.image())))
            storage.truncate()
    storage.close()
    return disk, keys


def _entry(random: Random, term: int, index: int, keys: dict[str, bytes]) -> Entry:
    kind = random.randrange(10)
    if kind == 0:
        return Entry(term, index)
    if kind == 1:
        change = ConfChangeSingle(ConfChangeType.ConfChangeAddLearnerNode, 4)
        type_, data = encode_conf_change(ConfChangeV2(changes=(change,)))
        return Entry(term, index, type_, data)
    key, value = f"/k/{random.randrange(20)}", random.randbytes(random.randrange(300))
    keys[key] = value
    return Entry(term, index, data=encode_proposal(Proposal("", 0, Put(key, value))))


def keys_in(survivor: Survivor) -> dict[str, bytes]:
    return {item.key: item.value for item in survivor.store.range(key_prefix("/")).items}


@given(
    st.integers(0, 2**32), st.integers(0, 40), st.sampled_from(["killed", "power", "nothing kept"])
)
@settings(max_examples=200)
def test_a_crash_at_any_moment_leaves_the_old_member_or_the_new_group_and_loses_nothing(
    seed: int, operations: int, cause: str
):
    random = Random(seed)
    disk, keys = written(random)
    before = look(disk, MEMBER)
    assert not before.is_alone
    assert keys_in(before) == keys
    disk.cut_after(operations)
    is_done = False
    with suppress(Cut):
        recover(disk, before, cluster="new")
        is_done = True
    if cause == "killed":
        found = disk.killed()
    elif cause == "power":
        found = disk.crash_at_random(random)
    else:
        found = disk.crash()
    assert check_directory(found).faults == []
    after = look(found, MEMBER)
    assert keys_in(after) == keys
    assert after.is_alone or not is_done
    if not after.is_alone:
        assert (after.last, after.promise, after.group) == (
            before.last,
            before.promise,
            before.group,
        )
        recover(found, after, cluster="another")
        after = look(found.crash(), MEMBER)
    assert after.is_alone
    assert keys_in(after) == keys
    assert after.store.is_refounded
    assert after.store.cluster in {"new", "another"}
    assert (after.last.index, after.promise.commit) == (before.last.index + 1,) * 2
    assert after.last.term == after.promise.term > before.promise.term
