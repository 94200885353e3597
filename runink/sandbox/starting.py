"""How an agent comes by its spawner: it takes over the one that runs on this node already, or starts one.

    at the socket's path                           what happens
    a spawner that says welcome                    it is ours, with every slice that it kept
    a spawner that is ending, or of another        wait for its end, and start one
    version
    a socket that nobody listens to                left by a killed one: taken away, and one is started
    nothing                                        one is started
    anything else                                  Conflict (`not_a_socket`): nothing is deleted that is not ours

We make the listening socket ourselves, so we can connect before the new process has run its first instruction.

Leaving `running_spawner` ends the spawner with all its slices.  Who wants them to go on until the next agent comes calls `aclose` before;
an agent that is killed does the same without a word.  Either way they go on for `orphan_s` at most.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGTERM, pidfd_send_signal
from typing import Final

import anyio

from runink import errors
from runink.errors import LinkLost, TimedOut
from runink.sandbox.arguments import INTERPRETER_OPTIONS, LINK, kept_environment
from runink.sandbox.client import Spawner, spawner_over
from runink.sandbox.door import listen
from runink.sandbox.kernel import address_of

PREDECESSOR_S: Final = 60.0  # it ends within its orphan seconds, or 20 s after it was told to
LOOK_S: Final = 0.1  # between two looks whether the predecessor has ended
PREDECESSOR_CODES: Final = frozenset({"spawner_ending", "version", LinkLost.default_code})
REAP_S: Final = 2.0  # from the end of its connection, which is the last thing that it does
FOLDER_MODE: Final = 0o700
LOG_MODE: Final = 0o600
LOG_BYTES_MAX: Final = 16 << 20  # of the log that is gone on with; a larger one is kept once


@dataclass(frozen=True, slots=True)
class SpawnerPlace:
    """Where a node's spawner is found, and how one is started there.

    `entry` is `module:function`, called in each slice; `preload` are modules that the fork server imports first; `path` are folders to
    import from beside the installed packages.  `orphan_s` is how long slices outlive their agent.  `is_plain` starts it for slices without isolation.
    `warm` is how many isolated cells may wait for slices at once.  `end_at` is for tests: where a process of a launch is to end (`faults.py`).
    """

    socket: Path
    log: Path
    entry: str
    preload: tuple[str, ...] = ()
    path: tuple[Path, ...] = ()
    is_plain: bool = False
    warm: int = 0
    end_at: str = ""
    orphan_s: float = (
        30.0  # as long as a node's lease: after it the cluster has given the slices up
    )


@asynccontextmanager
async def running_spawner(place: SpawnerPlace, *, agent: str) -> AsyncIterator[Spawner]:
    """Find the spawner of this place or start it, and be its agent. In the end it is shut down, unless the caller has parted from it.

    Raises Conflict (`not_a_socket`), Refused (`version`), TimedOut (a predecessor does not end), LinkLost (it ended at once: see its log).
    """
    async with AsyncExitStack() as stack:
        spawner = await _introduced(stack, place, agent)
        try:
            yield spawner
        finally:
            # Both have limits of their own.
            with anyio.CancelScope(shield=True):
                await _end(spawner)
                await _reap(spawner.pidfd, within=0.0 if spawner.has_parted else REAP_S)


async def _introduced(stack: AsyncExitStack, place: SpawnerPlace, agent: str) -> Spawner:
    """Try until a spawner takes us for its agent, and return it."""
    until_s = anyio.current_time() + PREDECESSOR_S
    while True:
        link, launcher = _found(place) or _started(place)
        try:
            spawner = await stack.enter_async_context(spawner_over(link, agent=agent))
        except BaseException as error:
            await _reap_launcher(launcher, is_failed=True)
            is_of_predecessor = not launcher and getattr(error, "code", "") in PREDECESSOR_CODES
            if not is_of_predecessor or anyio.current_time() >= until_s:
                raise
        else:
            if spawner.pid != launcher:  # one without isolation is that process itself
                await _reap_launcher(launcher, is_failed=False)
            return spawner
        await anyio.sleep(LOOK_S)


async def _reap_launcher(launcher: int, *, is_failed: bool) -> None:
    """Take away what is left of the process that we have started: it has made the spawner and ended, or is ended now."""
    if not launcher:
        return
    pidfd = os.pidfd_open(launcher)  # not reaped yet, so the number is still its own
    try:
        with anyio.CancelScope(shield=True):
            if is_failed:
                with suppress(ProcessLookupError):
                    pidfd_send_signal(pidfd, SIGTERM)
            await _reap(pidfd, within=REAP_S)
    finally:
        os.close(pidfd)


def _found(place: SpawnerPlace) -> tuple[socket.socket, int] | None:
    """Connect to who listens there, or return nothing and leave the place free."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.setblocking(False)
    try:
        with address_of(str(place.socket)) as address:
            link.connect(address)
    except OSError as error:
        link.close()
        if isinstance(error, ConnectionRefusedError):
            _clear_away(place.socket)
        elif not isinstance(error, FileNotFoundError):
            text = f"{place.socket}: {error.strerror}"
            raise errors.Unavailable(text, code="spawner_unreachable") from error
        return None
    return link, 0


