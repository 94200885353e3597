"""When a gang is tried again, and when no more.

    what ended it                                        is tried again
    its node, its spawner or its store went away         `ATTEMPTS_MAX` attempts in all, whatever the pipeline says
    a step raised, its program failed, its process       as the `@retry` of that step says; of a process that ended without saying in which
    was killed, ended without a report, out of its time  step, the one of its nodes that allows the most
    anything else: a contract that fails the run,        never: the next attempt would meet it again
    drift, a limit of memory, code that is missing

Both are counted apart (`Tries`), and failures by step, so that none eats another's tries.  The waits double, with a jitter that is a function of the name, so
that it can be replayed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace as changed

from runink.dag import Dag
from runink.runs.attempts import EARLIER_MAX, Earlier
from runink.runs.failures import cause_of, failure_of, fault_of, is_own, may_pass
from runink.runs.records import ATTEMPTS_MAX, SliceRecord, SliceState, Tries
from runink.tries import DELAY_MAX_MS, DELAY_MS, Retry

WHY_CHARACTERS_MAX: Final = 300  # of why an attempt ended: its log has the rest
DOUBLINGS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Again:
    """That a gang is tried again: what its next attempt knows of those before, and how long it waits."""

    tries: Tries
    wait_ms: int


def backoff_ms(
    name: str, *, attempt: int, first_ms: int = DELAY_MS, longest_ms: int = DELAY_MAX_MS
) -> int:
    """Return how long to wait before `attempt` (2 is the first retry): doubling, spread by name over the last quarter of it."""
    assert attempt >= 2
    whole = min(first_ms << min(attempt - 2, DOUBLINGS_MAX), longest_ms)
    digest = hashlib.sha256(f"{name}/{attempt}".encode()).digest()
    return whole * 3 // 4 + int.from_bytes(digest[:4], "big") % max(whole // 4, 1)


def again(records: Sequence[SliceRecord], dag: Dag) -> Again | None:
    """Return how a broken gang, whose slices these are, is tried again; nothing if it is given up."""
    tries, name = records[0].tries, f"{records[0].run}/{records[0].gang}"
    own = [record for record in records if is_own(record)]
    if not all(is_own(record) or may_pass(record) for record in records):
        return None
    if not own:
        if tries.losses + 1 >= ATTEMPTS_MAX:
            return None
        wait_ms = backoff_ms(name, attempt=tries.losses + 2)
        return Again(_told(changed(tries, losses=tries.losses + 1), records), wait_ms)
    first = cause_of(own)
    policy, key = _policy(first, dag)
    done = tries.failures.get(key, 0)
    if policy is None or done >= policy.times:
        return None
    wait_ms = backoff_ms(
        f"{name}/{key}",
        attempt=done + 2,
        first_ms=policy.delay_ms,
        longest_ms=policy.delay_max_ms,
    )
    failures = {**tries.failures, key: done + 1}
    return Again(_told(changed(tries, failures=failures), own), wait_ms)


def anew(record: SliceRecord, *, not_before_ms: int, tries: Tries | None = None) -> SliceRecord:
    """Return the slice's next attempt. `tries` says what is known of those before, if they are counted."""
    had = () if record.node is None else (Earlier(record.attempt, record.node, fault_of(record)),)
    waits_for = f"attempt {record.attempt + 1}, because {tries.why}" if tries is not None else ""
    return SliceRecord(
        slice=record.slice,
        run=record.run,
        herd=record.herd,
        gang=record.gang,
        state=SliceState.PENDING,
        resources=record.resources,
        limits=record.limits,
        task=record.task,
        attempt=record.attempt + 1,
        labels=record.labels,
        requires=record.requires,
        pin=record.pin,
        waits_for=waits_for,
        not_before_ms=not_before_ms,
        tries=tries or record.tries,
        turn=changed(record.turn, since_ms=not_before_ms, placed_ms=0),
        wants=record.wants,
        part=record.part,
        is_rooted=record.is_rooted,
        taken_before=record.taken_from or record.taken_before,
        earlier=(*record.earlier, *had)[-EARLIER_MAX:],
    )


def _policy(record: SliceRecord, dag: Dag) -> tuple[Retry | None, str]:
    """Return the policy that decides about a failure, and under which name such failures are counted."""
    policies = dag.retries or {}
    failure = failure_of([record])
    assert failure is not None, "it has failed"
    if failure.step:
        return policies.get(failure.step), failure.step
    spec = next((spec for spec in dag.slices if spec.id == record.slice), None)
    found = [policies[node] for node in spec.nodes if node in policies] if spec else []
    return max(found, key=lambda one: one.times, default=None), str(record.slice)


def _told(tries: Tries, records: Sequence[SliceRecord]) -> Tries:
    """Return them with why the attempt before ended."""
    failure = failure_of(records)
    if failure is None:
        return tries
    line = failure.error.text.partition("\n")[0]
    return changed(tries, code=failure.error.code, why=line[:WHY_CHARACTERS_MAX])
