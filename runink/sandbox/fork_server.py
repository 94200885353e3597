"""The fork server, or zygote: a process that has loaded what slices need, and makes cells for them (`cell.py`).  Started by the spawner, which it
talks to over descriptor 3:

    python -m runink.sandbox.fork_server --entry MODULE:FUNCTION [--preload MODULE,MODULE] [--path FOLDER:FOLDER] [--plain yes] [--end-at WHO:STEP]

    takes `root` and closes itself off in it; imports the modules, then the entry's; says `ready`; for each `fork` clones a cell, says `forked` with its
    pidfd; reaps it, says `ended`

Rules
- Nothing foreign is loaded before it has left the machine's root, its ids and its privileges behind.  With `--plain yes` there is no `root`, and cells are plain processes.
- It runs no thread of its own and starts none: a fork copies the one thread that forks, and a lock that another one held stays locked for
  ever.  THREADS_OFF keep pyarrow, numpy and polars from starting theirs at import.  One is left: polars 2.1 starts
  its cleaner of spilled files, which no variable turns off; it was idle in every fork tried (hundreds, also of queries that spill).
  `ready` says how many there are.
- Nothing is ever used here, only imported: polars must not be forked after its first query.
- What a module could not be imported is told, not fatal; without its entry no slice can start, and `ready` says so.
- `--path` adds folders to import from, behind the others: for an entry that is not installed.
- When the spawner is gone (end of the link), it takes the spawner's place as adopter, kills its slices with all that they started, and ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from functools import partial

from runink.sandbox.arguments import LINK, THREADS_OFF, listed, options
from runink.sandbox.birth import (
    PARKED,
    PREPARE,
    REAPS,
    Entry,
    Fresh,
    found_fresh,
    keep_environment,
    open_standard_streams,
)
from runink.sandbox.cell import be_cell, be_plain
from runink.sandbox.codec import BadMessage, numeric
from runink.sandbox.courses import Course, Courses, Handed, Key
from runink.sandbox.doorstep import HomeRefused, doorstep
from runink.sandbox.faults import step_of
from runink.sandbox.holes import fill, fill_heap
from runink.sandbox.homes import Homes
from runink.sandbox.huge_pages import gather, row_up
from runink.sandbox.importing import problem_of
from runink.sandbox.inner_protocol import (
    FROM_FORK_SERVER,
    INNER_FIELDS,
    TO_FORK_SERVER,
    Ended,
    Fork,
    Forked,
    Root,
    Unforked,
)
from runink.sandbox.isolation import Progress, Seals, prepared_seals
from runink.sandbox.kernel import (
    ALL_SIGNALS,
    become_subreaper,
    end_children,
    mask,
    name_process,
    offer_to_oom_killer,
    readable,
    reaped,
    signal_set,
    signals_read,
    threads,
)
from runink.sandbox.log import describe, log
from runink.sandbox.namespaces import Handlers, Needed, answered, cloned
from runink.sandbox.packets import Outbox, Packet, close_all, receive, understood
from runink.sandbox.protocol import NO_NETWORK, ForkServerReady, Preload
from runink.sandbox.relocated import share_relocated
from runink.sandbox.syscalls import CLONE_INTO_CGROUP
from runink.sandbox.zygote_root import close_zygote_off

END_PATIENCE_S = 10.0  # who survives SIGKILL that long waits for a broken device
_FORKED = numeric("forked", Forked._fields, descriptors=1)
_ENDED = numeric("ended", Ended._fields)
CHILD_ENDED = signal_set(signal.SIGCHLD)
_POLL_MS = 10_000  # only so that no wait is without end; every event wakes us


class ForkServer:
    """The loop."""

    def __init__(
        self, link: socket.socket, entry_name: str, seals: Seals | None, *, end_at: str
    ) -> None:
        self._link = link
        self._outbox = Outbox(link, FROM_FORK_SERVER)
        self._entry_name = entry_name
        # In a herd's network or the machine's, cells have none of their own; and where no filter keeps slices from making keys, these live as long as a user namespace.
        has_homes = seals is not None and seals.network == NO_NETWORK and seals.filter is not None
        self._doorstep = doorstep() if has_homes else None
        self._homes = Homes()
        self._courses = (
            Courses(seals, end_at=end_at, have_homes=self._doorstep is not None)
            if seals is not None
            else None
        )  # none where cells are plain processes
        self._progress = Progress(step_of("zygote", end_at))
        self._entry: Entry | None = None
        self._reaps = False
        self._problem = ""
        self._handlers = Handlers()
        self._fresh = Fresh((), Needed.EVERYTHING)
        self._fillers = row_up()
        self._modules: dict[str, bool] = {}  # whether it could be imported

    def prepare(self, modules: Iterable[str]) -> None:
        """Import what slices need and say that we are ready."""
        self._import(modules)
        module, _, function = self._entry_name.partition(":")
        try:
            with _without_threads():
                found = importlib.import_module(module)
                self._entry = getattr(found, function)
                self._reaps = getattr(found, REAPS, False)
                getattr(found, PREPARE, _nothing)()
        except Exception as error:  # noqa: BLE001 - it is the project's own code: anything may be wrong with it
            traceback.print_exc()
            self._problem = f"{self._entry_name}: {problem_of(error)}"
        self._say_ready()

    def serve(self, ended: int) -> None:
        """Fork and reap until the spawner is gone; `ended` is readable when a child has ended."""
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        poll.register(ended, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll(_POLL_MS):
                if descriptor == ended:
                    signals_read(ended)
                    self._reap()
                else:
                    packet = receive(self._link)
                    if packet is None:
                        return
                    self._handle(packet)
            self._homes.leave_idle(now_s=time.monotonic())

    def end_slices(self) -> None:
        """Kill every slice and all that it started. Nobody is told: nobody is there."""
        become_subreaper()
        end_children(within_s=END_PATIENCE_S)

    def _handle(self, packet: Packet) -> None:
        cell, key = _parted(packet)
        known = self._courses.known(key) if self._courses is not None and cell else None
        if known is not None:
            self._clone(cell, known)
            close_all(packet.descriptors)
            return
        try:
            message = understood(packet, TO_FORK_SERVER, INNER_FIELDS).message
        except BadMessage as problem:
            # The spawner has checked everything already, so this is our own error.
            log("message refused", code=problem.code, problem=problem.text)
            return
        match message:
            case Fork():
                self._fork(message, key, packet.descriptors)
            case Preload(modules):
                self._import(modules)
                self._say_ready()

    def _fork(self, fork: Fork, key: Key, descriptors: list[int]) -> None:
        """Make a cell for a place that is new."""
        try:
            link, *rest = descriptors
            doors, rest = rest[: fork.doors], rest[fork.doors :]
            group, trees = (rest[0], rest[1:]) if fork.born_in else (0, rest)
            if self._entry is None or len(trees) != len(fork.targets):
                text = self._problem or "descriptors are missing"
                self._outbox.send(Unforked(fork.cell, text))
                return
            if self._courses is None or not fork.isolated:
                self._clone_plain(fork, link, doors, group)
                return
            handed = Handed(link, doors, group, trees)
            self._clone(fork.cell, self._courses.make(key, fork, handed))
        except OSError as error:
            self._outbox.send(Unforked(fork.cell, describe(error)))
        finally:
            close_all(descriptors)

    def _clone(self, cell: int, course: Course) -> None:
        """Clone a cell, and say so."""
        assert self._entry is not None  # else there would be no course
        self._progress.at(4)
        is_alone = course.fork is None
        mask(ALL_SIGNALS)  # until the cell knows what to do with them
        try:
            pid = self._cloned(course, self._entry)
            self._progress.at(5)
            self._tell(cell, pid, course.clone[2].value, alone=int(is_alone))
        except OSError as error:
            self._outbox.send(Unforked(cell, describe(error)))
        finally:
            mask(CHILD_ENDED)

    def _cloned(self, course: Course, entry: Entry) -> int:
        """Clone this cell, in an empty home of its herd where there is one. Raises OSError."""
        clone, arguments, _ = course.clone
        if self._doorstep is None:
            pid = clone(*arguments)
            if not pid:
                be_cell(course, entry)
            return answered(pid)
        be = partial(be_cell, course, entry)
        home = self._homes.empty(course.herd)
        try:
            pid, kept = self._doorstep.clone(clone, arguments, home, be)
        except OSError as error:
            if home is None:
                raise
            self._homes.leave(home)
            if not isinstance(error, HomeRefused):
                raise
            home = None
            pid, kept = self._doorstep.clone(clone, arguments, None, be)
        if home is None:
            home = self._homes.take_up(course.herd, kept)
        if home is not None:
            self._homes.moved_in(home, pid)
        return pid

    def _clone_plain(self, fork: Fork, link: int, doors: list[int], group: int) -> None:
        """Clone a cell without walls, and say so. Raises OSError."""
        assert self._entry is not None
        mask(ALL_SIGNALS)  # as above
        try:
            child = cloned(CLONE_INTO_CGROUP if fork.born_in else 0, cgroup=group)
            if not child.pid:
                be_plain(link, doors, fork.folder, self._fresh, self._entry)
            self._tell(fork.cell, child.pid, child.pidfd, alone=1)
        finally:
            mask(CHILD_ENDED)

    def _tell(self, cell: int, pid: int, pidfd: int, *, alone: int) -> None:
        self._outbox.send_encoded((_FORKED % (cell, pid, alone)).encode(), [pidfd])
        os.close(pidfd)

    def _reap(self) -> None:
        for child in reaped():
            self._homes.ended(child.pid, now_s=time.monotonic())
            self._outbox.send_encoded((_ENDED % child).encode())

    def _import(self, modules: Iterable[str]) -> None:
        for module in modules:
            try:
                with _without_threads():
                    importlib.import_module(module)
            except Exception as error:  # noqa: BLE001 - a broken library of the machine must not take every slice with it
                log("module not loaded", module=module, problem=problem_of(error))
                self._modules[module] = False
            else:
                self._modules[module] = True

    def _say_ready(self) -> None:
        keep_environment(is_isolated=self._courses is not None)
        self._fresh = found_fresh(self._handlers)
        if self._courses is not None:
            self._courses.renew(self._fresh, entry_reaps=self._reaps)
        # What is loaded lives as long as we do: the collector need not look at it, nor slices copy its pages.
        gc.collect()
        self._fillers += fill()
        fill_heap()
        gc.freeze()
        gather()
        share_relocated()
        loaded = [module for module, is_loaded in self._modules.items() if is_loaded]
        failed = [module for module, is_loaded in self._modules.items() if not is_loaded]
        self._outbox.send(ForkServerReady(os.getpid(), loaded, failed, threads(), self._problem))


def _nothing() -> None:
    """Prepare nothing."""


def _parted(packet: Packet) -> tuple[int, Key]:
    """Return the number of a cell that is asked for, 0 if none is, and what all that is asked alike for have in common: so what was understood once need not be again."""
    head, _, rest = packet.body.partition(b'"cell":')
    number, _, tail = rest.partition(b",")
    return int(number or 0), (head, tail, *packet.descriptors)


def main() -> None:
    """Serve until the spawner is gone."""
    optional = {"preload": "", "path": "", "plain": "", "end-at": ""}
    found = options(sys.argv[1:], required=("entry",), optional=optional)
    sys.path += listed(found["path"], separator=os.pathsep)
    gc.disable()
    name_process("runi-forkserver")
    # Before anything is imported: a thread that this starts is not to take it in our place.
    ended = readable(signal.SIGCHLD)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as slices have it; Python would raise an error
    offer_to_oom_killer()  # which slices inherit: memory is to be taken from them before the agent
    open_standard_streams()
    # From Python 3.12 on a fork beside polars' cleaner thread warns on every launch; why it is safe stands above.
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
    link = _parked_link()
    seals = None
    if not found["plain"]:
        seals = _close_off(link)
        if seals is None:
            return
    server = ForkServer(link, found["entry"], seals, end_at=found["end-at"])
    server.prepare(listed(found["preload"]))
    server.serve(ended)
    server.end_slices()


def _close_off(link: socket.socket) -> Seals | None:
    """Wait for the root and move into it; return the seals of its cells, or nothing if the spawner is gone."""
    packet = receive(link)
    if packet is None:
        return None
    root = understood(packet, TO_FORK_SERVER, INNER_FIELDS).message
    assert isinstance(root, Root)
    close_zygote_off(root, packet.descriptors)
    return prepared_seals(root.network)


@contextlib.contextmanager
def _without_threads() -> Iterator[None]:
    """Keep what is imported meanwhile from starting threads. A slice may have as many as it likes, so it does not see the variables."""
    os.environ.update(THREADS_OFF)
    try:
        yield
    finally:
        for name in THREADS_OFF:
            os.environ.pop(name, None)


def _parked_link() -> socket.socket:
    """Move the link to a number that no descriptor of a slice will need."""
    first = socket.socket(fileno=LINK)
    place = PARKED - 1
    os.dup2(LINK, place, inheritable=False)
    first.close()
    return socket.socket(fileno=place)


if __name__ == "__main__":
    main()
