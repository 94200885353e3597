"""Ends of processes in the middle of a launch, for tests of what is left then.  `--end-at WHO:STEP` of the spawner asks for one; nothing else does.

    who        ends as it comes to the step (`isolation.STEPS`)
    spawner    1 to 6
    zygote     4; with 5 it has cloned, and has told nobody
    first      7 to 17
    worker     18, 19
    launcher   5, 9, 12: what becomes bubblewrap, where that closes slices off; those of the first process begin with 11 there

Where nobody asks, a step costs the comparison of two numbers (`isolation.Progress`), and in a cell nothing: the end is one of its calls, or is not (`courses.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import NoReturn


def step_of(who: str, end_at: str) -> int:
    """Return the step at which a process of this kind is to end, 0 for none. Raises ValueError for what is no number."""
    named, _, step = end_at.partition(":")
    return int(step) if named == who else 0


def end(step: int) -> NoReturn:
    """End as by SIGKILL: nothing is closed, told or cleared in order. The spawner's log says so, but for a worker, which has its slice's."""
    with contextlib.suppress(OSError):
        os.write(2, f"ends at step {step}, as it was asked to\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)
    # Here only the first process of a namespace arrives: the kernel keeps its own signals from it. To everybody else this looks the same.
    os._exit(128 + signal.SIGKILL)
