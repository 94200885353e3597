"""What spawner, fork server and cells say to each other: messages as those of `protocol.py`, between processes of the sandbox itself.

    spawner -> fork server                               fork server -> spawner
    root      trees                                      ready        -       at the start and behind each preload
    fork      the cell's socket, cgroups, trees          forked       pidfd   the cell's first process, which waits
    preload   -                                          unforked     -       it could not be made, `text` says why
                                                         ended        -       wait4's status and use of resources

    spawner -> cell                                      cell -> spawner
    go        control, stdout, stderr, seat              sealed       -       what is in force; from here on nothing foreign gets out
    assign    data pipes, job                            started      -       right before the step's first instruction
                                                         unborn       -       a step of the way there failed; the cell ends
                                                         worked       -       how the worker ended, by the cell's own first process

Rules
- A **cell** is an isolated place for one slice: two processes in namespaces of their own, of which the first reaps and the second, the worker, becomes
  the slice; or the worker alone, where its entry reaps (`cell.py`).  A cell may wait for its slice (the warm pool), and serves no second one.
- `go` says that it has its ids and cgroups.  One that waits has a seat besides, by which the agent itself assigns its slice; else `assign` comes where `go` came.
"""

from __future__ import annotations

from typing import NamedTuple

from runink.sandbox.codec import FLAG, BadMessage, Check, pairs, text, texts, whole
from runink.sandbox.kernel import WAITED_BYTES, waited
from runink.sandbox.protocol import (
    BINDS_MAX,
    BYTES,
    ENVIRONMENT,
    FIELDS,
    PATH,
    PID,
    PROBLEM,
    SEALED,
    SECONDS,
    SWITCHES,
    UNCOUNTED,
    ForkServerReady,
    Preload,
)

WORKED = b"worked\0\0"
TREES_MAX = 2 * BINDS_MAX  # what a slice asked for, and what every slice is shown


class Root(NamedTuple):
    """What the fork server lives in, before it loads anything foreign. `kinds` is a letter for each target (`mounts.py`), `user` is the id that it gives itself; 0 keeps what it has.

    With a `network` it stays in the namespace that it was started in, and so do its cells.
    """

    targets: list[str]
    kinds: str
    links: list[list[str]]
    user: int
    network: str


class Fork(NamedTuple):
    """A cell to be made; without `isolated` it is a plain process. `targets` say where its trees belong, `kinds` what each is (`mounts.py`), `writable` which of them it may change, `folder` is its working directory and there in any
    case. One that `waits` has no slice yet. Those of one `herd`, which goes by a number (`Walls.number_of`), live in the same homes (`homes.py`).

    Its descriptors: the cell's socket, `doors` files by which it joins its cgroups itself, with `born_in` the cgroup that it is cloned into, the trees.
    """

    cell: int
    isolated: bool
    doors: int
    born_in: bool
    targets: list[str]
    kinds: str
    writable: list[str]
    links: list[list[str]]
    folder: str
    scratch_bytes: int
    waits: bool
    herd: int


class Forked(NamedTuple):
    """`alone` is 1 for a cell of one process, the worker, whose end is the fork server's to tell; else 0."""

    cell: int
    pid: int
    alone: int


class Unforked(NamedTuple):
    cell: int
    text: str


class Go(NamedTuple):
    pass


class Assign(NamedTuple):
    """What is added to the environment. An assignment that adds nothing has an empty body: reading another takes as long as all else until the first instruction."""

    environment: dict[str, str]


class Sealed(NamedTuple):
    report: dict[str, str]


class Started(NamedTuple):
    pass


class Unborn(NamedTuple):
    """`step` is the number of the step that failed (`isolation.STEPS`), 0 where it was none of these."""

    step: int
    text: str


class Worked(NamedTuple):
    """The fields but for the pid are those of `kernel.Reaped`, as are those of `Ended`. It is sent as the kernel has written it, behind WORKED: the first process does nothing else with it."""

    status: int
    utime_s: float
    stime_s: float
    maxrss_bytes: int
    voluntary_switches: int
    involuntary_switches: int


class Ended(NamedTuple):
    pid: int
    status: int
    utime_s: float
    stime_s: float
    maxrss_bytes: int
    voluntary_switches: int = UNCOUNTED
    involuntary_switches: int = UNCOUNTED


TO_FORK_SERVER: dict[str, type] = {"root": Root, "fork": Fork, "preload": Preload}
FROM_FORK_SERVER: dict[str, type] = {
    "forked": Forked,
    "unforked": Unforked,
    "ended": Ended,
    "ready": ForkServerReady,
}
TO_CELL: dict[str, type] = {"go": Go, "assign": Assign}
FROM_CELL: dict[str, type] = {
    "sealed": Sealed,
    "started": Started,
    "unborn": Unborn,
}

_CELL = whole(1, 1 << 53)
_TARGETS = texts(TREES_MAX, 4096)
_KINDS = text(TREES_MAX, empty=True)
_LINKS = pairs(TREES_MAX, 4096)
_HOW_ENDED = {
    "status": whole(0, 1 << 31),
    "utime_s": SECONDS,
    "stime_s": SECONDS,
    "maxrss_bytes": BYTES,
    "voluntary_switches": SWITCHES,
    "involuntary_switches": SWITCHES,
}

INNER_FIELDS: dict[type, dict[str, Check]] = {
    Preload: FIELDS[Preload],
    ForkServerReady: FIELDS[ForkServerReady],
    Root: {
        "targets": _TARGETS,
        "kinds": _KINDS,
        "links": _LINKS,
        "user": whole(0, 1 << 32),
        "network": text(20),
    },
    Fork: {
        "cell": _CELL,
        "isolated": FLAG,
        "doors": whole(0, 64),
        "born_in": FLAG,
        "targets": _TARGETS,
        "kinds": _KINDS,
        "writable": _TARGETS,
        "links": _LINKS,
        "folder": PATH,
        "scratch_bytes": BYTES,
        "waits": FLAG,
        "herd": whole(0, 1 << 30),
    },
    Forked: {"cell": _CELL, "pid": PID, "alone": whole(0, 1)},
    Unforked: {"cell": _CELL, "text": PROBLEM},
    Go: {},
    Assign: {"environment": ENVIRONMENT},
    Sealed: {"report": SEALED},
    Started: {},
    Unborn: {"step": whole(0, 100), "text": PROBLEM},
    Ended: {"pid": PID, **_HOW_ENDED},
}


def worked(body: bytes) -> Worked | None:
    """Return the message in a packet that says how a worker ended; nothing if it is another. Raises BadMessage where that cannot be."""
    if not body.startswith(WORKED):
        return None
    if len(body) != len(WORKED) + WAITED_BYTES:
        raise BadMessage("invalid_message", f"worked: {len(body)} bytes")
    found = Worked(*waited(body[len(WORKED) :]))
    for (name, check), value in zip(_HOW_ENDED.items(), found, strict=True):
        if not check.holds(value):
            raise BadMessage("invalid_message", f"worked: {name} is not {check.says}")
    return found
