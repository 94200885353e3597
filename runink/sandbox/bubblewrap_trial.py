"""Whether bubblewrap closes slices off here: looked for on PATH, asked for its version, and tried once as it will be used, when the spawner starts.

The trial is a whole launch of a cell with nothing in it, up to the report of what is in force.  Nothing else runs yet, so the spawner may wait for it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from typing import Final, NoReturn

from runink.capabilities import BUBBLEWRAP, NAMESPACES, Told
from runink.sandbox import privileges
from runink.sandbox.bubblewrap import PROGRAM, version_of
from runink.sandbox.bubblewrap_launcher import Program
from runink.sandbox.bubblewrap_monitor import Monitor, first_process
from runink.sandbox.bubblewrap_nursery import BubblewrapNursery
from runink.sandbox.ids import ZYGOTE
from runink.sandbox.inner_protocol import (
    FROM_CELL,
    INNER_FIELDS,
    TO_CELL,
    Fork,
    Forked,
    Go,
    Sealed,
    Unborn,
    Unforked,
)
from runink.sandbox.kernel import NO_SIGNALS, end_children, mask
from runink.sandbox.log import describe, log
from runink.sandbox.namespaces import IDS, IdMap, cloned_untold, map_ids
from runink.sandbox.nursery import Loaded, MakeNursery, Nursery
from runink.sandbox.packets import Outbox, close_all, receive, understood
from runink.sandbox.protocol import NO_NETWORK
from runink.sandbox.walls import Walls

TRIAL_S: Final = 20.0  # less than an agent waits for its welcome; it takes a tenth of a second
END_S: Final = 2.0  # for what was tried to end, when it has been killed
SAID_BYTES_MAX: Final = 1000
NOT_STARTED: Final = 126  # an exit code: what a shell says of what it cannot start
SCRATCH_BYTES: Final = 1 << 20
NOTHING: Final = "builtins:print"  # an entry that everybody has; it is not called


class NotWorking(OSError):
    """Bubblewrap is not there, or does not close slices off."""


def tried(walls: Walls | None, wanted: Loaded, told: Told) -> tuple[MakeNursery | None, Told]:
    """Return what makes slices through bubblewrap, and that it is there; or nothing, and why not. `told` is what was found out about the machine."""
    if walls is None:
        return None, Told({}, {BUBBLEWRAP: told.missing[NAMESPACES]})
    try:
        has_ranges = walls.has_ranges
        program = _found(os.environ.get("PATH", os.defpath), has_ranges=has_ranges)
        make = _making(program, has_ranges=has_ranges)
        _try(make(wanted._replace(entry=NOTHING, end_at=""), NO_NETWORK), walls)
    except OSError as error:
        why = error.strerror or describe(error)
        log("bubblewrap does not work", problem=why)
        return None, Told({}, {BUBBLEWRAP: why, NAMESPACES: f"bubblewrap was to make them: {why}"})
    return make, Told({BUBBLEWRAP: program.version}, {})


def _making(program: Program, *, has_ranges: bool) -> MakeNursery:
    def make(wanted: Loaded, network: str) -> Nursery:
        return BubblewrapNursery(program, wanted, network, has_ranges=has_ranges)

    return make


def _found(path_variable: str, *, has_ranges: bool) -> Program:
    """Return the first bubblewrap of the folders. Raises NotWorking, OSError."""
    for folder in path_variable.split(os.pathsep):
        path = f"{folder}/{PROGRAM}"
        if folder.startswith("/") and os.access(path, os.X_OK):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                return Program(descriptor, _version(descriptor, path, has_ranges=has_ranges))
            except BaseException:
                os.close(descriptor)
                raise
    raise NotWorking(0, f"there is no {PROGRAM} in {path_variable}")


def _version(program: int, path: str, *, has_ranges: bool) -> str:
    """Ask it, as nobody's user if we are root: nothing that it does shall be done with our rights."""
    source, target = os.pipe()
    try:
        child = cloned_untold(0)
        if not child.pid:
            _become_version(program, target, has_ranges=has_ranges)
        os.close(target)
        end = select.poll()
        end.register(source, select.POLLIN)
        said = os.read(source, SAID_BYTES_MAX) if end.poll(TRIAL_S * 1000) else b""
        if not said:  # it has ended, or hangs
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        os.close(child.pidfd)
        _, status = os.waitpid(child.pid, 0)
    finally:
        os.close(source)
    if os.waitstatus_to_exitcode(status) == NOT_STARTED:
        raise NotWorking(0, f"{path} cannot be started: it has to be a program, not a script")
    if status or not said:
        raise NotWorking(0, f"{path} --version ends with wait status {status}")
    return version_of(said.decode(errors="replace"))


