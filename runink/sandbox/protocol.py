"""What agent, spawner and fork server say to each other.  How it is written as bytes: `codec.py`.

    agent -> spawner   descriptors           answer
    hello              -                     welcome; any other message before it is refused (`hello_first`)
    launch             job, pipes, binds     launched, or refused
    hold               -                     done: the cell, and its herd, are held to these limits
    take               -                     begun, or refused: the agent gives the cell its assignment itself (`pool.py`)
    signal             -                     done: sent to the slice's first process
    kill               -                     done: its end comes as `exited`; repeating it does no harm
    list               -                     a `listed` for each slice but those that were killed and released (an `exited` behind it if it
                                             has ended), then done
    release            -                     done: the record is forgotten and its descriptors are closed, as soon as the slice has ended
    preload            -                     done, when the fork server has imported the modules (a `fork_server_ready` before it)
    shutdown           -                     done; then an `exited` for each slice, then the connection closes

    spawner -> agent   descriptors                      comes
    welcome            pidfd of the spawner             as answer to the newest `hello`; older connections are closed
    launched, listed   control, stdout, stderr, pidfd   as answer
    begun              -                                as answer
    done, refused      -                                as answer
    waiting            seat, control, stdout, stderr,   when a cell waits for a slice
                       pidfd
    withdrawn          -                                when one does not wait any more
    exited             -                                when the slice's whole process tree is gone
    fork_server_ready  -                                when launches need not wait any more
    fork_server_lost   -                                when it died; slices go on, a new one is being started

What spawner, fork server and cells say to each other: `inner_protocol.py`.

Rules
- A job travels as a sealed memfd (`kernel.sealed`): of any size, and nobody changes it under the reader.
- A slice's name is the agent's to choose and is unique among the records that were not released: an agent that lets
  two attempts overlap puts the attempt into the name.
- A launch belongs to the connection that asked.  If that is gone before the slice has started, the slice is killed and forgotten; one
  that has started is found again by `list`, with working descriptors.
- Only one connection is the agent's: the newest that said `hello`.
"""

from __future__ import annotations

import signal
from typing import NamedTuple

from runink.sandbox.codec import FLAG, Check, mapping, number, pairs, text, texts, whole

VERSION = 3
SLICES_MAX = 4096  # records; each holds up to nine descriptors of the spawner (`desk.py`)
DATA_DESCRIPTORS_MAX = 180  # a slice's pipes
BINDS_MAX = 64  # folders and files of the machine that a slice is shown; with job and pipes still less than the kernel's 253
COUNTED_BEFORE = "cgroup.before"  # in `sealed`: what its cgroup had counted for others before (`cgroup_spares.py`)
ISOLATION = "isolation"  # in `Launch.without`: a plain process will do
NOT_ADMITTED = "not_admitted"  # in a `refused` that answers nothing: the connection's end follows
NO_NETWORK = "none"  # in `Launch.network`
HOST_NETWORK = "host"
HERD_NETWORK = "egress"
READ_ONLY = "ro"
READ_WRITE = "rw"
ENVIRONMENT_MAX = 200  # names
WALL_TIME_S_MAX = 366 * 86_400.0
TOLD = signal.SIGUSR1  # by which the agent tells a slice that it is to give way, before it stops it
GRACE_S = 3.0  # from SIGTERM to the end by force, of a slice that is out of its wall time and of one that the agent stops
UNCOUNTED = -1  # of context switches: nobody knows how many there were
MODULES_MAX = 64
PRELOADABLE = ("numpy", "pyarrow", "polars", "duckdb", "msgspec")  # and what lies beneath them
CUT_MAX = 4000  # characters of a problem that is told; the log has all of it


class Hello(NamedTuple):
    version: int
    agent: str


class Launch(NamedTuple):
    """A slice to be started. The descriptors behind it: its job, its `pipes` data pipes, then one for each of `binds`.

    `wall_time_s` 0 is no limit. `environment` is added to the few names that every slice has (`birth.py`).  A bind is the absolute path of a folder or file and
    READ_ONLY or READ_WRITE; its descriptor (O_PATH) says which one was meant.  Limits that are 0 are none.
    `cpu_weight` is its part of the cores when others want them too, 0 for an ordinary one.  What the herd's slices may use together is put in force with each launch.  `without` names what of the
    isolation may be missing (`isolation.py`); where anything else is, the launch is refused.
    `network_policy` is what the herd's network reaches, as JSON (`networks.NetworkPolicy`).  `place` is the agent's number for everything that a cell is closed with, so that others may
    wait for later slices there; 0 where none shall.
    """

    slice: str
    attempt: int
    herd: str
    cwd: str
    environment: dict[str, str]
    wall_time_s: float
    pipes: int
    binds: list[list[str]]
    cpu_m: int
    memory_bytes: int
    processes: int
    scratch_bytes: int
    network: str
    network_policy: str
    without: list[str]
    cpu_weight: int = 0
    herd_cpu_m: int = 0
    herd_memory_bytes: int = 0
    io_bytes_per_s: int = 0
    place: int = 0


