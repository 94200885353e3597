"""The folder in which a herd keeps the checkpoints of its runs, as an agent finds it: one that all of its nodes share.

    STORE                      made by who has set the store up, never here: where it is missing the share is not mounted, and what would be made in its place were this machine's alone
    STORE/RUN                  made by the first node that writes there, for the user who runs it and nobody else: checkpoints hold what pipelines have read
    STORE/RUN/checkpoints      shown to slices of the run, and no other folder of the store
    .../.runink-RUN.SLICE...   written by slices, taken away by the one that ends the run (`runs/clearing.py`)

Emptied folders are taken away by the agent: a slice cannot, to which they are mounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from runink.actors.shown import Shown
from runink.checkpoints import FOLDER, folder_of
from runink.connectors.local_files import told
from runink.errors import Unavailable
from runink.syncing import sync_place

OWNERS_ONLY: Final = 0o700
_RUN: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")  # as `names.run_id` makes them


def open_store(run_folder: str, shown: Shown) -> None:
    """Make a run's folder in a store where a slice is to write there; see that the store is there where it reads or writes in it.

    Raises Unavailable (`store_missing`): another node may have it, and this one later. Raises Refused or Unavailable as a sink does where the folder cannot be made.
    """
    folder = Path(folder_of(run_folder))
    inside = [path for path in shown if run_folder and Path(path).is_relative_to(folder)]
    if not inside:
        return
    try:
        if not folder.parent.is_dir():
            raise Unavailable(
                f"the herd's store {folder.parent} is not there on this node",
                code="store_missing",
                hint="mount it there, or make the folder; a node that is not to have it says with --sees what it sees",
            )
        if any(shown[path] for path in inside):
            _make_private(folder)
    except OSError as error:
        raise told(error, str(folder)) from error


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(OWNERS_ONLY)
    except FileExistsError:
        return
    sync_place(folder.parent)


def stored_in(folders: Iterable[str], state: Path) -> list[Path]:
    """Return those of the folders that hold a run's checkpoints in a store, and not in this node's state folder."""
    return [
        path
        for path in map(Path, folders)
        if path.name == FOLDER
        and _RUN.fullmatch(path.parent.name)
        and path.parent.parent != state / "runs"
    ]


def drop_emptied(stored: Iterable[Path]) -> None:
    """Take away folders of checkpoints, and the run's folder with them, where nothing is in them any more."""
    for path in stored:
        with suppress(OSError):  # something is in it yet, or another has taken it away
            path.rmdir()
            path.parent.rmdir()
