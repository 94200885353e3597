"""What a worker does before it has a slice, and from its assignment to the step's first instruction.

    before    signals as a fresh process has them; of the environment the names of ENVIRONMENT_KEPT, as the spawner has them (the fork server has no others), but for TMPDIR in a cell; the working
              directory; seeds.
              One that is to wait goes the way once for nothing (`rehearse`): what is touched then need not be copied when it counts
              Then its channels: 0 /dev/null, 1 and 2 the log pipes, 3 the control socket; nothing else is open below PARKED
    1         gets its data pipes and the job, which so are 4... in the order of the launch, and takes the job out of its sealed memory
    2         adds what the launch adds to the environment
    3         says `started`, closes everything else, and calls the entry

The entry is called as `entry(job, control, descriptors)`, the latter two as numbers.  What it returns is the exit code (nothing is 0), an exception is a traceback on stderr and
code 70 (EX_SOFTWARE).  The process ends by `_exit`: output is flushed, exit handlers are not run, threads are not waited for.

Most of a launch's time is page faults: each object that is touched here is copied, so what can be done once is done before the fork
(`open_standard_streams`, and what `fork_server.py` does with the environment and for the case that memory runs out), what is called is looked up there, and what is handed over
arrives in memory that is there already (`inbox.py`).  Why: `calls.py`.

The file mode mask stays that of the agent, because outputs belong to the person who runs it.  The hash seed is the fork server's; `random` and numpy are seeded anew.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # private; the functions of signal itself look each number's name up
import fcntl
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, NoReturn, TextIO

from runink.sandbox import codec
from runink.sandbox.arguments import ENVIRONMENT_KEPT
from runink.sandbox.calls import Call, called
from runink.sandbox.inbox import FIRST as FIRST_DATA
from runink.sandbox.inbox import Arrived, arrived, empty
from runink.sandbox.inner_protocol import (
    INNER_FIELDS,
    TO_CELL,
    Assign,
    Started,
    Unborn,
)
from runink.sandbox.kernel import content_of, sealed
from runink.sandbox.log import describe
from runink.sandbox.namespaces import Handlers, Needed
from runink.sandbox.packets import Outbox, Packet, understood

EXIT_EXCEPTION = 70
CONTROL = 3
PARKED = 512  # above every place that a descriptor may get; below every usual limit on descriptors
PYTHON_IGNORES = {signal.SIGPIPE, signal.SIGXFSZ}  # as any Python program does
OWN_TMP: Final = "/tmp"  # noqa: S108 - it is in the slice's own memory
REAPS: Final = "REAPS"  # true in the module of an entry that is its cell's first process, where it can be (`first.py`)
PREPARE: Final = "prepare_copies"  # in the module of an entry: what a fork server calls once, when it has loaded that
EVERY: Final = 1 << 30  # more than any process may have open

Entry = Callable[[bytes, int, list[int]], int | None]


class Fresh(NamedTuple):
    """What a fork server has beside what a fresh process has, for its cells to undo: signals that are not as by default.

    `needed` is what of all that was registered to be done around a fork has to be.
    """

    signals: tuple[int, ...]
    needed: Needed


# Looked up beforehand (`calls.py`).
_set_signal, _DEFAULT = _signal.signal, _signal.SIG_DFL
_write, _close_range, _exit = os.write, os.closerange, os._exit
_gc_enable = gc.enable
STARTED: Final = codec.encode("started", Started())


def be_slice(arrived: Arrived, *, link: int, entry: Entry) -> NoReturn:
    """Turn this process into the slice; that is said at the link. Never returns."""
    code = EXIT_EXCEPTION
    try:
        body, count, whole = arrived
        job = _prepare(body, count, whole=whole, link=link)
        data_count = count - 1
        _close_range(FIRST_DATA + data_count, EVERY)
        code = run_entry(entry, job, data_count)
    except BaseException:  # noqa: BLE001 - the last frame of the process: whatever it is, it ends here
        traceback.print_exc()
    finally:
        _flush()
        _exit(code)


def open_standard_streams() -> None:
    """Give this process, and so every slice that comes of it, Python's streams over descriptors 0 to 2, whatever these will be."""
    sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115 - lives as long as the process
    sys.stdout = _log_stream(1)
    sys.stderr = _log_stream(2)


def _log_stream(place: int) -> TextIO:
    return open(place, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def run_entry(entry: Entry, job: bytes, data_count: int) -> int:
    """Call the entry, and return the exit code that a Python program would have ended with."""
    _gc_enable()
    try:
        code = entry(job, CONTROL, list(range(FIRST_DATA, FIRST_DATA + data_count)))
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)  # noqa: T201 - what Python itself does with it
            return 1
        code = leaving.code
    return int(code or 0) & 0xFF


