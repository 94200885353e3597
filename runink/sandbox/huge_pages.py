"""What a fork server holds, gathered in huge pages: one of them is one entry for the kernel to copy to a cell, and to clear away with it, where small ones are 512.

Where a copy writes into a huge page it gets that small page of its own, as before.  The others of it are small pages to that copy from then on, but ones that the kernel knows to belong together:
it counts them all at once when it clears them away.

malloc has its memory in one piece, of which Arrow alone takes 7 MB.  Python's own allocator takes its memory by the arena, and libraries that are loaded meanwhile would come between: so its arenas are taken
beforehand, in a row (`row_up`).
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
_HELD_BYTES_MAX: Final = 256 << 20  # in a piece: what is larger is room, hardly any of it used
_WRITABLE: Final = "rw-p"
_NAMES: Final[list[list[str]]] = [[], ["[heap]"]]  # as the kernel names what is no file's
ARENAS: Final = 13  # of Python's allocator: what all that slices need takes there
_ARENA_BYTES: Final = 1 << 20  # ARENA_SIZE of obmalloc.c
_OBJECT_BYTES: Final = 512 - b"".__sizeof__()  # the largest that has a place there
_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


def row_up() -> list[object]:
    """Have Python's allocator take its arenas one behind the other, and return what keeps them for what is loaded from now on."""
    kept: dict[int, object] = {}
    others = []
    while len(kept) < ARENAS:  # ends, because each object has a place of its own
        taken = bytes(_OBJECT_BYTES)
        if kept.setdefault(id(taken) // _ARENA_BYTES, taken) is not taken:
            others.append(taken)
    return list(kept.values())


def gather() -> int:
    """Gather in huge pages what malloc and Python's allocator hold, as far as the kernel does that, and return how many there are. Nothing depends on it."""
    try:
        held = _held()
    except OSError:
        return 0
    return sum(_is_gathered(address) for addresses in held for address in _whole(addresses))


def _held() -> list[range]:
    """Return the addresses that allocators have from the kernel: what can be written to and is no file's."""
    with open("/proc/self/maps", encoding="utf-8") as maps:  # noqa: PTH123 - pathlib is 2 MB that a fork server does not need
        lines = [line.split() for line in maps]
    pieces = [words[0] for words in lines if words[1] == _WRITABLE and words[5:] in _NAMES]
    return [found for found in map(_addresses, pieces) if len(found) <= _HELD_BYTES_MAX]


def _addresses(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first, 16), int(last, 16))


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
