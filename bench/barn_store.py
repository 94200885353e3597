"""The Barn's store by itself: what a million keys take, how long a put and a picture take, and what a thousand watchers cost.

python bench/barn_store.py --keys 1000000
"""

from __future__ import annotations

import argparse
import gc
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from runink.barn import image
from runink.barn.commands import Proposal, Put, Range, decode_proposal, encode_proposal
from runink.barn.history import Watched
from runink.barn.keyvalue import one_key
from runink.barn.store import Store
from runink.barn.watches import Watches
from runink.barn.watching import Bounds, Interest

from figures import Figure, below, main

BATCH = 20_000
WATCHERS = 1_000
REVISIONS = 2_000
ALONE_S = 1.0  # about as long as a picture takes


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def put_s(store: Store, keys: list[int], *, client: str = "") -> float:
    """Put these keys and return the processor's seconds for each; what a log would hold is decoded first, as after a restart."""
    first = store.applied_index + 1
    payloads = [
        encode_proposal(Proposal(client, first + n, Put(f"/bench/{key:08d}", b"%0100d" % n)))
        for n, key in enumerate(keys)
    ]
    proposals = [decode_proposal(payload) for payload in payloads]
    del payloads
    began = time.process_time()
    for index, proposal in enumerate(proposals, first):
        store.apply(proposal, term=1, index=index)
    took = time.process_time() - began
    store.drain_changes()
    return took / len(keys)


def best_of(times: int, work: Callable[[], float]) -> float:
    return min(work() for _ in range(times))


def gap_s(store: Store, chance: random.Random, keys: int, *, is_written: bool) -> float:
    """Write a picture in a thread, put keys meanwhile, and return the longest time between two puts; or, to see what the machine does by itself, write none."""
    began = time.perf_counter()
    state = store.image()
    longest = time.perf_counter() - began if is_written else 0.0
    done = threading.Event()

    def write() -> None:
        if is_written:
            for _ in image.encode(state):
                continue
        else:
            time.sleep(ALONE_S)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    last = time.perf_counter()
    while not done.is_set():
        index = store.applied_index + 1
        put = Put(f"/bench/{chance.randrange(keys):08d}", bytes(100))
        store.apply(Proposal("", 0, put), term=1, index=index)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    thread.join()
    store.drain_changes()
    return longest


def watching_s(store: Store) -> tuple[float, float]:
    """Return the seconds of matching a revision for all watchers, and of an answer to each that is encoded once for all."""
    watches = Watches()
    interest = Interest(("/bench/",))
    encoder = msgspec.msgpack.Encoder()
    matching = answering = 0.0
    answers: list[bytes] = []
    for number in range(REVISIONS):
        for watcher in range(WATCHERS if not number else 0):
            watches.add(watcher, interest)
        put = Put(f"/bench/{number:08d}", bytes(100))
        store.apply(Proposal("", 0, put), term=1, index=store.applied_index + 1)
        changes = store.drain_changes()
        began = time.process_time()
        found = watches.matched(changes)
        middle = time.process_time()
        for due in found:
            encoded = encoder.encode(Watched(due.changes, store.revision))
            answers = [encoded for _ in due.watches]
        answering += time.process_time() - middle
        matching += middle - began
    assert len(answers) == WATCHERS
    return matching / REVISIONS, answering / REVISIONS


def rare_watch_s(store: Store) -> float:
    """Return the seconds of a watch for one key behind the oldest kept revision, beside a full history."""
    interest = Interest((), (one_key("/bench/00000001"),))
    began = time.process_time()
    store.changes_after(store.compacted, interest, Bounds(1000))
    return time.process_time() - began


def measure(arguments: argparse.Namespace) -> list[Figure]:
    chance = random.Random(1)
    order = list(range(arguments.keys))
    chance.shuffle(order)
    store = Store()
    before = resident_bytes()
    slices = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
    new_s = sum(put_s(store, some) for some in slices) / len(slices)
    some = [[chance.randrange(arguments.keys) for _ in range(BATCH)] for _ in range(12)]
    changed_s = best_of(6, lambda: put_s(store, some.pop()))
    with_client_s = best_of(6, lambda: put_s(store, some.pop(), client="c"))
    del order, slices
    gc.collect()
    began = time.process_time()
    gc.collect()
    collected_s = time.process_time() - began
    pause_s = best_of(3, lambda: gap_s(store, chance, arguments.keys, is_written=True))
    alone_s = best_of(3, lambda: gap_s(store, chance, arguments.keys, is_written=False))
    held = resident_bytes() - before
    began = time.perf_counter()
    page = store.select(Range("/bench/", "", revision=store.compacted + 1, limit=1000))
    past_s = time.perf_counter() - began
    assert len(page.items) == 1000
    rare_s = rare_watch_s(store)
    matching_s, answering_s = watching_s(store)
    data = b"".join(image.encode(store.image()))
    began = time.perf_counter()
    Store.restore(image.decode(data))
    restored_s = time.perf_counter() - began
    delivered = WATCHERS / (matching_s + answering_s)
    return [
        below("a put of a new key, us", new_s * 1e6, 16.0),
        below("a put of a key that is there, us", changed_s * 1e6, 8.0),
        below("the same by a client that numbers its proposals, us", with_client_s * 1e6, 12.0),
        below("resident with history, MB", held / 1e6, 1200.0),
        below(
            "longest pause while a picture is written, ms; beside it without one",
            pause_s * 1e3,
            50.0,
            alone_s * 1e3,
        ),
        below("a full garbage collection, ms", collected_s * 1e3, 50.0),
        below("restored, s", restored_s, 20.0),
        below("1,000 keys of the oldest kept revision, ms", past_s * 1e3, 100.0),
        below("a watch for a rare key beside a full history, ms", rare_s * 1e3, 1.0),
        below(
            "a revision for 1,000 watchers of one prefix, us",
            (matching_s + answering_s) * 1e6,
            20_000.0,
        ),
        below("the same, ns an event", 1e9 / delivered, 20_000.0),
    ]


if __name__ == "__main__":
    main(measure, __doc__ or "", keys=1_000_000)
