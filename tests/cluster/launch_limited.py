"""Has a spawner launch a slice, and says what it is limited by; where memory is, also how one ends that takes too much of it:

python launch_limited.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
from sandbox_world import world_in

MEMORY_BYTES = 24 << 20


async def main(folder: Path) -> None:
    async with world_in(folder, entry="leak_entries:main") as world:
        launched = await world.launch("nothing", "small")
        found = {"sealed": launched.sealed}
        launched.close()
        if launched.sealed["cgroup.memory"] != "none":
            exited, _, _ = await world.ran("hog", "large", memory_bytes=MEMORY_BYTES)
            found["cause"] = exited.cause
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