def _clear_away(path: Path) -> None:
    """Remove the socket of a spawner that was killed."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            text = f"{path} is not a socket"
            hint = "it stands where the spawner's socket belongs: move it away"
            raise errors.Conflict(text, code="not_a_socket", hint=hint)
        path.unlink()


def _started(place: SpawnerPlace) -> tuple[socket.socket, int]:
    """Start a spawner that listens there, and connect to it."""
    place.socket.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    _limit_log(place.log)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.setblocking(False)
    try:
        with listen(str(place.socket)) as listening, address_of(str(place.socket)) as address:
            link.connect(address)
            return link, _spawn(place, listening.fileno())
    except OSError as error:
        link.close()
        text = f"the spawner cannot be started at {place.socket}: {error.strerror}"
        raise errors.Unavailable(text, code="spawner_not_started") from error


def _spawn(place: SpawnerPlace, listening: int) -> int:
    words = [sys.executable, *INTERPRETER_OPTIONS, "-m", "runink.sandbox.spawner"]
    words += ["--socket", _path(place), "--socket-fd", str(LINK)]
    words += ["--orphan-seconds", str(place.orphan_s), "--entry", place.entry]
    words += ["--preload", ",".join(place.preload)]
    words += ["--path", os.pathsep.join(str(folder.absolute()) for folder in place.path)]
    words += ["--plain", "yes" if place.is_plain else "", "--warm", str(place.warm)]
    words += ["--end-at", place.end_at]
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        words,
        kept_environment(os.environ),
        # Everything else that we hold is close-on-exec.
        file_actions=[
            (os.POSIX_SPAWN_DUP2, listening, LINK),
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(place.log), log_flags, LOG_MODE),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,  # no terminal's signals
        setsigmask=(),
        setsigdef=(SIGINT, SIGHUP, SIGTERM, SIGCHLD, SIGPIPE),
    )


def _path(place: SpawnerPlace) -> str:
    return str(place.socket.absolute())


def _limit_log(log: Path) -> None:
    log.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_name(f"{log.name}.1"))


async def _end(spawner: Spawner) -> None:
    """Shut it down; one that does not end is killed, and its fork server ends the slices."""
    if spawner.has_ended:
        return
    try:
        await spawner.shutdown()
    except TimedOut:
        with suppress(ProcessLookupError):
            pidfd_send_signal(spawner.pidfd, SIGKILL)


async def _reap(pidfd: int, *, within: float) -> None:
    """Take away what is left of our child, if it has ended or is about to."""
    if pidfd < 0:
        return
    with anyio.move_on_after(within):
        await anyio.wait_readable(pidfd)
    with suppress(ChildProcessError):  # another agent's
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)  # noqa: ASYNC222 - WNOHANG does not wait
