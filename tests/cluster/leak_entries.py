"""What slices run whose leftovers are counted: what `sandbox_entries` has, and one that takes memory."""

from __future__ import annotations

import sandbox_entries

MIB = 1 << 20


def main(job: bytes, control: int, descriptors: list[int]) -> int | None:
    if job == b"hog":
        held = []
        while True:  # ended by the kernel
            held.append(bytearray(b"x" * MIB))
    return sandbox_entries.main(job, control, descriptors)
