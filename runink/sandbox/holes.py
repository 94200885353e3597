"""The holes in a fork server's memory, filled before it is copied.

What Python makes, its own allocator puts where something was freed, first into pages that are nearly full.  In a copy each such page has to be copied for an object or two.  Where there
are no holes, objects come one beside the other into pages that nobody has written to, which the kernel need not copy.

For each of its sizes the allocator has pools of pages of its own, whose first page says what is free in the others, and so is written to for each object.  Fillers of that size are made until they come one
behind the other, as they do in pages that are new, and on until the next pool has begun: then the first objects of a copy are in the page that it has to write to anyhow.

What is larger, and what C asks for, malloc puts into holes of its own, of which it writes to the one that it takes, to its neighbours and to what leads to it.  Behind the last of them is memory that has no holes.
"""

from __future__ import annotations

import ctypes
from typing import Final

_STEP: Final = 16  # from one size of the allocator to the next (ALIGNMENT of obmalloc.c)
_LARGEST: Final = 512  # what is larger is malloc's (SMALL_REQUEST_THRESHOLD)
_POOL_BYTES: Final = 16 << 10  # of one size (POOL_SIZE)
_FILLERS_BYTES_MAX: Final = (
    1 << 20
)  # of one size; where these are never in a row, another allocator is in use
_BARE: Final = b"".__sizeof__()


_LARGER: Final = tuple(1 << bits for bits in range(16, 10, -1))  # of malloc's, the largest first
_LARGEST_KEPT: Final = 1032  # of each size up to this malloc keeps a few that were freed (tcache)
_HEAD_BYTES: Final = 8  # of malloc's, before each
_IN_ROW: Final = 4  # so many that come one behind the other are no chance
_HEAP_BYTES_MAX: Final = 4 << 20  # where they never do, another allocator is in use
_libc: Final = ctypes.PyDLL(None)
_libc.malloc.restype = ctypes.c_size_t
_libc.malloc.argtypes = _libc.free.argtypes = (ctypes.c_size_t,)


def fill_heap() -> int:
    """Fill the holes in malloc's heap for as long as this process lives, and return how many bytes were asked for. Nothing depends on it."""
    malloc = _libc.malloc
    filled = 0
    for size in (*_LARGER, *range(_LARGEST_KEPT, _STEP, -_STEP)):
        distance = -(-(size + _HEAD_BYTES) // _STEP) * _STEP
        row = [malloc(size)]
        while len(row) < _IN_ROW and filled < _HEAP_BYTES_MAX:
            place = malloc(size)
            row = [*row, place] if place == row[-1] + distance else [place]
            filled += distance
        if size > _LARGEST_KEPT:
            for place in row:  # behind the last hole: it is one memory with what follows
                _libc.free(place)
    return filled


def fill() -> list[object]:
    """Fill the holes and return what they are filled with, to be kept for as long as it shall help. Nothing depends on it."""
    fillers: list[object] = []
    for size in range(_BARE // _STEP * _STEP + _STEP, _LARGEST + 1, _STEP):
        in_row, last, is_new = 0, 0, False  # is_new: the pool of the last was empty before
        for _ in range(_FILLERS_BYTES_MAX // size):
            filler = bytes(size - _BARE)
            in_row = in_row + 1 if id(filler) == last + size else 0
            last = id(filler)
            fillers.append(filler)
            if is_new and not in_row:
                break
            is_new = in_row * size >= _POOL_BYTES // 2
    return fillers
