"""What bubblewrap starts: an interpreter that becomes the two processes of a cell, and goes their way (`cell.py`) from where bubblewrap's ends.

    python -m runink.sandbox.bubblewrap_inside          what it has to know comes by descriptor INSIDE

Bubblewrap has made the namespaces and the root, has given up every power, and has put the filter in force.  What is left of the steps of `isolation.py`: the limits of the process, the
lifeline, Landlock, descriptors, not to be looked into.  What bubblewrap was to do of the others is checked.  Only then the entry is imported.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
import traceback
from typing import NoReturn

from runink.capabilities import BUBBLEWRAP, ISOLATION, PARTIAL
from runink.sandbox.birth import (
    EXIT_EXCEPTION,
    Entry,
    Fresh,
    be_fresh,
    be_unborn,
    found_fresh,
    keep_environment,
    open_standard_streams,
    placing_channels,
    reseed,
    tell,
)
from runink.sandbox.bubblewrap_launcher import INSIDE, Inside
from runink.sandbox.calls import closing, next_free, perform, ready
from runink.sandbox.cell import await_slice, be_first
from runink.sandbox.codec import encode
from runink.sandbox.courses import CHANNELS, LINK, STANDARD, being_left
from runink.sandbox.faults import step_of
from runink.sandbox.inner_protocol import Sealed
from runink.sandbox.isolation import HOST_NAME, Progress, Seals, binding_worker, do, seal
from runink.sandbox.kernel import NO_SIGNALS, content_of, mask
from runink.sandbox.log import describe
from runink.sandbox.namespaces import Handlers
from runink.sandbox.syscalls import PR_GET_SECCOMP, SECCOMP_MODE_FILTER, prctl


def main() -> None:
    """Be a cell. All signals are blocked, but for that of a child's end, which bubblewrap lets through. Never returns."""
    try:
        inside = Inside(**json.loads(content_of(INSIDE)))
        os.close(INSIDE)
        sys.path += inside.path
        open_standard_streams()
        fresh = found_fresh(Handlers())
        _be_closed(inside, fresh)
    except BaseException:  # noqa: BLE001 - the last frame of the process
        traceback.print_exc()  # which is what the spawner is told
    finally:
        os._exit(EXIT_EXCEPTION)


def _be_closed(inside: Inside, fresh: Fresh) -> NoReturn:
    kept = (*STANDARD, LINK, *CHANNELS)
    perform(closing("leave the others' descriptors", kept))
    os.set_inheritable(LINK, False)
    progress = Progress(step_of("first", inside.end_at))
    # No filter: it is in force. No groups: bubblewrap's namespace has no power over them.
    seals = Seals(None, inside.landlock, has_groups=False, network=inside.network)
    try:
        _check_bubblewrap(inside)
        report = seal(seals, inside.writable, progress, kept=kept)
        worker = os.fork()
        if worker:
            be_first(worker, ready(being_left()))
        progress = Progress(step_of("worker", inside.end_at))
        do(binding_worker(is_alone=False), progress)
        entry = _imported(inside.entry)
        keep_environment(is_isolated=True)
        os.chdir(inside.folder)
        be_fresh(fresh.signals)
        reseed()
        perform(placing_channels(CHANNELS, free=next_free()))
        progress.at(19)
    except Exception as error:  # noqa: BLE001 - it is the answer to the launch: there is nobody else to tell
        be_unborn(LINK, progress.step, error)
    tell(LINK, encode("sealed", Sealed(report | _in_force(inside))))
    mask(NO_SIGNALS)
    await_slice(LINK, entry)


def _check_bubblewrap(inside: Inside) -> None:
    """Look whether it is as it should be where only a look tells. Raises OSError."""
    if os.getpid() != 1:
        raise OSError(errno.EPERM, "bubblewrap has made no pid namespace")
    if os.uname().nodename.encode() != HOST_NAME:
        raise OSError(errno.EPERM, "bubblewrap has not named the host")
    if inside.is_filtered and prctl(PR_GET_SECCOMP) != SECCOMP_MODE_FILTER:
        raise OSError(errno.EPERM, "bubblewrap has put no filter of system calls in force")


def _imported(name: str) -> Entry:
    module, _, function = name.partition(":")
    try:
        entry: Entry = getattr(importlib.import_module(module), function)
    except Exception as error:
        traceback.print_exc()
        raise ImportError(f"{name}: {describe(error)}") from error
    return entry


def _in_force(inside: Inside) -> dict[str, str]:
    """Return what is otherwise than in a cell, or put in force by somebody else."""
    return {
        ISOLATION: BUBBLEWRAP if inside.is_filtered else PARTIAL,
        "seccomp": "on" if inside.is_filtered else "off",
        "ids": "the herd's" if inside.has_ranges else "shared",
        BUBBLEWRAP: inside.version,
    }


if __name__ == "__main__":
    main()
