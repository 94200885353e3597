"""A cell: the two processes that wait for a slice, and what they do until it comes.

    first process                           worker
    joins the cgroups
    waits for `go`: its ids, and the slice's channels
    closes itself off (`isolation.py` 7 to 17)
    puts the channels in their places
    forks the worker                        closed off as it is; a session and a lifeline of its own (18)
    reaps and forwards (`init.py`)          says `sealed`
                                            waits for `assign`, and becomes the slice (`birth.py`)

Where nothing needs a fork of C's or Python's own, and the entry reaps (`first.py`), the first process is the worker itself: it forks nobody, and goes on with what the worker does.
A cell without isolation is the worker alone.
One that waits gets its assignment by the seat that came with `go`, and ends when that is shut.

What an isolated cell does until it is sealed was written down before it was cloned (`courses.py`).
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from typing import NoReturn

from runink.sandbox.birth import (
    EXIT_EXCEPTION,
    Entry,
    Fresh,
    be_fresh,
    be_slice,
    be_unborn,
    placing_channels,
    rehearse,
    reseed,
    tell,
)
from runink.sandbox.calls import Ready, StepFailed, lowest_free, perform, run
from runink.sandbox.codec import encode
from runink.sandbox.courses import CHANNELS, LINK, STANDARD, Course, being_alone, taking_outfit
from runink.sandbox.inbox import arrived
from runink.sandbox.init import be_init
from runink.sandbox.inner_protocol import Sealed
from runink.sandbox.isolation import WORKER
from runink.sandbox.kernel import NO_SIGNALS, become_subreaper, mask, name_process
from runink.sandbox.namespaces import answered


def be_plain(link: int, doors: Sequence[int], folder: str, fresh: Fresh, entry: Entry) -> NoReturn:
    """Be a cell without walls: a session of its own, and adopter of its own orphans, so that they stay attributable to it. Signals are blocked. Never returns."""
    try:
        for door in doors:
            os.write(door, b"0")
        os.setsid()
        become_subreaper()
        name_process(WORKER)
        perform(being_alone(link, ()))
        try:
            perform(taking_outfit(CHANNELS, taken=(*STANDARD, LINK)))
            os.chdir(folder)
            be_fresh(fresh.signals)
            reseed()
            [free] = lowest_free((*STANDARD, LINK, *CHANNELS))
            perform(placing_channels(CHANNELS, free=free))
        except OSError as error:
            be_unborn(LINK, 0, error)
        tell(LINK, encode("sealed", Sealed({"isolation": "none"})))
        mask(NO_SIGNALS)
        await_slice(LINK, entry)
    except BaseException:  # noqa: BLE001 - the last frame of the process
        traceback.print_exc()  # into the spawner's log; that the cell has ended is told by whoever reaps it
    finally:
        os._exit(EXIT_EXCEPTION)


def be_cell(course: Course, entry: Entry) -> NoReturn:
    """Be the cell. Signals are blocked. Never returns."""
    _, first, signals, fork, left, worker, seeds, waits, last, source, _ = course
    try:
        try:
            run(first)
            if signals:  # what was loaded has set some
                be_fresh(signals)
            if fork is not None:
                pid = fork()
                if pid:
                    be_first(answered(pid), left)
            run(worker)
            for seed in seeds:
                seed()
            if waits:
                rehearse(entry)
            run(last)
        except StepFailed as failed:
            be_unborn(LINK, failed.step, OSError(failed.errno, failed.strerror))
        except Exception as error:  # noqa: BLE001 - it is the answer to the launch: there is nobody else to tell
            be_unborn(LINK, 0, error)
        await_slice(source, entry)
    except BaseException:  # noqa: BLE001 - the last frame of the process
        traceback.print_exc()  # as above
    finally:
        os._exit(EXIT_EXCEPTION)


def be_first(worker: int, left: Ready) -> NoReturn:
    """Be the first process, which has forked the worker; `left` is what it does first (`being_left`)."""
    run(left)
    be_init(worker, LINK, signals=0)


def await_slice(source: int, entry: Entry) -> NoReturn:
    """Wait for the assignment from the socket `source`, and begin; that is said on the cell's own."""
    found = arrived(source)
    if found is None:
        os._exit(EXIT_EXCEPTION)
    be_slice(found, link=LINK, entry=entry)
