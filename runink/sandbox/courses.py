"""What a cell does until it waits for its slice, written down before it is cloned (`calls.py`): so it touches little of what it is a copy of.

A course holds for one place of slices, and for the descriptors of one cell: both are the same from launch to launch, so most cells go a course that was made for another.  To make one takes as long as a cell.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from runink.sandbox import init, privileges
from runink.sandbox.birth import PARKED, Fresh, placing_channels
from runink.sandbox.calls import Buffer, Call, Ready, called, closing, lowest_free, ready, receiving
from runink.sandbox.codec import encode
from runink.sandbox.faults import end, step_of
from runink.sandbox.first import WAITING
from runink.sandbox.inner_protocol import Fork, Go, Sealed
from runink.sandbox.isolation import (
    Deeds,
    Rooms,
    Seals,
    binding_worker,
    closing_off,
    in_force,
    sealing,
    seals_of_one,
)
from runink.sandbox.kernel import NO_SIGNALS, masking
from runink.sandbox.mounts import own_mask, trees_of
from runink.sandbox.namespaces import Needed, Twice, cloning, forking, thread_id_address
from runink.sandbox.packing import packed
from runink.sandbox.protocol import NO_NETWORK
from runink.sandbox.syscalls import (
    CLONE_INTO_CGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    CLONE_PARENT,
)

LINK: Final = PARKED - 2  # where the cell's socket stays until the slice begins
OUTFIT: Final = PARKED + 1  # and on: control, stdout, stderr, and the seat of one that waits
CHANNELS: Final = tuple(range(OUTFIT, OUTFIT + 3))
SEAT: Final = OUTFIT + 3
OUTFIT_MAX: Final = 4
STANDARD: Final = (0, 1, 2)  # the spawner's log, until the slice has its own
SEEDED: Final = ("random", "numpy.random")
# The cgroup namespace comes later: it begins where a process stands when it is made.
NAMESPACES: Final = (
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
)
KEPT_MAX: Final = 64  # 55 kB each


Key = tuple[bytes | int, ...]


class Handed(NamedTuple):
    """Descriptors of a fork server's for a cell (`Fork`); `group` is that of the cgroup that it is cloned into, 0 for none."""

    link: int
    doors: Sequence[int]
    group: int
    trees: Sequence[int]


class Course(NamedTuple):
    """What clones the first process (`namespaces.cloning`); its calls; the signals that it then has to have as a fresh process has them; how it forks, if it is not the worker itself; what it calls then; the worker's calls; and, if it waits for its slice, after a rehearsal,
    the last ones. `source` is the socket by which its slice comes, `herd` whose it is.
    """

    clone: tuple[Twice, tuple[object, ...], ctypes.c_int]
    first: Ready
    signals: tuple[int, ...]
    fork: Twice | None
    left: Ready
    worker: Ready
    seeds: tuple[Callable[[], None], ...]
    waits: bool
    last: Ready
    source: int
    herd: int


