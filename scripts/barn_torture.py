"""Torture three real members of a Barn for as long as you like: `python scripts/barn_torture.py --seconds 300 --seed 7`.

16 clients work while members are killed, frozen, restarted and, with `--namespaces` (as root), cut off from each other and out of disk; then it is judged
whether what they were answered has an order, whether anything acknowledged is lost, whether watches were complete, and whether all members hold the same.
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

from barn_faults import Faults
from barn_group import Loopback, Namespaces, barn_group
from barn_workload import Load, settled

DISK_BYTES = 256 << 20  # of each member, for its log and snapshots


async def torture(folder: Path, seed: int, seconds: float, *, is_apart: bool) -> list[str]:
    """Work and let things happen for so long; return what is wrong."""
    began_s = time.monotonic()
    network = Namespaces() if is_apart else Loopback()
    disk_bytes = DISK_BYTES if is_apart else 0
    async with barn_group(folder, network=network, disk_bytes=disk_bytes) as group:
        load, faults = Load(group, seed), Faults(group, seed)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load.run)
            await faults.run(seconds)
            await settled(group)
            load.is_over = True
        findings = await load.judge()
    unknown = sum(operation.answer is None for operation in load.history)
    print(
        f"seed {seed}: {len(load.history)} operations ({unknown} with an unknown outcome), {len(load.watched[0])} changes watched,"
        f" {len(faults.done)} faults, {time.monotonic() - began_s:.0f} s; refused: {load.refusals}"
    )
    for finding in findings:
        print(finding)
    if findings:
        print("what happened:", *faults.done, sep="\n")
    return findings


def main() -> None:
    """Read the command line, and torture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
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
            work = partial(torture, Path(folder), seed, words.seconds, is_apart=words.namespaces)
            is_wrong |= bool(anyio.run(work, backend="trio"))
    sys.exit(is_wrong)


if __name__ == "__main__":
    main()
