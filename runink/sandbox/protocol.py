"""What agent, spawner and fork server say to each other.  How it is written as bytes: `codec.py`.

    agent -> spawner   descriptors           answer
    hello              -                     welcome; any other message before it is refused (`hello_first`)
    launch             job, then data pipes  launched, or refused
    signal             -                     done: sent to the slice's first process
    kill               -                     done: its end comes as `exited`; repeating it does no harm
    list               -                     a `listed` for each slice but those that were killed and released (an `exited` behind it if it
                                             has ended), then done
    release            -                     done: the record is forgotten and its descriptors are closed, as soon as the slice has ended
    preload            -                     done, when the fork server has imported the modules (a `fork_server_ready` before it)
    shutdown           -                     done; then an `exited` for each slice, then the connection closes

    spawner -> agent   descriptors                      comes
    welcome            -                                as answer to the newest `hello`; older connections are closed
    launched, listed   control, stdout, stderr, pidfd   as answer
    done, refused      -                                as answer
    exited             -                                when the slice's whole process tree is gone
    fork_server_ready  -                                when launches need not wait any more
    fork_server_lost   -                                when it died; slices go on, a new one is being started

    spawner -> fork server                               fork server -> spawner
    fork      job, control, stdout, stderr, data pipes   started      pidfd   by the new slice itself, before its first instruction
    preload   -                                          unborn       -       it could not be made, `text` says why
                                                         ended        -       wait4's status and use of resources
                                                         ready        -       at the start and behind each preload

Rules
- A job travels as a sealed memfd (`kernel.sealed`): of any size, and nobody changes it under the reader.
- A slice's name is the agent's to choose and is unique among the records that were not released: an agent that lets
  two attempts overlap puts the attempt into the name.
- A launch belongs to the connection that asked.  If that is gone before the slice has started, the slice is killed and forgotten; one
  that has started is found again by `list`, with working descriptors.
- Only one connection is the agent's: the newest that said `hello`.
"""

from __future__ import annotations

from typing import NamedTuple

from runink.sandbox.codec import FLAG, Check, mapping, number, text, texts, whole

VERSION = 1
SLICES_MAX = 4096  # records; each holds four descriptors of the spawner
DATA_DESCRIPTORS_MAX = 240  # a slice's pipes; the kernel's 253 less the five that we add
ENVIRONMENT_MAX = 200  # names
WALL_TIME_S_MAX = 366 * 86_400.0
MODULES_MAX = 64
PRELOADABLE = ("numpy", "pyarrow", "polars", "duckdb", "msgspec")  # and what lies beneath them
CUT_MAX = 4000  # characters of a problem that is told; the log has all of it


class Hello(NamedTuple):
    version: int
    agent: str


class Launch(NamedTuple):
    """`wall_time_s` 0 is no limit. `environment` is added to the few names that every slice has (`birth.py`)."""

    slice: str
    attempt: int
    cwd: str
    environment: dict[str, str]
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
    version: int
    pid: int
    ready: bool


class Launched(NamedTuple):
    slice: str
    attempt: int
    pid: int


class Listed(NamedTuple):
    slice: str
    attempt: int
    pid: int
    ended: bool


class Done(NamedTuple):
    pass


class Refused(NamedTuple):
    code: str
    text: str


class Exited(NamedTuple):
    """`cause` is exited, signalled, killed (asked for), timeout, or lost: it ended, but nobody knows how. `code` is -1 after a signal
    (and where it is lost), `signal` 0 after an exit.

    The processor times are those of the first process and of what it waited for. `survivors` counts processes that even SIGKILL did not
    end within the spawner's patience (in the kernel, waiting for a device); it is 0 but for a broken disk.
    """

    slice: str
    attempt: int
    cause: str
    code: int
    signal: int
    utime_s: float
    stime_s: float
    maxrss_bytes: int
    wall_s: float
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


class Fork(NamedTuple):
    slice: str
    cwd: str
    environment: dict[str, str]


class Started(NamedTuple):
    slice: str
    pid: int


class Unborn(NamedTuple):
    slice: str
    code: str
    text: str


class Ended(NamedTuple):
    slice: str
    pid: int
    status: int
    utime_s: float
    stime_s: float
    maxrss_bytes: int


TO_SPAWNER: dict[str, type] = {
    "hello": Hello,
    "launch": Launch,
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
    "listed": Listed,
    "done": Done,
    "refused": Refused,
    "exited": Exited,
    "fork_server_ready": ForkServerReady,
    "fork_server_lost": ForkServerLost,
}
TO_FORK_SERVER: dict[str, type] = {"fork": Fork, "preload": Preload}
FROM_FORK_SERVER: dict[str, type] = {
    "started": Started,
    "unborn": Unborn,
    "ended": Ended,
    "ready": ForkServerReady,
}

_SLICE = text(200)  # herd, run (26), slice and attempt
_PID = whole(1, 1 << 22)
_ATTEMPT = whole(0, 1 << 31)
_SECONDS = number(0, 1e12)
_BYTES = whole(0, 1 << 62)
_PATH = text(4096)
_ENVIRONMENT = mapping(ENVIRONMENT_MAX, 16 << 10)
_MODULES = texts(MODULES_MAX, 200)
_PROBLEM = text(CUT_MAX, empty=True)

FIELDS: dict[type, dict[str, Check]] = {
    Hello: {"version": whole(1, 1000), "agent": text(200)},
    Launch: {
        "slice": _SLICE,
        "attempt": _ATTEMPT,
        "cwd": _PATH,
        "environment": _ENVIRONMENT,
        "wall_time_s": number(0, WALL_TIME_S_MAX),
    },
    Signal: {"slice": _SLICE, "signal": whole(1, 64)},
    Kill: {"slice": _SLICE},
    List: {},
    Release: {"slice": _SLICE},
    Preload: {"modules": _MODULES},
    Shutdown: {},
    Welcome: {"version": whole(1, 1000), "pid": _PID, "ready": FLAG},
    Launched: {"slice": _SLICE, "attempt": _ATTEMPT, "pid": _PID},
    Listed: {"slice": _SLICE, "attempt": _ATTEMPT, "pid": _PID, "ended": FLAG},
    Done: {},
    Refused: {"code": text(100), "text": _PROBLEM},
    Exited: {
        "slice": _SLICE,
        "attempt": _ATTEMPT,
        "cause": text(20),
        "code": whole(-1, 255),
        "signal": whole(0, 64),
        "utime_s": _SECONDS,
        "stime_s": _SECONDS,
        "maxrss_bytes": _BYTES,
        "wall_s": _SECONDS,
        "survivors": whole(0, 1 << 22),
    },
    ForkServerReady: {
        "pid": _PID,
        "modules": _MODULES,
        "failed": _MODULES,
        "threads": whole(0, 10_000),
        "problem": _PROBLEM,
    },
    ForkServerLost: {"text": _PROBLEM},
    Fork: {"slice": _SLICE, "cwd": _PATH, "environment": _ENVIRONMENT},
    Started: {"slice": _SLICE, "pid": _PID},
    Unborn: {"slice": _SLICE, "code": text(100), "text": _PROBLEM},
    Ended: {
        "slice": _SLICE,
        "pid": _PID,
        "status": whole(0, 1 << 31),
        "utime_s": _SECONDS,
        "stime_s": _SECONDS,
        "maxrss_bytes": _BYTES,
    },
}


def is_preloadable(module: str) -> bool:
    """Say whether the fork server may be asked to import the module."""
    return module.split(".", maxsplit=1)[0] in PRELOADABLE and all(
        part.isidentifier() for part in module.split(".")
    )
