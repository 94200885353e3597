"""A cell: the two processes that wait for a slice, and what they do until it comes.

    first process                           worker
    joins the cgroups
    waits for `go`: its ids, and the slice's channels
    closes itself off (`isolation.py` 7 to 17)
    puts the channels in their places
    forks the worker                        closed off as it is; a session and a lifeline of its own (18)
    reaps and forwards (`init.py`)          says `sealed`
                                            waits for `assign`, and becomes the slice (`birth.py`)

A cell without isolation is the worker alone.
One that waits gets its assignment by the seat that came with `go`, and ends when that is shut.
"""

from __future__ import annotations

import os
import socket
import traceback
from typing import Final, NamedTuple, NoReturn

from runink.sandbox.birth import (
    EVERY,
    EXIT_EXCEPTION,
    PARKED,
    Entry,
    Fresh,
    be_slice,
    be_unborn,
    make_ready,
    place_channels,
    rehearse,
    tell,
)
from runink.sandbox.codec import encode
from runink.sandbox.faults import step_of
from runink.sandbox.init import be_init
from runink.sandbox.inner_protocol import (
    INNER_FIELDS,
    TO_CELL,
    Fork,
    Sealed,
)
from runink.sandbox.isolation import (
    Progress,
    Rooms,
    Seals,
    bind_worker,
    bound,
    close_off,
    seal,
)
from runink.sandbox.kernel import NO_SIGNALS, become_subreaper, mask, name_process
from runink.sandbox.mounts import Tree
from runink.sandbox.namespaces import forked
from runink.sandbox.packets import receive, understood

LINK: Final = PARKED - 2  # where the cell's socket stays until the slice begins
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
        _be_closed(plan, seals, entry)
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
    outfit = outfit_of(channel)
    try:
        make_ready(plan.fork.folder, plan.fresh)
        place_channels(outfit)
    except OSError as error:
        be_unborn(channel, 0, error)
    tell(channel, encode("sealed", Sealed({"isolation": "none"})))
    await_slice(channel, channel, entry)


def _be_closed(plan: Plan, seals: Seals, entry: Entry) -> NoReturn:
    fork = plan.fork
    alone_with({plan.link: LINK}, besides=(*STANDARD, *plan.trees))
    channel = socket.socket(fileno=LINK)
    outfit = outfit_of(channel)
    progress = Progress(step_of("first", plan.end_at))
    try:
        close_off(_rooms(plan), progress, seals.network)
        report = seal(seals, fork.writable, progress, kept=(*STANDARD, LINK, *outfit))
        make_ready(fork.folder, plan.fresh)
        place_channels(outfit[:3])
        sealed = encode("sealed", Sealed(report))
        fork_worker(untold=plan.fresh.forks_untold)
        progress = Progress(step_of("worker", plan.end_at))
        bind_worker(progress)
        if fork.waits:
            rehearse(entry)
        progress.at(19)
    except Exception as error:  # noqa: BLE001 - it is the answer to the launch: there is nobody else to tell
        be_unborn(channel, progress.step, error)
    tell(channel, sealed)
    if not fork.waits:
        await_slice(channel, channel, entry)
    with socket.socket(fileno=outfit[-1]) as seat:
        await_slice(seat, channel, entry)


def fork_worker(*, untold: bool) -> None:
    """Fork the worker, in which this returns; `untold` as in `namespaces.forked`. Raises OSError."""
    worker = forked(untold=untold)
    if worker:
        os.closerange(0, LINK)
        os.closerange(LINK + 1, EVERY)
        be_init(worker, LINK)
    name_process("runi-slice")


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
    os.closerange(low, EVERY)


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
    mask(NO_SIGNALS)
    packet = receive(source)
    if packet is None:
        os._exit(EXIT_EXCEPTION)
    be_slice(packet, channel=channel, entry=entry)