class Hold(NamedTuple):
    """Limits for a cell that waits, as in `Launch`."""

    cell: int
    cpu_m: int
    cpu_weight: int
    memory_bytes: int
    processes: int
    io_bytes_per_s: int
    herd_cpu_m: int
    herd_memory_bytes: int


class Take(NamedTuple):
    """A slice that was put on the seat of a cell that waits. Who begins and is not taken soon is ended."""

    slice: str
    attempt: int
    cell: int
    wall_time_s: float


class Signal(NamedTuple):
    slice: str
    signal: int


class Kill(NamedTuple):
    slice: str


class List(NamedTuple):
    pass


class Release(NamedTuple):
    slice: str


class Preload(NamedTuple):
    modules: list[str]


class Shutdown(NamedTuple):
    pass


class Welcome(NamedTuple):
    """Comes with a pidfd of the spawner: its numbers are not the agent's. `there` and `missing` are what it has found out about its machine (`capabilities.py`)."""

    version: int
    there: dict[str, str]
    missing: dict[str, str]


class Launched(NamedTuple):
    """`sealed` is what is in force for it (`isolation.py`)."""

    slice: str
    attempt: int
    sealed: dict[str, str]


class Begun(NamedTuple):
    pass


class Waiting(NamedTuple):
    """A closed cell, for the next slice at this place; `sealed` as in `Launched`, and the limits that it is held to as in `Launch`.

    Its descriptors: the seat, which takes the assignment (`inner_protocol.Assign`), and what comes with a `Launched`.
    """

    cell: int
    place: int
    sealed: dict[str, str]
    cpu_m: int
    cpu_weight: int
    memory_bytes: int
    processes: int
    io_bytes_per_s: int


class Withdrawn(NamedTuple):
    cell: int


class Listed(NamedTuple):
    slice: str
    attempt: int
    sealed: dict[str, str]
    ended: bool


class Done(NamedTuple):
    pass


class Refused(NamedTuple):
    code: str
    text: str


class Exited(NamedTuple):
    """`cause` is exited, signalled, killed (asked for), timeout, oom (memory was at its limit), or lost: it ended, but nobody knows how. `code` is -1
    after a signal (and where it is lost), `signal` 0 after an exit.

    Times and memory are those of all its processes where it had a cgroup that counts them, else of the worker and of what that waited for. `oom_kills` and
    `processes_refused` say how often a limit was met, `throttled_s` for how long it had to wait for its share of the cores. `survivors` counts processes that even SIGKILL did not
    end within the spawner's patience (in the kernel, waiting for a device); it is 0 but for a broken disk.

    No cgroup counts context switches, so these are always those of the worker and of what that waited for.  A worker that ends by force with its cell's
    first process is reaped by nobody: its context switches are UNCOUNTED, and without a cgroup times and memory are the first process's.
    `wall_time_s` is what the slice was allowed, as in `Launch`; one that is out of it is told to end, and ends within GRACE_S of that.
    """

    slice: str
    attempt: int
    cause: str
    code: int
    signal: int
    utime_s: float
    stime_s: float
    voluntary_switches: int
    involuntary_switches: int
    memory_bytes_max: int
    read_bytes: int
    written_bytes: int
    oom_kills: int
    processes_refused: int
    throttled_s: float
    wall_s: float
    wall_time_s: float
    survivors: int


class ForkServerReady(NamedTuple):
    """`failed` are modules that could not be imported, `threads` counts beside the main one, `problem` says why no slice can start."""

    pid: int
    modules: list[str]
    failed: list[str]
    threads: int
    problem: str


class ForkServerLost(NamedTuple):
    text: str