def _prepare(body: bytes, count: int, *, whole: bool, link: int) -> bytes:
    """Do steps 1 to 3 up to the word, and return the job."""
    try:
        if body or not whole:
            packet = Packet(body, list(range(FIRST_DATA, FIRST_DATA + count)), whole)
            os.environ.update(understood(packet, TO_CELL, INNER_FIELDS).message.environment)
        job = content_of(FIRST_DATA + count - 1)
    except Exception as error:  # noqa: BLE001 - it is the answer to the launch: there is nobody else to tell
        be_unborn(link, 0, error)
    tell(link, STARTED)
    return job


def tell(link: int, word: bytes) -> None:
    """Say it to the spawner, or end where that is gone: nobody would ever end this slice."""
    try:
        _write(link, word)
    except OSError:
        os._exit(EXIT_EXCEPTION)


def be_unborn(link: int, step: int, error: Exception) -> NoReturn:
    """Say what went wrong at the step (`isolation.STEPS`, 0 where it was none), and end."""
    tell(link, codec.encode("unborn", Unborn(step, describe(error))))
    os._exit(EXIT_EXCEPTION)


def placing_channels(parked: Sequence[int], *, free: int) -> list[Call]:
    """Return the calls that put control, stdout and stderr from where they are parked to their places, and nothing where a program reads from; `free` is the lowest descriptor that is."""
    assert free >= CONTROL  # the standard three are open, and no word would be said of it
    control, stdout, stderr = parked
    says = "put the channels in their places"
    calls = [
        called(says, "open", b"/dev/null", os.O_RDONLY | os.O_CLOEXEC, wanted=free),
        called(says, "dup2", free, 0),
        called(says, "close", free),
    ]
    # Programs that a step starts inherit the standard three; a pipe held open by a stray child would never end.
    for place, descriptor in ((1, stdout), (2, stderr), (CONTROL, control)):
        flags = 0 if place < CONTROL else os.O_CLOEXEC
        calls.append(called(says, "dup3", descriptor, place, flags, wanted=place))
        calls.append(called(says, "close", descriptor))
    return calls


def keep_environment(*, is_isolated: bool) -> None:
    """Have of this process's environment what slices have of it. Libraries that were imported may have added to it."""
    for name in [name for name in os.environ if name not in ENVIRONMENT_KEPT]:
        del os.environ[name]
    if is_isolated and "TMPDIR" in os.environ:
        os.environ["TMPDIR"] = OWN_TMP  # the node's is not there


def found_fresh(handlers: Handlers) -> Fresh:
    """Return what is to be undone in cells of this process, which wants no signals itself. Python ignores some, and a slice has it so."""
    signal.set_wakeup_fd(-1)
    changed = (
        number
        for number in signal.valid_signals() - PYTHON_IGNORES
        if signal.getsignal(number) not in (signal.SIG_DFL, None)
    )
    return Fresh(tuple(map(int, changed)), needed=handlers.needed(sys.modules))


def be_fresh(signals: Iterable[int]) -> None:
    """Have these signals as a fresh process has them."""
    for number in signals:
        _set_signal(number, _DEFAULT)


def reseed() -> None:
    """Draw other random numbers than the fork server's other slices, where anything that draws them was loaded."""
    found = sys.modules.get("random")
    if found is not None:
        found.seed()
    found = sys.modules.get("numpy.random")
    if found is not None:
        found.seed()


def rehearse(entry: Entry) -> None:
    """Go the way from an assignment to the entry's first instruction once, with nothing at its end. Raises OSError."""
    # What counts its references is written to when it is held: so are the pages of what this does not call.
    ahead = (be_slice, be_slice.__code__, entry, getattr(entry, "__code__", None))
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here, there, memory = map(_parked, (*(one.detach() for one in pair), sealed(b"rehearsal")))
    with socket.socket(fileno=here) as sender:
        Outbox(sender, TO_CELL).send(Assign({"REHEARSAL": ""}), descriptors=[memory] * 2)
        empty()
        found = arrived(there)
        assert found is not None
        body, handed, whole = found
        job = _prepare(body, handed, whole=whole, link=there)
        empty()
    del os.environ["REHEARSAL"]
    _close_range(FIRST_DATA, FIRST_DATA + handed)
    os.close(there)
    os.close(memory)
    run_entry(_do_nothing, job, len(ahead))
    gc.disable()


def _parked(descriptor: int) -> int:
    """Move a descriptor out of the way: the lowest numbers are those of what arrives. Raises OSError."""
    parked = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, PARKED)
    os.close(descriptor)
    return parked


def _do_nothing(job: bytes, control: int, descriptors: list[int]) -> None:
    pass


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S112 - whoever read the log may be gone, and the entry may have closed or replaced the stream
            continue
