"""A cell: the two processes that wait for a slice, and what they do until it comes.

    first process (`init.py`)               worker
    joins the cgroups, bounds both
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
import socket
import traceback
from typing import Final, NamedTuple, NoReturn

from runink.sandbox.birth import (
    EXIT_EXCEPTION,
    PARKED,
    Entry,
    Fresh,
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
    Fork,
    Sealed,
    Unborn,
)
from runink.sandbox.isolation import (
    Progress,
    Rooms,
    Seals,
    bound,
    close_off,
    seal_first,
    seal_worker,
)
from runink.sandbox.kernel import become_subreaper, name_process
from runink.sandbox.log import describe
from runink.sandbox.mounts import Tree
from runink.sandbox.namespaces import forked
from runink.sandbox.packets import Outbox, receive, understood

LINK: Final = PARKED - 2  # where the cell's socket stays until the slice begins
EAR: Final = PARKED - 3  # a pipe from the other of the two processes
BELL: Final = PARKED - 4  # and one to it
OUTFIT: Final = PARKED + 1  # and on: control, stdout, stderr, and the seat of one that waits
OUTFIT_MAX: Final = 4
STANDARD: Final = (0, 1, 2)  # the spawner's log, until the slice has its own


class Plan(NamedTuple):
    """A cell to be: of processes of its own if there are seals, else this one.

    `link` is its socket, `doors` are descriptors by which it joins its cgroups before there is a second process, `trees` those of the trees that `fork` names.
    `end_at` is for tests (`faults.py`).
    """

    link: int
    doors: list[int]
    trees: list[int]
    fork: Fork
    seals: Seals | None
    fresh: Fresh
    end_at: str


def be_cell(plan: Plan, entry: Entry) -> NoReturn:
    """Be the cell. Signals are blocked. Never returns."""
    seals = plan.seals
    try:
        for door in plan.doors:
            os.write(door, b"0")
        if seals is None or not plan.fork.isolated:
            _be_plain(plan, entry)
        bound()
        to_first, to_worker = os.pipe(), os.pipe()
        worker = forked(untold=plan.fresh.forks_untold)
        if worker:
            progress = Progress(step_of("first", plan.end_at))
            be_first(worker, plan.link, (to_first[0], to_worker[1]), seals, progress)
        _be_worker(plan, (to_worker[0], to_first[1]), seals, entry)
    except BaseException:  # noqa: BLE001 - the last frame of the process
        traceback.print_exc()  # into the spawner's log; that the cell has ended is told by whoever reaps it
    finally:
        os._exit(EXIT_EXCEPTION)


def _be_plain(plan: Plan, entry: Entry) -> NoReturn:
    """Wait for the slice without walls: a session of its own, and adopter of its own orphans, so that they stay attributable to it."""
    os.setsid()
    become_subreaper()
    name_process("runi-slice")
    alone_with({plan.link: LINK}, besides=STANDARD)
    channel = socket.socket(fileno=LINK)
    outbox = Outbox(channel, FROM_CELL)
    outfit = outfit_of(channel)
    try:
        make_ready(plan.fork.folder, plan.fresh)
    except OSError as error:
        outbox.send(Unborn(0, describe(error)))
        os._exit(EXIT_EXCEPTION)
    place_channels(outfit[:3])
    outbox.send(Sealed({"isolation": "none"}))
    await_slice(channel, channel, entry)


def be_first(
    worker: int, link: int, pipes: tuple[int, int], seals: Seals, progress: Progress
) -> NoReturn:
    alone_with({link: LINK, pipes[0]: EAR, pipes[1]: BELL})
    if os.read(EAR, 1):
        seal_first(seals, progress, kept=(LINK, EAR, BELL))
        os.write(BELL, b"s")
    # Where the worker has ended instead, that is told as any other end.
    os.closerange(BELL, EAR + 1)
    be_init(worker, LINK)


def _be_worker(plan: Plan, pipes: tuple[int, int], seals: Seals, entry: Entry) -> NoReturn:
    name_process("runi-slice")
    fork = plan.fork
    moved = {plan.link: LINK, pipes[0]: EAR, pipes[1]: BELL}
    alone_with(moved, besides=(*STANDARD, *plan.trees))
    channel = socket.socket(fileno=LINK)
    outbox = Outbox(channel, FROM_CELL)
    progress = Progress(step_of("worker", plan.end_at))
    outfit = outfit_of(channel)
    try:
        close_off(_rooms(plan), progress, seals.network)
        os.write(BELL, b"r")
        kept = (*STANDARD, LINK, EAR, BELL, *outfit)
        report = seal_worker(seals, fork.writable, progress, kept=kept)
        make_ready(fork.folder, plan.fresh)
        if fork.waits:
            rehearse(entry)
        is_first_sealed = bool(os.read(EAR, 1))
        os.closerange(BELL, EAR + 1)
    except Exception as error:  # noqa: BLE001 - it is the answer to the launch: there is nobody else to tell
        outbox.send(Unborn(progress.step, describe(error)))
        os._exit(EXIT_EXCEPTION)
    if not is_first_sealed:
        os._exit(EXIT_EXCEPTION)  # and whoever reaps it tells
    place_channels(outfit[:3])
    outbox.send(Sealed(report))
    if not fork.waits:
        await_slice(channel, channel, entry)
    with socket.socket(fileno=outfit[-1]) as seat:
        await_slice(seat, channel, entry)


def _rooms(plan: Plan) -> Rooms:
    fork = plan.fork
    trees = [Tree(*one) for one in zip(fork.targets, plan.trees, strict=True)]
    return Rooms(trees, fork.links, fork.writable, fork.folder, fork.scratch_bytes)


def alone_with(moved: dict[int, int], *, besides: tuple[int, ...] = ()) -> None:
    """Put what the cell speaks by where no descriptor of a slice will be, and close everything else that came by the fork."""
    for descriptor, place in moved.items():
        os.dup2(descriptor, place, inheritable=False)
    low = 0
    for descriptor in sorted((*moved.values(), *besides)):
        if descriptor > low:  # an empty range is not understood as one
            os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 1 << 30)


def outfit_of(channel: socket.socket) -> list[int]:
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


def await_slice(source: socket.socket, channel: socket.socket, entry: Entry) -> NoReturn:
    """Wait for the assignment from `source`, and begin; that is said on the cell's channel."""
    packet = receive(source)
    if packet is None:
        os._exit(EXIT_EXCEPTION)
    be_slice(packet, channel=channel, entry=entry)
