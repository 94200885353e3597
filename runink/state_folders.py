"""The folder in which a node keeps its state, and how it is told from a project's own folders: by a mark in it, because people name it as they like.

A state folder may lie inside a project, as `.runink` does.  It holds the code of earlier runs, which is no code of the project.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MODE: Final = 0o700
MARK: Final = "runink-state"
KEPT: Final = frozenset({"barn", "bundles", "environments", "keys", "runs", "trust"})  # a node's own folders in it  # fmt: skip
_TEXT: Final = "A node of a Runink cluster keeps its state here. What it keeps is no part of the project that this folder may lie in.\n"


def make_state_folder(folder: Path) -> None:
    """Make a node's state folder, with its mark. One that is there is marked if it is not. Raises OSError."""
    folder.mkdir(mode=MODE, parents=True, exist_ok=True)
    try:
        with (folder / MARK).open("x") as file:
            file.write(_TEXT)
    except FileExistsError:
        return  # by its name alone: a power cut may have emptied it


def kept_in(folder: Path) -> frozenset[str]:
    """Return the names of what a node keeps in a folder, nothing if it is no state folder. The rest of it is as it would be without: somebody's project may be its state folder, too."""
    return KEPT if os.path.lexists(folder / MARK) else frozenset()
