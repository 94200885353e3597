"""Becomes an ordinary user to whom some folders are shown, and goes on as a command:

    python become_user.py USER HOME FOLDER... -- COMMAND ARGUMENT...

USER is a number that nobody has, so nothing need be written to /etc/passwd; HOME is a folder of that user's.  Each FOLDER is seen at its own path, read-only, with what its owner has as the
user's own, as if that one had made it; wherever it lies: a folder above that others may not enter is covered by one in which there is the way to it and nothing else.  All of that is
mounts in a namespace of this process, which end with it.  Needs root.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from runink.sandbox.mounts import READ_ONLY, SAFE, attach, detached, new_filesystem
from runink.sandbox.namespaces import IdMap, user_namespace
from runink.sandbox.privileges import become
from runink.sandbox.syscalls import CLONE_NEWNS, MS_PRIVATE, MS_REC, call


def main(user: int, home: Path, folders: list[Path], command: list[str]) -> None:
    here = Path.cwd()
    call("unshare", CLONE_NEWNS)
    call("mount", b"none", b"/", b"", MS_REC | MS_PRIVATE, b"")
    shown = [(folder, owned_by(user, folder)) for folder in folders]
    shown.append((home, detached(str(home), SAFE)))
    for closed in outermost(folder for path, _ in shown for folder in closed_above(path)):
        attach(new_filesystem("tmpfs", SAFE, size="1m", mode="755"), str(closed))
    for path, tree in sorted(shown):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        attach(tree, str(path))
    become(user, user)
    os.chdir(here)  # as it is seen from here
    os.execvp(command[0], command)


def owned_by(user: int, folder: Path) -> int:
    """Return a detached mount of a folder in which what its owner has is the user's."""
    found = folder.stat()
    users = user_namespace(IdMap(found.st_uid, user, 1), IdMap(found.st_gid, user, 1))
    return detached(str(folder), READ_ONLY, users=users)


def closed_above(path: Path) -> Iterator[Path]:
    """Yield the folders on the way that others may not enter."""
    for folder in path.parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            yield folder


def outermost(folders: Iterable[Path]) -> list[Path]:
    every = set(folders)
    return [folder for folder in every if every.isdisjoint(folder.parents)]


if __name__ == "__main__":
    _, user, home, *words = sys.argv
    at = words.index("--")
    main(int(user), Path(home), [Path(one) for one in words[:at]], words[at + 1 :])
