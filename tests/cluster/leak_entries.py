"""What slices run whose leftovers are counted: what `sandbox_entries` has, one that takes memory and one that nothing but SIGKILL ends."""

from __future__ import annotations

import signal

import sandbox_entries

MIB = 1 << 20


def main(job: bytes, control: int, descriptors: list[int]) -> int | None:
    if job == b"hog":
        held = []
        while True:  # ended by the kernel
            held.append(bytearray(b"x" * MIB))
    if job == b"stubborn":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        sandbox_entries.do_tree("", control, descriptors)
        return None
    return sandbox_entries.main(job, control, descriptors)
