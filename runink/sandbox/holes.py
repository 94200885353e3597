"""The holes in a fork server's memory, filled before it is copied.

What Python makes, its own allocator puts where something was freed, first into pages that are nearly full.  In a copy each such page has to be copied for an object or two.  Where there
are no holes, objects come one beside the other into pages that nobody has written to, which the kernel need not copy.

For each of its sizes the allocator has pools of pages of its own, whose first page says what is free in the others, and so is written to for each object.  Fillers of that size are made until they come one
behind the other, as they do in pages that are new, and on until the next pool has begun: then the first objects of a copy are in the page that it has to write to anyhow.
"""

from __future__ import annotations

from typing import Final

_STEP: Final = 16  # from one size of the allocator to the next (ALIGNMENT of obmalloc.c)
_LARGEST: Final = 512  # what is larger is malloc's (SMALL_REQUEST_THRESHOLD)
_POOL_BYTES: Final = 16 << 10  # of one size (POOL_SIZE)
_FILLERS_BYTES_MAX: Final = (
    1 << 20
)  # of one size; where these are never in a row, another allocator is in use
_BARE: Final = b"".__sizeof__()


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
