"""The store against a simple model, and the same log giving the same bytes everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from runink.barn import image
from runink.barn.commands import (
    Applied,
    Command,
    Compact,
    Compare,
    Delete,
    DeleteRange,
    ExpireLease,
    GrantLease,
    Is,
    KeepAlive,
    Of,
    Proposal,
    Put,
    PutDone,
    Range,
    RangeDone,
    RevokeLease,
    SetLimits,
    Txn,
    TxnDone,
    decode_proposal,
    encode_proposal,
)
from runink.barn.keyvalue import Span, key_prefix, one_key
from runink.barn.store import Store
from runink.barn.watching import Bounds, Interest

key_names = st.sampled_from(["/a", "/a/1", "/a/2", "/b", "/b/1", "/é"])
values = st.binary(max_size=3)


class StoreAgainstModel(RuleBasedStateMachine):
    """The model: a dict, and a list of (revision, key, value) that nothing is ever dropped from."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.model: dict[str, bytes] = {}
        self.lease_of: dict[str, int] = {}
        self.leases: list[int] = []
        self.log: list[tuple[int, str, bytes | None]] = []
        self.states: list[dict[str, bytes]] = [{}]  # what every revision was
        self.revision = 0
        self.sequence = 0
        self.seen: dict[str, list[tuple[int, str, bytes | None]]] = {"/": [], "/a": []}
        self.seen_revision = {"/": 0, "/a": 0}

    def apply(self, command: Command) -> Applied:
        self.sequence += 1
        proposal = decode_proposal(encode_proposal(Proposal("client", self.sequence, command)))
        answer = self.store.apply(proposal, term=1, index=self.store.applied_index + 1)
        again = self.store.apply(proposal, term=1, index=self.store.applied_index + 1)
        assert again == answer
        assert isinstance(answer, Applied)
        return answer

    def write(self, written: dict[str, bytes | None], *, lease: int = 0) -> int:
        """Change the model as one revision; a value of None deletes."""
        changed = {
            key: value for key, value in written.items() if value is not None or key in self.model
        }
        if changed:
            self.revision += 1
        for key, value in changed.items():
            self.log.append((self.revision, key, value))
            self.lease_of.pop(key, None)
            if value is None:
                del self.model[key]
            else:
                self.model[key] = value
                if lease:
                    self.lease_of[key] = lease
        if changed:
            self.states.append(dict(self.model))
        return self.revision

    @rule(key=key_names, value=values)
    def put(self, key: str, value: bytes) -> None:
        assert self.apply(Put(key, value)).revision == self.write({key: value})

    @rule(key=key_names)
    def delete(self, key: str) -> None:
        deleted = int(key in self.model)
        assert self.apply(Delete(key)) == Applied(self.write({key: None}), deleted=deleted)

    @rule(prefix=key_names)
    def delete_prefix(self, prefix: str) -> None:
        span = key_prefix(prefix)
        gone = sorted(key for key in self.model if key.startswith(prefix))
        answer = self.apply(DeleteRange(span.start, span.end))
        assert answer == Applied(self.write(dict.fromkeys(gone)), deleted=len(gone))

    @rule(key=key_names, other=key_names, expected=values, value=values)
    def compare_and_swap(self, key: str, other: str, expected: bytes, value: bytes) -> None:
        txn = Txn(
            (Compare(key, Of.VALUE, Is.EQUAL, expected),), (Put(key, value),), (Delete(other),)
        )
        holds = self.model.get(key) == expected
        answer = self.apply(txn)
        assert answer.succeeded is holds
        assert answer.revision == self.write({key: value} if holds else {other: None})

    @rule(key=key_names, value=values)
    def put_if_absent(self, key: str, value: bytes) -> None:
        absent = key not in self.model
        answer = self.apply(Txn((Compare(key, Of.VERSION, Is.EQUAL, 0),), (Put(key, value),)))
        assert answer.succeeded is absent
        assert answer.revision == self.write({key: value} if absent else {})

    @rule()
    def grant(self) -> None:
        self.leases.append(self.apply(GrantLease(5000)).lease)

    @rule(key=key_names, value=values, data=st.data())
    def put_with_lease(self, key: str, value: bytes, data: st.DataObject) -> None:
        if self.leases:
            lease = data.draw(st.sampled_from(self.leases))
            revision = self.apply(Put(key, value, lease)).revision
            assert revision == self.write({key: value}, lease=lease)

    @rule(data=st.data(), way=st.sampled_from(["revoke", "expire", "late"]))
    def end_lease(self, data: st.DataObject, way: str) -> None:
        if not self.leases:
            return
        lease = data.draw(st.sampled_from(self.leases))
        if way == "late":
            view = self.store.lease(lease)
            assert view is not None
            self.apply(KeepAlive(lease))
            self.apply(ExpireLease(lease, view.renewals))
            return
        self.leases.remove(lease)
        gone = sorted(key for key, owner in self.lease_of.items() if owner == lease)
        answer = self.apply(RevokeLease(lease) if way == "revoke" else ExpireLease(lease, 999))
        assert answer == Applied(self.write(dict.fromkeys(gone)), deleted=len(gone))

    @rule(key=key_names, other=key_names, value=values, data=st.data())
    def transaction_within_a_transaction(
        self, key: str, other: str, value: bytes, data: st.DataObject
    ) -> None:
        past = data.draw(st.integers(self.store.compacted, self.revision))
        inner = Txn(
            (Compare(other, Of.VERSION, Is.GREATER, 0),), (Delete(other, want_before=True),)
        )
        operations = (
            Range("/", ""),
            Put(key, value, want_before=True),
            Range(key, key + "\0"),
            Range("/", "", revision=past, limit=3, descending=True),
        )
        if key != other:
            operations = (inner, *operations)
        before = dict(self.model)
        answer = self.apply(Txn((), operations))
        written: dict[str, bytes | None] = {}
        results = list(answer.results)
        if key != other:
            written[other] = None
            done = results.pop(0)
            assert isinstance(done, TxnDone)
            assert done.succeeded is (other in before)
            before.pop(other, None)
        assert answer.revision == self.write({**written, key: value})
        whole, put, one, then = results
        assert isinstance(whole, RangeDone)
        assert {item.key: item.value for item in whole.page.items} == before
        assert isinstance(put, PutDone)
        assert (put.before.value if put.before else None) == before.get(key)
        assert isinstance(one, RangeDone)
        assert [item.value for item in one.page.items] == [value]
        assert isinstance(then, RangeDone)
        was = self.states[past] if past else {}
        assert [item.key for item in then.page.items] == (
            sorted(was, reverse=True)[:3]
            if past
            else sorted(before | {key: value}, reverse=True)[:3]
        )

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(0, self.revision))
        self.apply(Compact(revision))
        for prefix, reached in self.seen_revision.items():
            if reached < self.store.compacted:  # it has to read anew
                self.seen_revision[prefix] = self.store.compacted
                self.seen[prefix] = [one for one in self.log if self.is_seen(prefix, one)]

    def is_seen(self, prefix: str, entry: tuple[int, str, bytes | None]) -> bool:
        return entry[1].startswith(prefix) and entry[0] <= self.seen_revision[prefix]

    @rule(data=st.data(), prefix=st.sampled_from(["/", "/a", "/b", "/none"]))
    def read_the_past(self, data: st.DataObject, prefix: str) -> None:
        revision = data.draw(st.integers(self.store.compacted, self.revision))
        span = key_prefix(prefix)
        page = self.store.select(Range(span.start, span.end, revision=revision))
        was = self.states[revision] if revision else self.model
        expected = {key: value for key, value in was.items() if key.startswith(prefix)}
        assert {item.key: item.value for item in page.items} == expected
        assert [item.key for item in page.items] == sorted(expected)
        assert page.count == len(expected)
        assert all(item.mod_revision <= (revision or self.revision) for item in page.items)

    @rule(data=st.data(), key=key_names, want_before=st.booleans())
    def watch_one_key(self, data: st.DataObject, key: str, *, want_before: bool) -> None:
        after = data.draw(st.integers(self.store.compacted, self.revision))
        interest = Interest((), (one_key(key),), want_before=want_before)
        watched = self.store.changes_after(after, interest, Bounds(1000))
        told = [
            (change.revision, change.now.value if change.now else None)
            for change in watched.changes
        ]
        assert told == [
            (revision, value) for revision, of, value in self.log if of == key and revision > after
        ]
        for change in watched.changes:
            was = self.states[change.revision - 1].get(key) if want_before else None
            assert (change.before.value if change.before else None) == was

    @rule()
    def restart(self) -> None:
        data = b"".join(image.encode(self.store.image()))
        self.store = Store.restore(image.decode(data))
        assert b"".join(image.encode(self.store.image())) == data

    @rule(prefix=st.sampled_from(["/", "/a"]), changes_max=st.integers(1, 4))
    def watch(self, prefix: str, changes_max: int) -> None:
        watched = self.store.changes_after(
            self.seen_revision[prefix], Interest((prefix,)), Bounds(changes_max)
        )
        self.seen_revision[prefix] = watched.revision
        for change in watched.changes:
            value = change.now.value if change.now else None
            self.seen[prefix].append((change.revision, change.key, value))

    @invariant()
    def a_range_holds_what_the_model_holds(self) -> None:
        page = self.store.range(Span("/", ""))
        assert {item.key: item.value for item in page.items} == self.model
        assert [item.key for item in page.items] == sorted(self.model)
        assert self.store.revision == page.revision == self.revision

    @invariant()
    def a_watcher_saw_every_change_once_and_in_order(self) -> None:
        for prefix, seen in self.seen.items():
            reached = self.seen_revision[prefix]
            expected = [
                (revision, key, value)
                for revision, key, value in self.log
                if key.startswith(prefix) and revision <= reached
            ]
            assert seen == expected


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(max_examples=200, stateful_step_count=40)