TO_SPAWNER: dict[str, type] = {
    "hello": Hello,
    "launch": Launch,
    "hold": Hold,
    "take": Take,
    "signal": Signal,
    "kill": Kill,
    "list": List,
    "release": Release,
    "preload": Preload,
    "shutdown": Shutdown,
}
TO_AGENT: dict[str, type] = {
    "welcome": Welcome,
    "launched": Launched,
    "begun": Begun,
    "waiting": Waiting,
    "withdrawn": Withdrawn,
    "listed": Listed,
    "done": Done,
    "refused": Refused,
    "exited": Exited,
    "fork_server_ready": ForkServerReady,
    "fork_server_lost": ForkServerLost,
}
SLICE_NAME = text(200)  # herd, run (26), slice and attempt
PID = whole(1, 1 << 22)
ATTEMPT = whole(0, 1 << 31)
SECONDS = number(0, 1e12)
BYTES = whole(0, 1 << 62)
SWITCHES = whole(UNCOUNTED, 1 << 62)
WALL_TIME = number(0, WALL_TIME_S_MAX)
PATH = text(4096)
NUMBER = whole(0, 1 << 53)  # of a place, or of a cell
CPU_M = whole(0, 1 << 31)
CPU_WEIGHT = whole(0, 10_000)
PROCESSES = whole(0, 1 << 22)
ENVIRONMENT = mapping(ENVIRONMENT_MAX, 16 << 10)
MODULES = texts(MODULES_MAX, 200)
PROBLEM = text(CUT_MAX, empty=True)
SEALED = mapping(64, 200)
FEATURES_TOLD = mapping(64, CUT_MAX)

FIELDS: dict[type, dict[str, Check]] = {
    Hello: {"version": whole(1, 1000), "agent": text(200)},
    Launch: {
        "slice": SLICE_NAME,
        "attempt": ATTEMPT,
        "herd": text(100),
        "cwd": PATH,
        "environment": ENVIRONMENT,
        "wall_time_s": WALL_TIME,
        "pipes": whole(0, DATA_DESCRIPTORS_MAX),
        "binds": pairs(BINDS_MAX, 4096),
        "cpu_m": CPU_M,
        "memory_bytes": BYTES,
        "processes": PROCESSES,
        "scratch_bytes": BYTES,
        "network": text(20),
        "network_policy": text(32 << 10, empty=True),
        "without": texts(32, 40),
        "cpu_weight": CPU_WEIGHT,
        "herd_cpu_m": CPU_M,
        "herd_memory_bytes": BYTES,
        "io_bytes_per_s": BYTES,
        "place": NUMBER,
    },
    Hold: {
        "cell": NUMBER,
        "cpu_m": CPU_M,
        "cpu_weight": CPU_WEIGHT,
        "memory_bytes": BYTES,
        "processes": PROCESSES,
        "io_bytes_per_s": BYTES,
        "herd_cpu_m": CPU_M,
        "herd_memory_bytes": BYTES,
    },
    Take: {
        "slice": SLICE_NAME,
        "attempt": ATTEMPT,
        "cell": NUMBER,
        "wall_time_s": WALL_TIME,
    },
    Signal: {"slice": SLICE_NAME, "signal": whole(1, 64)},
    Kill: {"slice": SLICE_NAME},
    List: {},
    Release: {"slice": SLICE_NAME},
    Preload: {"modules": MODULES},
    Shutdown: {},
    Welcome: {"version": whole(1, 1000), "there": FEATURES_TOLD, "missing": FEATURES_TOLD},
    Launched: {"slice": SLICE_NAME, "attempt": ATTEMPT, "sealed": SEALED},
    Begun: {},
    Waiting: {
        "cell": NUMBER,
        "place": NUMBER,
        "sealed": SEALED,
        "cpu_m": CPU_M,
        "cpu_weight": CPU_WEIGHT,
        "memory_bytes": BYTES,
        "processes": PROCESSES,
        "io_bytes_per_s": BYTES,
    },
    Withdrawn: {"cell": NUMBER},
    Listed: {"slice": SLICE_NAME, "attempt": ATTEMPT, "sealed": SEALED, "ended": FLAG},
    Done: {},
    Refused: {"code": text(100), "text": PROBLEM},
    Exited: {
        "slice": SLICE_NAME,
        "attempt": ATTEMPT,
        "cause": text(20),
        "code": whole(-1, 255),
        "signal": whole(0, 64),
        "utime_s": SECONDS,
        "stime_s": SECONDS,
        "voluntary_switches": SWITCHES,
        "involuntary_switches": SWITCHES,
        "memory_bytes_max": BYTES,
        "read_bytes": BYTES,
        "written_bytes": BYTES,
        "oom_kills": BYTES,
        "processes_refused": BYTES,
        "throttled_s": SECONDS,
        "wall_s": SECONDS,
        "wall_time_s": WALL_TIME,
        "survivors": whole(0, 1 << 22),
    },
    ForkServerReady: {
        "pid": PID,
        "modules": MODULES,
        "failed": MODULES,
        "threads": whole(0, 10_000),
        "problem": PROBLEM,
    },
    ForkServerLost: {"text": PROBLEM},
}


def is_preloadable(module: str) -> bool:
    """Say whether the fork server may be asked to import the module."""
    return module.split(".", maxsplit=1)[0] in PRELOADABLE and all(
        part.isidentifier() for part in module.split(".")
    )
