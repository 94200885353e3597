"""Has a spawner launch a slice that may do without something, and says what is in force for it or why it is refused:

python launch_without.py FOLDER [NAME,NAME]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
from runink.errors import Refused
from runink.sandbox.client import SliceWanted
from runink.sandbox.starting import running_spawner
from sandbox_world import HERD, place_in


async def main(folder: Path, without: list[str]) -> None:
    async with running_spawner(place_in(folder), agent="test") as spawner:
        wanted = SliceWanted("slice", 1, HERD, b"nothing", "/", without=without)
        try:
            launched = await spawner.launch(wanted)
        except Refused as refused:
            found: dict[str, object] = {"refused": refused.text}
        else:
            found = {"sealed": launched.sealed}
            launched.close()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    names = sys.argv[2] if len(sys.argv) > 2 else ""
    anyio.run(main, Path(sys.argv[1]), [name for name in names.split(",") if name])