def replayed(seed: int, *, entries: int) -> bytes:
    """Apply a random log, drawn from the seed, and return the snapshot's bytes."""
    random = Random(seed)
    store = Store()
    leases = [0]
    for index in range(1, entries + 1):
        key = f"/{random.randrange(9)}/{random.randrange(40)}"
        commands: list[Command] = [
            Put(key, random.randbytes(5), random.choice(leases)),
            Put(key, random.randbytes(5)),
            Delete(key),
            DeleteRange(key, key + "0"),
            Txn(
                (Compare(key, Of.VERSION, Is.GREATER, random.randrange(3)),),
                (Delete(key), Put(key + "x", b"then")),
                (Put(key, b"otherwise"),),
            ),
            GrantLease(1000),
            KeepAlive(random.choice(leases)),
            ExpireLease(random.choice(leases), random.randrange(3)),
            Txn(
                (),
                (
                    Put(key, random.randbytes(3000), want_before=True),
                    Txn((Compare("/1", Of.VALUE, Is.LESS, b"a", "/3"),), (Range("/3", "/4"),)),
                ),
            ),
            Compact(max(store.revision - 50, 0)),
            SetLimits(1 << 20, random.randrange(20, 200), 100_000),
        ]
        proposal = Proposal(
            f"client-{random.randrange(30)}", random.randrange(1, 200), random.choice(commands)
        )
        answer = store.apply(proposal, term=1 + index // 100, index=index)
        if isinstance(answer, Applied) and isinstance(proposal.command, GrantLease):
            leases.append(answer.lease)
    return b"".join(image.encode(store.image()))


def test_the_same_log_gives_the_same_bytes_under_another_hash_seed():
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_store import replayed; sys.stdout.buffer.write(replayed(7, entries=1500))"
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "4711")
    ]
    assert outputs[0] == outputs[1] == replayed(7, entries=1500)
