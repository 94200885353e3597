"""A cell: the two processes that wait for a slice, and what they do until it comes.

    first process (`init.py`)               worker
    joins the cgroups
    forks the worker                        waits for `go`: its ids, and the slice's channels
    waits until the root is changed         closes itself off (`isolation.py` 7 to 10)
    gives up its own privileges   <-------- says so
    says so                       --------> gives up its own; says `sealed`
    reaps and forwards                      puts the channels in their places
                                            waits for `assign`, and becomes the slice (`birth.py`)

The pivot of the worker moves both, because they share the mounts.  A cell without isolation is the worker alone.
One that waits gets its assignment by the seat that came with `go`, and ends when that is shut.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from typing import Final, NamedTuple, NoReturn

from runink.sandbox.birth import (
    EXIT_EXCEPTION,
    PARKED,
    Entry,
    be_slice,
    make_ready,
    place_channels,
    rehearse,
)
from runink.sandbox.faults import step_of
from runink.sandbox.init import be_init
from runink.sandbox.inner_protocol import (
    FROM_CELL,
    INNER_FIELDS,
    TO_CELL,
    Sealed,
    Unborn,
)
from runink.sandbox.isolation import (
    Progress,
    Rooms,
    Seals,
    close_off,
    seal_first,
    seal_worker,
)
from runink.sandbox.kernel import become_subreaper, name_process
from runink.sandbox.log import describe
from runink.sandbox.packets import Outbox, receive, understood

LINK: Final = PARKED - 2  # where the cell's socket stays until the slice begins
BELL: Final = PARKED - 3  # between first process and worker
OUTFIT: Final = PARKED + 1  # and on: control, stdout, stderr, and the seat of one that waits
OUTFIT_MAX: Final = 4
STANDARD: Final = (0, 1, 2)  # the spawner's log, until the slice has its own


class Plan(NamedTuple):
    """A cell to be: of processes of its own if there are rooms, else this one.

    `link` is its socket, `doors` are descriptors by which it joins its cgroups before there is a second process, `folder` is its working directory. One that
    `waits` has no slice yet. `end_at` is for tests (`faults.py`).
    """

    link: int
    doors: list[int]
    rooms: Rooms | None
    seals: Seals | None
    folder: str
    waits: bool
    end_at: str


def be_cell(plan: Plan, entry: Entry) -> NoReturn:
    """Be the cell. Signals are blocked. Never returns."""
    link, doors, rooms, seals = plan[:4]
    try:
        for door in doors:
            os.write(door, b"0")
        if rooms is None or seals is None:
            _be_plain(plan, entry)
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        worker = os.fork()
        if worker:
            second.close()
            _be_first(worker, link, first, seals, Progress(step_of("first", plan.end_at)))
        first.close()
        _be_worker(plan, second, rooms, seals, entry)
    except BaseException:  # noqa: BLE001 - the last frame of the process
        traceback.print_exc()  # into the spawner's log; that the cell has ended is told by whoever reaps it
    finally:
        os._exit(EXIT_EXCEPTION)


def _be_plain(plan: Plan, entry: Entry) -> NoReturn:
    """Wait for the slice without walls: a session of its own, and adopter of its own orphans, so that they stay attributable to it."""
    os.setsid()
    become_subreaper()
    name_process("runi-slice")
    channel = _alone_with(plan.link, None, besides=STANDARD)
    outbox = Outbox(channel, FROM_CELL)
    outfit = _outfit(channel)
    try:
        make_ready(plan.folder)
    except OSError as error:
        outbox.send(Unborn(0, describe(error)))
        os._exit(EXIT_EXCEPTION)
    place_channels(outfit[:3])
    outbox.send(Sealed({"isolation": "none"}))
    _await_slice(channel, channel, entry)


def _be_first(
    worker: int, link: int, bell: socket.socket, seals: Seals, progress: Progress
) -> NoReturn:
    channel = _alone_with(link, bell.detach())
    with socket.socket(fileno=BELL) as ours:
        if ours.recv(1):
            seal_first(seals, progress, kept=(LINK, BELL))
            ours.send(b"s")
    # Where the worker has ended instead, that is told as any other end.
    be_init(worker, channel)


def _be_worker(
    plan: Plan, bell: socket.socket, rooms: Rooms, seals: Seals, entry: Entry
) -> NoReturn:
    name_process("runi-slice")
    trees = (tree.descriptor for tree in rooms.trees)
    channel = _alone_with(plan.link, bell.detach(), besides=(*STANDARD, *trees))
    outbox = Outbox(channel, FROM_CELL)
    progress = Progress(step_of("worker", plan.end_at))
    outfit = _outfit(channel)
    try:
        close_off(rooms, progress, seals.network)
        with socket.socket(fileno=BELL) as ours:
            ours.send(b"r")
            report = seal_worker(
                seals, rooms.writable, progress, kept=(*STANDARD, LINK, BELL, *outfit)
            )
            make_ready(plan.folder)
            if plan.waits:
                rehearse()
            is_first_sealed = bool(ours.recv(1))
    except Exception as error:  # noqa: BLE001 - it is the answer to the launch: there is nobody else to tell
        outbox.send(Unborn(progress.step, describe(error)))
        os._exit(EXIT_EXCEPTION)
    if not is_first_sealed:
        os._exit(EXIT_EXCEPTION)  # and whoever reaps it tells
    place_channels(outfit[:3])
    outbox.send(Sealed(report))
    if not plan.waits:
        _await_slice(channel, channel, entry)
    with socket.socket(fileno=outfit[-1]) as seat:
        _await_slice(seat, channel, entry)


def _alone_with(link: int, bell: int | None, *, besides: tuple[int, ...] = ()) -> socket.socket:
    """Put the cell's sockets where no descriptor of a slice will be, and close everything that came by the fork."""
    os.dup2(link, LINK, inheritable=False)
    kept = {LINK, *besides}
    if bell is not None:
        os.dup2(bell, BELL, inheritable=False)
        kept.add(BELL)
    low = 0
    for descriptor in sorted(kept):
        if descriptor > low:  # an empty range is not understood as one
            os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 1 << 30)
    return socket.socket(fileno=LINK)


def _outfit(channel: socket.socket) -> list[int]:
    """Wait for `go`; return where what came with it is kept."""
    packet = receive(channel)
    if packet is None:
        os._exit(EXIT_EXCEPTION)
    understood(packet, TO_CELL, INNER_FIELDS)
    came = packet.descriptors
    places = [OUTFIT + number for number in range(len(came))]
    for descriptor, place in zip(came, places, strict=True):
        os.dup2(descriptor, place, inheritable=False)
        os.close(descriptor)
    return places


def _await_slice(source: socket.socket, channel: socket.socket, entry: Entry) -> NoReturn:
    """Wait for the assignment from `source`, and begin; that is said on the cell's channel."""
    packet = receive(source)
    if packet is None:
        os._exit(EXIT_EXCEPTION)
    be_slice(packet, channel=channel, entry=entry)


def block_signals() -> None:
    """Keep signals back until the cell knows what to do with them."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
