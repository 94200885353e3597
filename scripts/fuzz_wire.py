"""Throw frames by chance at both ends of the wire, and at both ends of a relay's connection.

    python scripts/fuzz_wire.py --frames 1000000 --seed 1

Each round is a connection: a handshake and some frames of messages that any actor serves, with values changed, bytes damaged, and nonsense between them.
What has to hold stands in `runink/testing/wire_rounds.py`; no round may take SECONDS_MAX, and the process may not grow by GROWTH_BYTES_MAX once it is warm.
What fails is told with its seed and the number of its round, which make it again.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import time
from pathlib import Path
from random import Random
from types import FrameType

from runink.testing.wire_rounds import Rounds
from runink.testing.wire_served import SERVED

SECONDS_MAX = 10  # a round has some kilobytes
GROWTH_BYTES_MAX = 16 << 20
WARM_ROUNDS = 20_000


def main() -> int:
    """Make rounds until so many frames were sent, and print what they came to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, too_slow)
    rounds = Rounds(SERVED, Random(arguments.seed))
    began_s, warm_bytes, count = time.perf_counter(), 0, 0
    while rounds.frames < arguments.frames:
        count += 1
        signal.alarm(SECONDS_MAX)
        try:
            rounds.one()
        except BaseException:
            print(f"seed {arguments.seed}, round {count}", file=sys.stderr)
            raise
        if count == WARM_ROUNDS:
            warm_bytes = resident_bytes()
    signal.alarm(0)
    growth_bytes = resident_bytes() - warm_bytes if warm_bytes else 0
    seconds = time.perf_counter() - began_s
    for said, times in sorted(rounds.said.items(), key=lambda one: -one[1]):
        print(f"{times:>10,} {said}")
    print(
        f"{rounds.frames:,} frames in {count:,} rounds, {seconds:.0f} s; {growth_bytes / (1 << 20):.1f} MiB more than after {WARM_ROUNDS:,} rounds, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB at most"
    )
    return int(growth_bytes > GROWTH_BYTES_MAX)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def too_slow(_: int, __: FrameType | None) -> None:
    raise AssertionError(f"a round took more than {SECONDS_MAX} s")


if __name__ == "__main__":
    sys.exit(main())
