"""Goes on as a command, as another user or as ourselves, in mounts of its own:

    python within_reach.py USER MOUNT... -- COMMAND ARGUMENT...

USER is UID:GID, or nothing for root.  A MOUNT is what is done before, in this order:

    reach=FOLDER    the folder is seen at its path by everybody: what is above it and closed to others is covered by an empty folder with the way to it
    fixed=FOLDER    what lies there is read-only from here on
    idle=FOLDER     no program that lies there is run
    other=FOLDER    a file system that can be shown under its own ids only covers what lies there

The user has no power of root's and no way back.  All of that ends with the command.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from runink.sandbox import privileges
from runink.sandbox.mounts import attach, detached, new_filesystem
from runink.sandbox.rights import User
from runink.sandbox.syscalls import (
    CLONE_NEWNS,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_REC,
    call,
)

KINDS = {"fixed": MOUNT_ATTR_RDONLY, "idle": MOUNT_ATTR_NOEXEC}


def main(user: str, mounts: list[str], command: list[str]) -> None:
    call("unshare", CLONE_NEWNS)
    call("mount", b"none", b"/", b"", MS_REC | MS_PRIVATE, b"")
    asked = [(kind, Path(path)) for kind, _, path in (one.partition("=") for one in mounts)]
    reach([path for kind, path in asked if kind == "reach"])
    for kind, path in asked:
        if kind == "other":
            attach(new_filesystem("ramfs", 0), str(path))
        elif kind in KINDS:
            attach(detached(str(path), KINDS[kind]), str(path))
    if user:
        become(User.parse(user))
    os.execvp(command[0], command)


def reach(folders: list[Path]) -> None:
    closed = {above for folder in folders for above in folder.parents if is_closed(above)}
    # The outer ones first, which may hold others.
    hidden = sorted({folder for folder in folders if not closed.isdisjoint(folder.parents)})
    trees = {folder: detached(str(folder), 0) for folder in hidden}
    for outermost in [folder for folder in closed if closed.isdisjoint(folder.parents)]:
        attach(new_filesystem("tmpfs", 0, size="1m", mode="755"), str(outermost))
    for folder, tree in trees.items():
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        attach(tree, str(folder))


def is_closed(folder: Path) -> bool:
    return not folder.stat().st_mode & stat.S_IXOTH


def become(user: User) -> None:
    privileges.drop_bounding_set()
    privileges.become(*user)
    privileges.drop_capabilities()
    privileges.forbid_new_privileges()
    privileges.check_powerless()


if __name__ == "__main__":
    at = sys.argv.index("--")
    main(sys.argv[1], sys.argv[2:at], sys.argv[at + 1 :])
