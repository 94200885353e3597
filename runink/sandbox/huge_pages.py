"""What malloc holds of a fork server, gathered in huge pages: one of them is one entry for the kernel to copy to a cell, and to clear away with it, where small ones are 512.

Arrow alone leaves 7 MB there of which a cell touches next to nothing.  Where a copy writes into a huge page it gets that small page of its own, as before.  What Python's own allocator holds
stays as it is: nearly every part of it is touched by each cell.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from typing import Final

HUGE_BYTES: Final = 2 << 20  # of x86-64, and of others whose small pages are of 4 KiB
RESIDENT_PERCENT_MIN: Final = (
    75  # of a huge page: what is not there yet is memory that nobody has asked for
)
_PAGES: Final = HUGE_BYTES // mmap.PAGESIZE
_COLLAPSE: Final = 25  # MADV_COLLAPSE of linux/mman.h, from Linux 6.1 on
_HEAP: Final = "[heap]"  # as the kernel names it
_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


def gather() -> int:
    """Gather this process's heap in huge pages as far as the kernel does that, and return how many there are. Nothing depends on it."""
    try:
        heap = _heap()
    except OSError:
        return 0
    return sum(map(_is_gathered, _whole(heap)))


def _heap() -> range:
    """Return the addresses that malloc has from the kernel in one piece."""
    with open("/proc/self/maps", encoding="utf-8") as maps:  # noqa: PTH123 - pathlib is 2 MB that a fork server does not need
        for line in maps:
            if line.rstrip().endswith(_HEAP):
                first, _, last = line.partition(" ")[0].partition("-")
                return range(int(first, 16), int(last, 16))
    return range(0)


def _whole(addresses: range) -> Iterator[int]:
    """Yield where a huge page can be that holds only of these."""
    first = -(-addresses.start // HUGE_BYTES) * HUGE_BYTES
    yield from range(first, addresses.stop - HUGE_BYTES + 1, HUGE_BYTES)


def _is_gathered(address: int) -> bool:
    there = ctypes.create_string_buffer(_PAGES)
    if _libc.mincore(address, HUGE_BYTES, there):
        return False
    resident = sum(page & 1 for page in there.raw)
    if resident * 100 < RESIDENT_PERCENT_MIN * _PAGES:
        return False
    return not _libc.madvise(address, HUGE_BYTES, _COLLAPSE)
