"""The spawner: the process that answers for every slice of a node, whatever becomes of the agent or of the fork server.

    python -m runink.sandbox.spawner --socket PATH [--socket-fd N] [--orphan-seconds S] [--entry MODULE:FUNCTION] [--preload M,M] [--path FOLDER:FOLDER] [--plain yes] [--bubblewrap yes] [--warm N]
        [--agent-user UID:GID] [--state FOLDER] [--host-network no] [--stays yes] [--end-at WHO:STEP]

`--socket-fd` is a descriptor that already listens at PATH (so a client can connect before this process runs); without it the spawner makes the socket.
`--orphan-seconds` is how long slices outlive their agent's connection (0: not at all); before the first connection it has FIRST_CONNECTION_S.
`--plain yes` makes slices plain processes, without namespaces; `--bubblewrap yes` has bubblewrap close them off (`bubblewrap.py`).  `--warm` is how many cells may wait for slices at once.
`--agent-user` is whom it serves if not its own user: root only, and never with plain processes.  What an agent of that user can have done: `rights.py`, docs/security.md.
`--state` is a folder of the file system that slices will be shown files of, if not the socket's.  `--host-network no` refuses slices in the machine's own network.
`--stays yes` has it wait for agents for ever, as a child of the process that was started.
`--end-at` is for tests only: a process ends in the middle of a launch (`faults.py`).

One thread, one loop: wait for packets, signals and the next thing due, handle them, do what is due.  Nothing in it blocks.  Who dies when, and who then
kills whom, stands in the package's docstring.  SIGTERM ends the spawner as `shutdown` does; SIGINT and SIGHUP of a terminal are the agent's business.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import sys
import time

from runink.capabilities import HOST_NETWORK, NAMESPACES, Told
from runink.sandbox.arguments import listed, options
from runink.sandbox.confines import Confines, detected
from runink.sandbox.desk import Desk, Terms
from runink.sandbox.door import Connection, Door, listen
from runink.sandbox.faults import step_of
from runink.sandbox.features import both, of_limits
from runink.sandbox.herd_networks import HerdNetworks
from runink.sandbox.inner_protocol import Ended
from runink.sandbox.isolation import Progress
from runink.sandbox.kernel import (
    become_subreaper,
    end_children,
    name_process,
    reaped,
    wake_on_signals,
)
from runink.sandbox.lives import Lives
from runink.sandbox.log import log
from runink.sandbox.nursery import Loaded, Nurseries, Nursery
from runink.sandbox.packets import receive
from runink.sandbox.pool import Pool
from runink.sandbox.rights import User, forget_groups
from runink.sandbox.seclusion import leave, secluded
from runink.sandbox.walls import Walls
from runink.sandbox.warm_cells import WarmCells

FIRST_CONNECTION_S = 10.0  # a spawner that nobody ever talks to must not stay for ever
END_PATIENCE_S = (
    10.0  # for slices at the end; who survives SIGKILL that long waits for a broken device
)
POLL_S_MAX = 10.0  # only so that no wait is without end
PACKETS_AT_ONCE = 64  # of one connection, before the others have their turn
NOT_SHARED = "its spawner was started with --no-host-network"
DEFAULT_ENTRY = "runink.actors.slice:main"
OPTIONAL = {
    "socket-fd": "",
    "orphan-seconds": "0",
    "entry": DEFAULT_ENTRY,
    "preload": "",
    "path": "",
    "plain": "",
    "bubblewrap": "",
    "warm": "0",
    "agent-user": "",
    "state": "",
    "host-network": "",
    "stays": "",
    "end-at": "",
}


class Loop:
    """Waits, and passes what happens to the desk."""

    def __init__(self, desk: Desk, lives: Lives, door: Door, *, wakeup: int) -> None:
        self._desk = desk
        self._lives = lives
        self._door = door
        self._wakeup = wakeup
        self._poll = select.poll()
        self._polled: list[tuple[int, int]] = []

    def run(self) -> None:
        """Serve until the desk is closed."""
        while True:
            self._desk.advance(now_s=time.monotonic())
            # Only now: what has just been done may have been the last, and nothing would wake us any more.
            if self._desk.is_closed(now_s=time.monotonic()):
                return
            ready = self._wait()
            now_s = time.monotonic()
            if self._wakeup in ready:
                self._on_signals(now_s)
            for nursery in self._lives.nurseries:
                if nursery.link is not None and nursery.link.fileno() in ready:
                    self._on_fork_server(nursery, now_s)
            self._lives.networks.hear(ready)
            if self._lives.births.cells.fileno() in ready:
                self._lives.listen(now_s=now_s)
            for connection in self._door:
                if connection.link.fileno() in ready:
                    self._on_connection(connection, now_s)
            if self._door.listening.fileno() in ready:
                self._door.admit(now_s=now_s)

    def _wait(self) -> set[int]:
        watched = self._watched()
        # Seldom: to say anew what is waited for takes longer than to wait.
        if watched != self._polled:
            self._poll, self._polled = select.poll(), watched
            for descriptor, interest in watched:
                self._poll.register(descriptor, interest)
        now_s = time.monotonic()
        due_s = self._desk.next_due_s(now_s=now_s)
        patience_s = POLL_S_MAX if due_s is None else due_s - now_s
        # Rounded up: a millisecond early would mean another turn, and another.
        wait_ms = int(min(max(patience_s, 0.0), POLL_S_MAX) * 1000 + 0.999)
        return {descriptor for descriptor, _ in self._poll.poll(wait_ms)}

    def _watched(self) -> list[tuple[int, int]]:
        """Return what is waited for: descriptors, and what of them."""
        lives = self._lives
        ours = (self._wakeup, self._door.listening.fileno(), lives.births.cells.fileno())
        watched = [(descriptor, select.POLLIN) for descriptor in (*ours, *lives.networks.links())]
        watched += [
            (one.link.fileno(), _interest(is_empty=one.outbox.is_empty))
            for one in (*lives.nurseries, *self._door)
            if one.link is not None and one.outbox is not None
        ]
        return watched

    def _on_signals(self, now_s: float) -> None:
        numbers = os.read(self._wakeup, 4096)
        if signal.SIGTERM in numbers:
            self._desk.close("terminated", now_s=now_s)
        for child in reaped():
            self._lives.child_ended(Ended(*child), now_s=now_s)

    def _on_fork_server(self, nursery: Nursery, now_s: float) -> None:
        for packet in nursery.packets():
            self._lives.heard(packet, nursery, now_s=now_s)
        if nursery.outbox is not None and not nursery.outbox.flush():
            nursery.kill()

    def _on_connection(self, connection: Connection, now_s: float) -> None:
        for _ in range(PACKETS_AT_ONCE):
            try:
                packet = receive(connection.link)
            except BlockingIOError:
                break
            if packet is None or not self._desk.asked(connection, packet, now_s=now_s):
                self._desk.parted(connection, now_s=now_s)
                return
        if not connection.outbox.flush():
            self._desk.parted(connection, now_s=now_s)


def main() -> None:
    """Serve until shut down, terminated, or left alone by the agent."""
    found = options(sys.argv[1:], required=("socket",), optional=OPTIONAL)
    name_process("runi-spawner")
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    user = _served(found)
    path = os.path.abspath(found["socket"])  # noqa: PTH100 - pathlib is 2 MB that we do not need
    base = None if found["plain"] else detected(path)
    walls, told = _walls(path, found)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    told = both(told, _refused(found))
    confines = None
    if base is not None:
        told = both(told, of_limits(base.layout.told()))
        confines = Confines(base, descriptors_max=limits[1])
    handed = found["socket-fd"]
    listening = socket.socket(fileno=int(handed)) if handed else listen(path, user)
    listening.set_inheritable(False)
    os.chdir("/")  # no mount is kept busy by us
    door = Door(listening, path, admitted=user)
    wanted = Loaded(
        found["entry"], found["path"], limits, listed(found["preload"]), found["end-at"]
    )
    make = None
    if found["bubblewrap"]:
        from runink.sandbox.bubblewrap_trial import tried  # noqa: PLC0415 - half a megabyte that is not needed otherwise

        make, of_bubblewrap = tried(walls, wanted, told)
        told = both(told, of_bubblewrap)
    nurseries = Nurseries(wanted, make)
    folder, name = os.path.split(path)
    are_possible = walls is None or walls.has_ranges
    networks = HerdNetworks(name.partition(".")[0], folder, are_possible=are_possible)
    pool = Pool(int(found["warm"]) if walls is not None and make is None else 0)
    warm_cells = WarmCells(pool, door, confines)
    lives = Lives(door, nurseries, walls, confines, warm_cells, networks)
    lives.births.progress = Progress(step_of("spawner", found["end-at"]))
    terms = _terms(found, serves_another=user is not None)
    desk = Desk(door, lives, nurseries, terms, found=told, now_s=time.monotonic())
    wakeup = wake_on_signals(signal.SIGCHLD, signal.SIGTERM)
    try:
        Loop(desk, lives, door, wakeup=wakeup).run()
    finally:
        nurseries.close()
        survivors = end_children(within_s=END_PATIENCE_S)
        networks.close()
        if confines is not None:
            confines.close()
        if walls is not None:
            leave(path)
        # Only now: who sees the connection end may rely on it that no slice is left.
        door.close()
        log("spawner ended", survivors=survivors)


def _served(found: dict[str, str]) -> User | None:
    """Return whom we serve, if that is another user. Raises SystemExit where that cannot be."""
    if not found["agent-user"]:
        return None
    if os.geteuid():
        raise SystemExit("--agent-user: only root serves another user")
    if found["plain"]:
        raise SystemExit("--plain: another user's processes would have all rights of root")
    try:
        user = User.parse(found["agent-user"])
    except ValueError as error:
        raise SystemExit(f"--agent-user: {error}; it is UID:GID") from error
    forget_groups()
    return user


def _refused(found: dict[str, str]) -> Told:
    """Return what there will not be, because whoever started us does not want it."""
    return Told({}, {HOST_NETWORK: NOT_SHARED} if found["host-network"] == "no" else {})


def _terms(found: dict[str, str], *, serves_another: bool) -> Terms:
    orphan_s = float(found["orphan-seconds"])
    first_s = max(orphan_s, FIRST_CONNECTION_S)
    return Terms(orphan_s, first_s, stays=bool(found["stays"]), serves_another=serves_another)


def _walls(path: str, found: dict[str, str]) -> tuple[Walls | None, Told]:
    """Return what cells are closed off with, if they are, and what was found out. From here on this may be another process."""
    if found["plain"]:
        walls, told = None, Told({}, {NAMESPACES: "it was started for plain processes"})
    else:
        walls, told = secluded(
            path,
            listed(found["path"], separator=os.pathsep),
            state=found["state"],
            stays=bool(found["stays"]),
        )
    if walls is None:
        log("slices are not isolated", problem=told.missing[NAMESPACES])
        become_subreaper()
    return walls, told


def _interest(*, is_empty: bool) -> int:
    return select.POLLIN if is_empty else select.POLLIN | select.POLLOUT


if __name__ == "__main__":
    main()
