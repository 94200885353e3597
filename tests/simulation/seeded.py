"""A simulation of runs by its seed: which world that is, and all that happened in it.

python tests/simulation/seeded.py SEED FOLDER    writes FOLDER/history, a line for each change of the Barn, and what was published and begun
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from random import Random

import trio
import trio.testing
from faulty_world import MEMBERS, FaultyWorld
from places import ALIKE, MIXED

# None of the oldest that are kept in `test_runs_simulation.py` (101 to 261): they are what they were.
WIRED_OF_FIVE = (0, 4)
MIXED_OF_SEVEN = (0, 1, 4, 6)


def simulate(seed: int, folder: Path) -> FaultyWorld:
    """Live a bad day. Only where trio chooses the order of tasks from its seed is it the same again."""
    trio._core._run._r.seed(seed)
    members = MEMBERS if seed % 2 else MEMBERS[:1]
    is_wired = seed % 5 in WIRED_OF_FIVE
    places = MIXED if seed % 7 in MIXED_OF_SEVEN else ALIKE
    world = FaultyWorld(Random(seed), folder, members, is_wired=is_wired, places=places)
    clock = trio.testing.MockClock(autojump_threshold=0)
    try:
        trio.run(world.run, clock=clock)
    except BaseException as error:
        error.add_note(f"seed {seed}, after {world.steps} steps")
        raise
    return world


def history(world: FaultyWorld) -> bytes:
    """Return all that was seen of the Barn, and what became of it outside."""
    rest = [*map(str, world.published), *map(str, sorted(world.begun))]
    return b"\n".join([*world.invariants.history, *(one.encode() for one in rest), b""])


if __name__ == "__main__":
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True
    logging.getLogger("runink").setLevel(logging.ERROR)
    place = Path(sys.argv[2])
    place.joinpath("history").write_bytes(history(simulate(int(sys.argv[1]), place)))
