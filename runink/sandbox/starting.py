"""How an agent comes by its spawner: it takes over the one that runs on this node already, or starts one.

    at the socket's path                           what happens
    a spawner that says welcome                    it is ours, with every slice that it kept
    a spawner that is ending, or of another        wait for its end, and start one
    version
    a socket that nobody listens to                left by a killed one: taken away, and one is started
    nothing                                        one is started
    anything else                                  Conflict (`not_a_socket`): nothing is deleted that is not ours

We make the listening socket ourselves, so we can connect before the new process has run its first instruction.  An agent that has given up root asks a keeper to do it (`keeper.py`).
One that others run as a service (`is_service`) is waited for, and never started; whoever it is that listens, it is root or our own user.

Leaving `running_spawner` ends the spawner with all its slices; a service ends the slices only.  Who wants them to go on until the next agent comes calls `aclose` before;
an agent that is killed does the same without a word.  Either way they go on for `orphan_s` at most.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from signal import SIGKILL, SIGTERM, pidfd_send_signal
from typing import Final

import anyio

from runink import errors
from runink.errors import LinkLost, RuninkError, TimedOut
from runink.sandbox.client import Spawner, spawner_over
from runink.sandbox.door import listen
from runink.sandbox.keeper import ask
from runink.sandbox.kernel import peer_ids
from runink.sandbox.spawning import SpawnerPlace, clear_away, connected, make_room, spawn

__all__ = ["SpawnerPlace", "running_spawner"]

PREDECESSOR_S: Final = 60.0  # it ends within its orphan seconds, or 20 s after it was told to
LOOK_S: Final = 0.1  # between two looks whether the predecessor has ended
PREDECESSOR_CODES: Final = frozenset({"spawner_ending", "version", LinkLost.default_code})
SERVICE_S: Final = 15.0  # a service that was ended is started again within seconds
SERVICE_CODES: Final = frozenset({"spawner_ending", "no_spawner", LinkLost.default_code})
SERVICE_HINT: Final = "it is started with: systemctl start runi-spawn, or runi spawn; without --spawner the node starts its own"
NOT_FOR_US: Final = "it serves another user: runi spawn --agent-user says whom"
REAP_S: Final = 2.0  # from the end of its connection, which is the last thing that it does
PART_S: Final = (
    10.0  # for slices that are left to be ended; what is not, the spawner ends in its time
)


@asynccontextmanager
async def running_spawner(
    place: SpawnerPlace, *, agent: str, leave: anyio.Event | None = None
) -> AsyncIterator[Spawner]:
    """Find the spawner of this place or start it, and be its agent. In the end it is shut down, unless the caller has parted from it.

    Once `leave` is set no spawner is waited for: what it was waited for is raised.
    Raises Conflict (`not_a_socket`), Refused (`version`), TimedOut (a predecessor does not end), LinkLost (it ended at once: see its log).
    """
    async with AsyncExitStack() as stack:
        spawner = await _introduced(stack, place, agent, leave or anyio.Event())
        try:
            yield spawner
        finally:
            # All of it has limits of its own.
            with anyio.CancelScope(shield=True):
                if place.is_service:
                    await _part(spawner)
                else:
                    await _end(spawner)
                    await _reap(spawner.pidfd, within=0.0 if spawner.has_parted else REAP_S)


async def _introduced(
    stack: AsyncExitStack, place: SpawnerPlace, agent: str, leave: anyio.Event
) -> Spawner:
    """Try until a spawner takes us for its agent, and return it."""
    until_s = anyio.current_time() + (SERVICE_S if place.is_service else PREDECESSOR_S)
    while True:
        found, launcher = _found(place), 0
        is_new = found is None and not place.is_service
        try:
            link, launcher = (found, 0) if found is not None else _started(place)
            spawner = await stack.enter_async_context(spawner_over(link, agent=agent))
        except BaseException as error:
            await _reap_launcher(launcher, is_failed=True)
            is_of_predecessor = not is_new and getattr(error, "code", "") in _passing(place)
            if not is_of_predecessor or leave.is_set() or anyio.current_time() >= until_s:
                raise
        else:
            if spawner.pid != launcher:  # one without isolation is that process itself
                await _reap_launcher(launcher, is_failed=False)
            return spawner
        with anyio.move_on_after(LOOK_S):
            await leave.wait()


def _passing(place: SpawnerPlace) -> frozenset[str]:
    """Return what goes by where we have found a spawner and wait."""
    return SERVICE_CODES if place.is_service else PREDECESSOR_CODES


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


def _found(place: SpawnerPlace) -> socket.socket | None:
    """Connect to who listens there, or return nothing, and leave the place free where that is ours to do. Raises Unavailable, Forbidden, Conflict."""
    try:
        link = connected(place.socket)
    except ConnectionRefusedError:
        if not place.is_service and place.keeper < 0:
            clear_away(place.socket)
        return None
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = NOT_FOR_US if isinstance(error, PermissionError) else ""
        text = f"{place.socket}: {error.strerror}"
        raise errors.Unavailable(text, code="spawner_unreachable", hint=hint) from error
    user, _ = peer_ids(link)
    if user not in (0, os.geteuid()):
        link.close()
        raise errors.Forbidden(
            f"who listens at {place.socket} is user {user}, and neither root nor ours",
            code="strange_spawner",
            hint="it would be told all that slices are: ask who has put it there",
        )
    return link


def _started(place: SpawnerPlace) -> tuple[socket.socket, int]:
    """Start a spawner that listens there, or have it started, and connect to it; return the process that makes it, if that is ours."""
    if place.is_service:
        text = f"no spawner listens at {place.socket}"
        raise errors.Unavailable(text, code="no_spawner", hint=SERVICE_HINT)
    try:
        if place.keeper >= 0:
            ask(place.keeper)
            return connected(place.socket), 0
        make_room(place)
        with listen(str(place.socket)) as listening:
            link = connected(place.socket)
            try:
                return link, spawn(place, listening.fileno())
            except BaseException:
                link.close()
                raise
    except OSError as error:
        text = f"the spawner cannot be started at {place.socket}: {error.strerror or error}"
        raise errors.Unavailable(text, code="spawner_not_started") from error


async def _part(spawner: Spawner) -> None:
    """Leave a spawner that others run: its slices end, unless the caller has parted from it before."""
    if spawner.has_ended:
        return
    with anyio.move_on_after(PART_S), suppress(RuninkError):
        for launched in await spawner.list():
            launched.close()
            await spawner.kill(launched.slice)
            await spawner.release(launched.slice)
    spawner.close()


async def _end(spawner: Spawner) -> None:
    """Shut it down; one that does not end is killed, and its fork server ends the slices."""
    if spawner.has_ended:
        return
    try:
        await spawner.shutdown()
    except TimedOut:
        # Root's is left to itself: it has been told to end, and has nobody to serve.
        with suppress(ProcessLookupError, PermissionError):
            pidfd_send_signal(spawner.pidfd, SIGKILL)


async def _reap(pidfd: int, *, within: float) -> None:
    """Take away what is left of our child, if it has ended or is about to."""
    if pidfd < 0:
        return
    with anyio.move_on_after(within):
        await anyio.wait_readable(pidfd)
    with suppress(ChildProcessError):  # another agent's
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)  # noqa: ASYNC222 - WNOHANG does not wait