class Courses:
    """The courses of a fork server's cells, which with `have_homes` are cloned by a process that stands in their user and network namespace already (`doorstep.py`). `end_at` is for tests (`faults.py`)."""

    def __init__(self, seals: Seals, *, end_at: str, have_homes: bool = False) -> None:
        self._have_homes = have_homes
        self._of_two, self._of_one = seals, seals_of_one(seals)
        self._is_alone = False
        self._first_end, self._worker_end = (step_of(who, end_at) for who in ("first", "worker"))
        self._fresh = Fresh((), Needed.EVERYTHING)
        self._kept: dict[Key, Course] = {}

    def renew(self, fresh: Fresh, *, entry_reaps: bool) -> None:
        """Forget all of them: what is loaded has changed, and so has what is to be undone. Cells are of one process where the entry reaps, and nothing that was registered needs a fork."""
        self._fresh = fresh
        self._is_alone = entry_reaps and fresh.needed is Needed.NOTHING and thread_id_address() != 0
        self._kept.clear()

    def known(self, key: Key) -> Course | None:
        """Return the course that was made under this key, if there is one."""
        return self._kept.get(key)

    def make(self, key: Key, fork: Fork, handed: Handed) -> Course:
        """Return what this cell does, with these descriptors of the fork server's. Raises OSError."""
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        course = self._kept[key] = self._made(fork, handed)
        # It lives as long as we do, and no collection in a cell is to look at it (`ForkServer`).
        gc.freeze()
        return course

    def _made(self, fork: Fork, handed: Handed) -> Course:
        fresh, is_alone = self._fresh, self._is_alone
        seals = self._of_one if is_alone else self._of_two
        outfit = (*CHANNELS, SEAT) if fork.waits else CHANNELS
        kept = (*STANDARD, LINK, *outfit)
        [free] = lowest_free(kept)
        trees = trees_of(fork.targets, fork.kinds, handed.trees)
        mask = own_mask()
        rooms = Rooms(trees, fork.links, fork.writable, fork.folder, fork.scratch_bytes, mask)
        files = [tree.target for tree in trees if not tree.holds]
        closed = sealing(seals, fork.writable, files, kept=kept, free=free)
        first = [*closing_off(rooms, seals, free=free, is_home=self._have_homes), *closed]
        sealed = encode("sealed", Sealed(in_force(seals)))
        calls = (
            [
                *_arriving(handed, outfit),
                *_in_steps(first, self._first_end),
                *_settling(fork.folder, free),
            ],
            () if is_alone else being_left(),
            _in_steps(binding_worker(is_alone=is_alone), self._worker_end),
            _in_steps(
                [(19, _saying(sealed, WAITING if is_alone else NO_SIGNALS))], self._worker_end
            ),
        )
        before, left, worker, last = packed(map(ready, calls))
        return Course(
            self._cloning(fork, handed, is_alone=is_alone),
            before,
            fresh.signals,
            None if is_alone else forking(fresh.needed),
            left,
            worker,
            tuple(sys.modules[name].seed for name in SEEDED if name in sys.modules),
            fork.waits,
            last,
            SEAT if fork.waits else LINK,
            fork.herd,
        )

    def _cloning(
        self, fork: Fork, handed: Handed, *, is_alone: bool
    ) -> tuple[Twice, tuple[object, ...], ctypes.c_int]:
        flags = NAMESPACES | (CLONE_INTO_CGROUP if fork.born_in else 0)
        exit_signal = int(signal.SIGCHLD)
        if self._have_homes:  # a sibling: it ends with the signal of who clones it
            flags = flags & ~(CLONE_NEWUSER | CLONE_NEWNET) | CLONE_PARENT
            exit_signal = 0
        elif self._of_two.network != NO_NETWORK:
            flags &= ~CLONE_NEWNET
        thread_id_at = thread_id_address() if is_alone else 0
        return cloning(
            flags, cgroup=handed.group, exit_signal=exit_signal, thread_id_at=thread_id_at
        )


def being_left() -> list[Call]:
    """Return what a first process does when it has forked the worker."""
    init.hear(LINK, signals=0)
    return [*closing("leave the worker's descriptors", (LINK,)), *init.beginning(free=0)]


def being_alone(link: int, kept: Iterable[int]) -> list[Call]:
    """Return the calls that put the cell's socket where no descriptor of a slice will be, and close everything else that came by the fork but the standard three and these."""
    says = "leave the others' descriptors"
    moved = called(says, "dup3", link, LINK, os.O_CLOEXEC, wanted=LINK)
    return [moved, *closing(says, (*STANDARD, LINK, *kept))]


def taking_outfit(places: Sequence[int], *, taken: Iterable[int]) -> list[Call]:
    """Return the calls that wait for `go` and put what comes with it to these places, in a process that has the `taken` descriptors."""
    says, count = "take the channels", len(places)
    came = lowest_free(taken, count=count)
    calls = receiving(says, LINK, encode("go", Go(), descriptors=count), came)
    for descriptor, place in zip(came, places, strict=True):
        calls.append(called(says, "dup3", descriptor, place, os.O_CLOEXEC, wanted=place))
        calls.append(called(says, "close", descriptor))
    return calls


def _arriving(handed: Handed, outfit: Sequence[int]) -> list[Call]:
    """Return what a first process does until it has its ids; of step 12 it is what can be done before."""
    says = "join the cgroups"
    return [
        *(called(says, "write", door, b"0", 1, wanted=1) for door in handed.doors),
        *privileges.dropping_bounding_set(),
        *being_alone(handed.link, handed.trees),
        *taking_outfit(outfit, taken=(*STANDARD, LINK, *handed.trees)),
    ]


def _settling(folder: str, free: int) -> list[Call]:
    """Return what a first process does when it is sealed, and whose worker is to have it so."""
    return [
        *privileges.showing_powerless(free),
        called(folder, "chdir", os.fsencode(folder)),
        *placing_channels(CHANNELS, free=free),
    ]


def _saying(sealed: bytes, blocked: Buffer) -> list[Call]:
    """Return what a worker does last: it says what is in force, and lets all signals in but for these."""
    said = called("say so", "send", LINK, sealed, len(sealed), 0, wanted=len(sealed))
    return [said, masking(blocked)]


def _in_steps(deeds: Deeds, end_at: int) -> Iterator[Call]:
    """Yield the calls of these steps, before one of which the process ends, if that is wanted."""
    for step, calls in deeds:
        if step == end_at:
            yield Call("end", end, (step,), 0, 0, ())
        for call in calls:
            yield call._replace(step=step)
