"""What a fork server's libraries hold that is written once, as they are loaded, and only read from then on: it is moved into sealed memory, so that a cell need not be given it before it looks there.

A library's tables of addresses are filled in by the loader, which then forbids to write there (RELRO).  So they are memory of the process's own, in 50 pieces with 800 pages for what slices need.  For memory of its own the kernel
copies each entry and makes a record of each piece when it copies a process, and clears all of that away at its end; but a small slice looks at a few of these pages only.  For a piece of a file it copies no entries: they are made when
they are asked for.

What lies there and where stays as it is, only to be read; whoever is allowed to write there again, as the loader may be, gets pages of its own, as before.  Nobody can change what is sealed, nor has a descriptor of it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from typing import Final

from runink.sandbox.kernel import sealed

_READ_ONLY: Final = "r--p"
_OWN: Final = "Anonymous:"  # how much of a piece is no file's any more, in /proc/self/smaps
_MAP_FIXED: Final = 0x10  # of linux/mman.h: in the place of what is there
_libc: Final = ctypes.PyDLL(None, use_errno=True)
_mmap: Final = _libc.mmap
_mmap.argtypes = (
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int),
    ctypes.c_ssize_t,
)
_mmap.restype = ctypes.c_void_p


def share_relocated() -> int:
    """Move it, and return how many pieces there were. Nothing depends on it: where memory cannot be had, the rest stays where it is."""
    try:
        pieces = list(_pieces())
        memory = sealed(b"".join(ctypes.string_at(one.start, len(one)) for one in pieces))
    except OSError:
        return 0
    try:
        return _moved(pieces, memory)
    finally:
        os.close(memory)


def _pieces() -> Iterator[range]:
    """Yield the addresses of what files were mapped to, nobody may write to, and yet differs from the file."""
    found, is_asked_for = range(0), False
    with open("/proc/self/smaps", encoding="utf-8") as smaps:  # noqa: PTH123 - pathlib is 2 MB that a fork server does not need
        for line in smaps:
            words = line.split()
            if not words[0].endswith(":"):
                first, _, last = words[0].partition("-")
                found = range(int(first, 16), int(last, 16))
                is_asked_for = words[1] == _READ_ONLY and words[5:6] != [] and words[5][0] == "/"
            elif is_asked_for and words[0] == _OWN and words[1] != "0":
                yield found


def _moved(pieces: list[range], memory: int) -> int:
    count = offset = 0
    flags = mmap.MAP_PRIVATE | _MAP_FIXED
    for piece in pieces:
        if _mmap(piece.start, len(piece), mmap.PROT_READ, flags, memory, offset) != piece.start:
            break
        count, offset = count + 1, offset + len(piece)
    return count