def _become_version(program: int, target: int, *, has_ranges: bool) -> NoReturn:
    try:
        if has_ranges:
            privileges.become(ZYGOTE, ZYGOTE)
        privileges.forbid_new_privileges()
        os.dup2(target, 1)
        os.execve(program, [PROGRAM, "--version"], {})  # noqa: S606 - there is nothing for a shell to read
    finally:
        os._exit(NOT_STARTED)


def _try(nursery: Nursery, walls: Walls) -> None:
    """Have a cell closed off, and end it. Raises NotWorking, OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            root, trees = walls.zygote_root(NO_NETWORK)
            fork = _empty_cell(root.targets, root.kinds, root.links)
            try:
                nursery.ask(fork, [theirs.fileno(), *trees])
            finally:
                close_all(trees)
        ((message, descriptors),) = nursery.told()
        if isinstance(message, Unforked):
            raise NotWorking(0, message.text)
        try:
            _see(message, descriptors, ours, walls)
        finally:
            close_all(descriptors[:1])
            end_children(within_s=END_S)
            mask(NO_SIGNALS)  # of which the wait has blocked one


def _empty_cell(targets: list[str], kinds: str, links: list[list[str]]) -> Fork:
    return Fork(
        cell=0,
        isolated=True,
        doors=0,
        born_in=False,
        targets=targets,
        kinds=kinds,
        writable=[],
        links=links,
        folder="/",
        scratch_bytes=SCRATCH_BYTES,
        waits=False,
        herd=0,
    )


def _see(forked: Forked, descriptors: list[int], link: socket.socket, walls: Walls) -> None:
    """Go with a cell up to its report. Raises NotWorking, OSError."""
    pidfd, complaints = descriptors
    monitor = Monitor(complaints)
    try:
        _give_ids(forked.pid, walls)
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        Outbox(link, TO_CELL).send(Go(), descriptors=[nothing] * 3)
        os.close(nothing)
        _hear(link, monitor, pidfd)
        os.close(first_process(forked.pid))
    finally:
        monitor.close()


def _give_ids(pid: int, walls: Walls) -> None:
    if walls.has_ranges:
        ids = IdMap(0, ZYGOTE, IDS)  # as nobody's; the herds' are for slices
        map_ids(pid, ids, ids)
    else:
        walls.give_ids(pid, "")


def _hear(link: socket.socket, monitor: Monitor, pidfd: int) -> None:
    """Wait for the report. Raises NotWorking."""
    poll = select.poll()
    poll.register(link, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    ready = dict(poll.poll(TRIAL_S * 1000))
    packet = receive(link) if link.fileno() in ready else None
    if packet is None:
        how = f"it took longer than {TRIAL_S:.0f} s"
        if ready:
            how = "it has ended without a word of what is in force"
        raise NotWorking(0, monitor.complained() or how)
    match understood(packet, FROM_CELL, INNER_FIELDS).message:
        case Sealed():
            return
        case Unborn(_, text):
            raise NotWorking(0, monitor.complained() or text)
        case _:
            raise NotWorking(0, "its cell says what it should not")
