"""Torture real members of a Barn for as long as you like: `python scripts/barn_torture.py --members 5 --seconds 300 --seed 7`.

Clients work while three members, or five, are killed, frozen, restarted and, with `--namespaces` (as root), cut off from each other and out of disk; meanwhile new
members join, and others are removed. Then it is judged whether what clients were answered has an order, whether anything acknowledged is lost, whether watches were
complete, whether each lease ended once and not before its time, and whether all members hold the same and agree who they are.
It ends with 1 and says what is wrong, and what had happened to whom; the same seed gives the same faults in the same order.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "cluster"))

from barn_group import Loopback, Namespaces, barn_group
from barn_ordeal import Ordeal

DISK_BYTES = 256 << 20  # of each member, for its log and snapshots


async def torture(
    folder: Path, seed: int, seconds: float, *, members: int, is_apart: bool
) -> list[str]:
    """Work and let things happen for so long; return what is wrong."""
    began_s = time.monotonic()
    network = Namespaces() if is_apart else Loopback()
    disk_bytes = DISK_BYTES if is_apart else 0
    async with barn_group(folder, network=network, size=members, disk_bytes=disk_bytes) as group:
        ordeal = Ordeal(group, seed)
        try:
            findings = await ordeal.run(seconds)
        except BaseException:
            print("what happened:", *ordeal.faults.done, sep="\n")
            raise
    print(ordeal.told(time.monotonic() - began_s))
    print("faults:", ", ".join(f"{count} {kind}" for kind, count in ordeal.faults.counts.items()))
    for finding in findings:
        print(finding)
    if findings:
        print("what happened:", *ordeal.faults.done, sep="\n")
    return findings


def main() -> None:
    """Read the command line, and torture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--members", type=int, default=3, choices=(3, 5))
    parser.add_argument(
        "--rounds", type=int, default=1, help="with the seeds that follow, each so long"
    )
    parser.add_argument(
        "--namespaces",
        action="store_true",
        help="cut members off and fill their disks too; needs root",
    )
    words = parser.parse_args()
    is_wrong = False
    for seed in range(words.seed, words.seed + words.rounds):
        with tempfile.TemporaryDirectory(prefix="barn-torture-") as folder:
            work = partial(
                torture,
                Path(folder),
                seed,
                words.seconds,
                members=words.members,
                is_apart=words.namespaces,
            )
            is_wrong |= bool(anyio.run(work, backend="trio"))
    sys.exit(is_wrong)


if __name__ == "__main__":
    main()
