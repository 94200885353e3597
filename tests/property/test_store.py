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
    RevokeLease,
    Txn,
    decode_proposal,
    encode_proposal,
)
from runink.barn.keyvalue import Span, key_prefix
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
TestStoreAgainstModel.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


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
