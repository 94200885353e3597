"""What slices run whose leftovers are counted: what `sandbox_entries` has, one that takes memory and one that nothing but SIGKILL ends."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

import sandbox_entries

MIB = 1 << 20


def _take_memory() -> NoReturn:
    held = []
    while True:  # ended by the kernel
        held.append(bytearray(b"x" * MIB))


def main(job: bytes, control: int, descriptors: list[int]) -> int | None:
    if job == b"hog":
        _take_memory()
    if job == b"parent of a hog":
        if not os.fork():
            os.read(control, 1)
            _take_memory()
        os.write(1, b"grown\n")
        signal.pause()  # nothing of its own ends it
    if job == b"stubborn":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        sandbox_entries.do_tree("", control, descriptors)
        return None
    return sandbox_entries.main(job, control, descriptors)
