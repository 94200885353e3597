"""Run the simulation of Raft groups over many seeds, in two processes: `scripts/raft_seeds.py 0 9999`.

Prints each seed that failed with what was wrong, now and then how far it is, and at the end how often the simulation came to the hard places.
Ends with 1 if any failed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from runink.testing.raft_group import simulate
from runink.testing.raft_group_world import Statistics

PROCESSES = 2  # a small machine has as many cores
SEEDS_PER_TASK = 20  # a few seconds, so that both end at about the same time
SEEDS_PER_LINE = 500


def run(first: int, last: int) -> tuple[Statistics, list[str]]:
    """Return what these seeds came to, and a line for each that failed."""
    total = Statistics()
    failures: list[str] = []
    for seed in range(first, last + 1):
        try:
            total.add(simulate(seed).statistics)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed shows it again
            where = " ".join(getattr(error, "__notes__", []))
            failures.append(f"{where}: {type(error).__name__}: {error}")
    return total, failures


def tasks(first: int, last: int) -> Iterator[tuple[int, int]]:
    for begin in range(first, last + 1, SEEDS_PER_TASK):
        yield begin, min(begin + SEEDS_PER_TASK - 1, last)


def main(first: int, last: int) -> int:
    began_s = time.monotonic()
    total = Statistics()
    failed = 0
    with ProcessPoolExecutor(PROCESSES) as pool:
        parts = list(tasks(first, last))
        results = pool.map(run, *zip(*parts, strict=True))
        for (begin, end), (statistics, failures) in zip(parts, results, strict=True):
            total.add(statistics)
            if (end + 1) % SEEDS_PER_LINE < end + 1 - begin:
                print(f"up to {end}: {time.monotonic() - began_s:.0f} s", flush=True)
            failed += len(failures)
            for failure in failures:
                print(failure, flush=True)
    print(f"{last - first + 1} seeds in {time.monotonic() - began_s:.0f} s, {failed} failed")
    print(total)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
