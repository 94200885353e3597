"""What a launch copies: a cell is a copy of its fork server, and each page that one of the two writes to is copied for it (`calls.py`)."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandbox_world import shown, world_in

pytestmark = pytest.mark.anyio
LAUNCHES = 20
# It was 460 for the two processes of a cell and 120 for the fork server when this was written, 1160 and 260 before calls were made ready. Which pages of programs a kernel maps at once differs.
OF_CELL = 700
OF_FORK_SERVER = 200


def faults_of(pid: int) -> tuple[int, int]:
    """Return how many pages a process has been given, and those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[7]), int(fields[8])


async def test_a_launch_touches_few_pages_of_what_it_is_a_copy_of(tmp_path):
    (tmp_path / "shown").touch()
    async with world_in(tmp_path) as world:
        fork_server = await world.fork_server()
        with shown(tmp_path / "shown") as binds:

            async def launched(count: int) -> None:
                for number in range(count):
                    exited, _, _ = await world.ran("nothing", f"{count}-{number}", binds=binds)
                    assert exited.code == 0

            await launched(3)  # the first makes ready what the others go by
            before = faults_of(fork_server)
            await launched(LAUNCHES)
            after = faults_of(fork_server)
    of_fork_server, of_cell = ((b - a) / LAUNCHES for a, b in zip(before, after, strict=True))
    assert of_cell < OF_CELL
    assert of_fork_server < OF_FORK_SERVER
