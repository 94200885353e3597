"""How a spawner's process is made: where it listens and logs, and the words that it is started with.

The listening socket is made by who starts it, so whoever connects need not wait for the new process's first instruction.  For an agent of another user both lie in a folder that only
root can write (`check_private`): a name in a folder of that user's could be led anywhere between the look and the deed.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGTERM
from typing import Final

from runink import errors
from runink.sandbox.arguments import INTERPRETER_OPTIONS, LINK, kept_environment
from runink.sandbox.kernel import address_of
from runink.sandbox.rights import User, check, opened

FOLDER_MODE: Final = 0o700
OPEN_FOLDER_MODE: Final = 0o755  # for another user to pass
LOG_MODE: Final = 0o600
LOG_BYTES_MAX: Final = 16 << 20  # of the log that is gone on with; a larger one is kept once
LOG_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class SpawnerPlace:
    """Where a node's spawner is found, and how one is started there.

    `entry` is `module:function`, called in each slice; `preload` are modules that the fork server imports first; `path` are folders to
    import from beside the installed packages.  `orphan_s` is how long slices outlive their agent.  `is_plain` starts it for slices without isolation, `uses_bubblewrap` for slices that bubblewrap closes off.
    `warm` is how many isolated cells may wait for slices at once.  `end_at` is for tests: where a process of a launch is to end (`faults.py`).

    `user` is whom it serves, if not who starts it; `state` is a folder whose file system slices will be shown, if not that of the socket.  `shares_network` says whether slices may have the machine's own network.

    `is_service` says that others run it: it is found, and never started or ended.  `keeper` is a descriptor by which a keeper starts it for us (`keeper.py`), -1 if we do that ourselves.
    """

    socket: Path
    log: Path
    entry: str
    preload: tuple[str, ...] = ()
    path: tuple[Path, ...] = ()
    is_plain: bool = False
    uses_bubblewrap: bool = False
    warm: int = 0
    end_at: str = ""
    orphan_s: float = (
        30.0  # as long as a node's lease: after it the cluster has given the slices up
    )
    user: User | None = None
    state: Path | None = None
    shares_network: bool = True
    is_service: bool = False
    keeper: int = -1


def connected(path: Path) -> socket.socket:
    """Return a connection, which does not block, to who listens there. Raises OSError."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.setblocking(False)
    try:
        with address_of(str(path)) as address:
            link.connect(address)
    except BaseException:
        link.close()
        raise
    return link


def is_taken(path: Path) -> bool:
    """Say whether somebody listens there; the socket of a spawner that was killed is removed. Raises Conflict (`not_a_socket`), OSError."""
    try:
        connected(path).close()
    except ConnectionRefusedError:
        clear_away(path)
    except FileNotFoundError:
        pass
    else:
        return True
    return False


def clear_away(path: Path) -> None:
    """Remove the socket of a spawner that was killed. Raises Conflict (`not_a_socket`), OSError."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            text = f"{path} is not a socket"
            hint = "it stands where the spawner's socket belongs: move it away"
            raise errors.Conflict(text, code="not_a_socket", hint=hint)
        path.unlink()


def words_of(place: SpawnerPlace, *, stays: bool = False) -> list[str]:
    """Return the command of a spawner that listens at the descriptor LINK."""
    words = [sys.executable, *INTERPRETER_OPTIONS, "-m", "runink.sandbox.spawner"]
    words += ["--socket", str(place.socket.absolute()), "--socket-fd", str(LINK)]
    words += ["--orphan-seconds", str(place.orphan_s), "--entry", place.entry]
    words += ["--preload", ",".join(place.preload)]
    words += ["--path", os.pathsep.join(str(folder.absolute()) for folder in place.path)]
    words += ["--plain", "yes" if place.is_plain else "", "--warm", str(place.warm)]
    words += ["--bubblewrap", "yes" if place.uses_bubblewrap else ""]
    words += ["--agent-user", f"{place.user.uid}:{place.user.gid}" if place.user else ""]
    words += ["--state", str(place.state.absolute()) if place.state else ""]
    words += ["--host-network", "" if place.shares_network else "no"]
    words += ["--stays", "yes" if stays else "", "--end-at", place.end_at]
    return words


def spawn(place: SpawnerPlace, listening: int, words: list[str] | None = None) -> int:
    """Start the spawner, by these words if they were made elsewhere, and return the process that makes it. Raises OSError."""
    log = os.open(place.log, LOG_FLAGS, LOG_MODE)
    try:
        if place.user is not None:  # to read it
            os.fchown(log, 0, place.user.gid)
            os.fchmod(log, LOG_MODE | stat.S_IRGRP)
        return os.posix_spawn(
            sys.executable,
            words or words_of(place),
            kept_environment(os.environ),
            # The log first: it may have the number that the socket gets. Everything else that we hold is close-on-exec.
            file_actions=[
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, listening, LINK),
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            ],
            setsid=True,  # no terminal's signals
            setsigmask=(),
            setsigdef=(SIGINT, SIGHUP, SIGTERM, SIGCHLD, SIGPIPE),
        )
    finally:
        os.close(log)


def make_room(place: SpawnerPlace) -> None:
    """Make the folders of socket and log, and put aside a log that is too long. Raises OSError."""
    for folder in (place.socket.parent, place.log.parent):
        make_folder(folder, place.user)
    with suppress(FileNotFoundError):
        if place.log.stat().st_size > LOG_BYTES_MAX:
            place.log.replace(place.log.with_name(f"{place.log.name}.1"))


def make_folder(folder: Path, user: User | None) -> None:
    """Make a folder for us, or for another user to pass, whom our own groups must not help to (`rights.forget_groups`). Raises OSError, NotAllowed."""
    if user is None:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        return
    for one in (*reversed(folder.parents), folder):
        with suppress(FileExistsError):
            one.mkdir()
            one.chmod(OPEN_FOLDER_MODE)  # whatever our mask says
    check_private(folder)
    found = opened(str(folder), user)
    try:
        check(found, str(folder), user, is_writable=False)
    finally:
        os.close(found)


def check_private(folder: Path) -> None:
    """Raise OSError unless nobody but root can put anything into the folder, or another in its place."""
    for one in (folder.resolve(), *folder.resolve().parents):
        found = one.stat()
        # Where names are their owners' (the sticky bit), others make none of ours away.
        is_shared = found.st_mode & OTHERS_WRITE and not found.st_mode & stat.S_ISVTX
        if found.st_uid or is_shared or (one == folder.resolve() and found.st_mode & OTHERS_WRITE):
            raise PermissionError(errno.EPERM, "others than root can write there", str(one))
