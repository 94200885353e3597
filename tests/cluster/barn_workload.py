"""A mixed workload on a Barn, and what is judged of it afterwards.

    clients 1 to 14     put, get, delete, swap, transactions on keys that 7 of them share, each time some 400 operations long
    client 15           pairs of keys that one transaction changes, and one read must show alike
    client 16           leases: granted, kept, revoked with their keys
    watchers            follow everything, at whichever member serves them

`Load.run` works until it is told to stop; `Load.judge` says what is wrong: with the order of what was answered, with the watches, with the state in the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from typing import Final

import anyio
from barn_group import BarnGroup
from runink.barn.commands import Compare, Delete, Is, Of, Put, Txn
from runink.barn.keyvalue import Change, one_key
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import Read
from runink.errors import OutcomeUnknown, RuninkError, Unavailable
from runink.testing import histories
from runink.testing.histories import Operation, Saw, Wrote
from runink.testing.linearizability import Verdict, check_linearizable
from runink.testing.revision_order import check_revisions

WRITERS: Final = 14
SHARED_BY: Final = 7  # clients of one key; more make the search for an order too long
KEYS: Final = 3  # of one share at a time
OPERATIONS_MAX: Final = 400  # of one key, for the same reason
WITHIN_S: Final = 8.0
PREFIX: Final = "/load/"
LAST: Final = "/load/last"  # the watches end with it


@dataclass
class Load:
    """16 clients of a group. Everything random comes from the seed."""

    group: BarnGroup
    seed: int
    history: list[Operation] = field(default_factory=list)
    watched: list[list[Change]] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    is_over: bool = False
    last_revision: int = 0
    verdict: Verdict = Verdict.UNKNOWN  # of the order, when it was judged
    _counts: dict[str, int] = field(default_factory=dict)
    _epochs: dict[int, int] = field(default_factory=dict)
    _written: int = 0

    async def run(self, watchers: int = 3) -> None:
        """Work until `is_over`, then let the watchers come to the end."""
        async with anyio.create_task_group() as watching:
            for number in range(watchers):
                self.watched.append([])
                watching.start_soon(self._watch, number)
            async with anyio.create_task_group() as working:
                for number in range(WRITERS):
                    working.start_soon(self._write, number)
                working.start_soon(self._pair)
                working.start_soon(self._lease)
            async with self.group.client(within_s=60.0) as barn:
                self.last_revision = await barn.put(LAST, b"")

    # What clients do.

    async def _write(self, number: int) -> None:
        random = Random(f"{self.seed} {number}")
        seat = random.randrange(len(self.group.members)) if number % 2 else None
        async with self.group.client(seat=seat, within_s=WITHIN_S) as barn:
            while not self.is_over:
                await self._do(barn, f"c{number}", self._key(number // SHARED_BY, random), random)
                await anyio.sleep(random.random() * 0.02)

    def _key(self, share: int, random: Random) -> str:
        epoch = self._epochs.setdefault(share, 0)
        key = f"{PREFIX}{share}/{epoch:04}/{random.randrange(KEYS)}"
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] >= OPERATIONS_MAX:
            self._epochs[share] += 1
        return key

    async def _do(self, barn: BarnClient, client: str, key: str, random: Random) -> None:
        kind = random.choices(("put", "get", "delete", "swap"), (4, 5, 1, 3))[0]
        if kind == "get":
            await self._get(barn, client, key)
            return
        self._written += 1
        value = f"{client} {self._written}".encode()
        action: histories.Action
        match kind:
            case "put":
                action = histories.Put(value)
            case "delete":
                action = histories.Delete()
            case _:
                action = histories.Swap(await self._revision(barn, key, random), value)
        await self._change(barn, client, key, action)

    async def _revision(self, barn: BarnClient, key: str, random: Random) -> int:
        """Return what a swap should compare with: what some member has, or nothing."""
        if random.random() < 0.2:
            return 0
        try:
            pages = await barn.ask(Read((one_key(key),), serializable=True))
        except Unavailable:
            return 0
        return pages.pages[0].items[0].mod_revision if pages.pages[0].items else 0

    async def _get(self, barn: BarnClient, client: str, key: str) -> None:
        began = time.monotonic()
        try:
            pages = await barn.read(one_key(key))
        except Unavailable as error:
            self._refused(error)
            return
        items = pages.pages[0].items
        saw = Saw(
            items[0].value if items else None,
            items[0].mod_revision if items else 0,
            pages.revision,
        )
        self._note(client, key, histories.Get(), began, saw)

    async def _change(
        self, barn: BarnClient, client: str, key: str, action: histories.Action
    ) -> None:
        began = time.monotonic()
        try:
            match action:
                case histories.Put(value):
                    answer = await barn.propose(Put(key, value))
                    wrote = Wrote(answer.revision)
                case histories.Delete():
                    answer = await barn.propose(Delete(key))
                    wrote = Wrote(answer.revision, answer.deleted > 0)
                case histories.Swap(expected, value):
                    compare = Compare(key, Of.MOD_REVISION, Is.EQUAL, expected)
                    answer = await barn.propose(Txn((compare,), (Put(key, value),)))
                    wrote = Wrote(answer.revision, answer.succeeded)
        except OutcomeUnknown as error:
            self._refused(error)
            self.history.append(Operation(client, key, action, began))
        except Unavailable as error:
            self._refused(error)  # it has surely not happened
        else:
            self._note(client, key, action, began, wrote)

    def _note(
        self, client: str, key: str, action: histories.Action, began: float, answer: Saw | Wrote
    ) -> None:
        self.history.append(Operation(client, key, action, began, time.monotonic(), answer))

    def _refused(self, error: RuninkError) -> None:
        self.refusals[error.code] = self.refusals.get(error.code, 0) + 1

    async def _pair(self) -> None:
        left, right = one_key("/pair/left"), one_key("/pair/right")
        number = 0
        possible: set[bytes] = set()  # one with an unknown outcome may still come
        async with self.group.client(within_s=WITHIN_S) as barn:
            while not self.is_over:
                number += 1
                value = str(number).encode()
                try:
                    await barn.propose(Txn((), (Put(left.start, value), Put(right.start, value))))
                    pages = await barn.read(left, right)
                except Unavailable as error:
                    self._refused(error)
                    possible.add(value)
                    continue
                found = [page.items[0].value for page in pages.pages]
                if len(set(found)) > 1 or found[0] not in {value} | possible:
                    self.findings.append(f"a pair was written as {value!r} and read as {found}")

    async def _lease(self) -> None:
        number = 0
        async with self.group.client(within_s=WITHIN_S) as barn:
            while not self.is_over:
                number += 1
                key = f"/lease/{number}"
                try:
                    lease = await barn.grant_lease(60.0)
                    await barn.put(key, number, lease=lease)
                    await barn.keep_lease(lease)
                    await barn.revoke_lease(lease)
                except RuninkError as error:
                    self._refused(error)
                    continue
                self.revoked.append(key)

    async def _watch(self, number: int) -> None:
        seat = number % len(self.group.members) if number % 2 else None
        async with (
            self.group.client(seat=seat) as barn,
            aclosing(barn.watch(PREFIX, after_revision=0)) as changes,
        ):
            async for answer in changes:
                self.watched[number] += answer.changes
                if answer.changes and answer.changes[-1].key == LAST:
                    return

    # What is judged.

    async def judge(self) -> list[str]:
        """Return everything that is wrong, for people; nothing, if all is well."""
        findings = list(self.findings)
        report = check_linearizable(self.history)
        self.verdict = report.verdict
        if report.verdict is Verdict.VIOLATION:
            findings.append(str(report))
        findings += check_revisions(self.history)[:20]
        findings += self._judge_watches()
        async with self.group.client(within_s=60.0) as barn:
            listed = await barn.range(PREFIX, bytes)
            leased = await barn.range("/lease/", bytes)
        state = {item.key: item.revision for item in listed.items}
        newest = {
            change.key: change.revision for change in self.watched[0] if change.now is not None
        }
        for change in self.watched[0]:
            if change.now is None and newest.get(change.key, 0) < change.revision:
                newest.pop(change.key, None)
        if state != newest:
            findings.append("the state is not what the watches lead to")
        gone = {item.key for item in leased.items} & set(self.revoked)
        if gone:
            findings.append(f"leases were revoked and their keys are there: {sorted(gone)[:5]}")
        await self.group.equal(self.last_revision)
        return findings

    def _judge_watches(self) -> Iterator[str]:
        first = self.watched[0]
        for number, other in enumerate(self.watched[1:], 1):
            if other != first:
                yield f"watcher {number} saw {len(other)} changes, watcher 0 {len(first)}"
        by_revision = {change.revision: change for change in first}
        if len(by_revision) != len(first) or list(by_revision) != sorted(by_revision):
            yield "a watch shows changes twice, or out of order"
        for operation in self.history:
            answer = operation.answer
            if not isinstance(answer, Wrote) or not answer.changed:
                continue
            change = by_revision.get(answer.revision)
            if change is None or change.key != operation.key:
                yield f"the watches do not show {operation}"
            elif isinstance(operation.action, histories.Put | histories.Swap):
                if change.now is None or change.now.value != operation.action.value:
                    yield f"the watches show another value for {operation}: {change}"
            elif change.now is not None:
                yield f"the watches show a value for {operation}: {change}"


async def settled(group: BarnGroup) -> None:
    """Wait until all members are there, and follow one of them."""
    await group.ready()
    await group.leader()
