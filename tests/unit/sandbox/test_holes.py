"""What is made in a copy of the fork server lies together."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

SEEN: Final = """
import gc, mmap
from runink.sandbox.holes import _POOL_BYTES as POOL_BYTES
from runink.sandbox.holes import fill

def pages():
    made = [bytes(size) for size in (20, 60, 100, 200, 400) for _ in range(8)]
    return {id(one) // mmap.PAGESIZE for one in made}

def beginnings(pages):
    return sum(page * mmap.PAGESIZE % POOL_BYTES == 0 for page in pages)

gc.disable()
scattered = [bytes(size) for _ in range(2_000) for size in (20, 60, 100, 200, 400)]
del scattered[::16], scattered[::17], scattered[::19]
before = pages()
kept = fill()
after = pages()
print(len(before), len(after), beginnings(after), sum(map(len, kept)))
"""


def test_where_holes_are_filled_what_is_made_next_lies_in_few_pages() -> None:
    done = subprocess.run([sys.executable, "-c", SEEN], check=True, capture_output=True, text=True)
    before, after, beginnings, filled_bytes = map(int, done.stdout.split())
    assert after <= 5 < before, "one for each size"
    assert beginnings == after, "and these are written to in any case"
    assert filled_bytes < 4 << 20


HEAP: Final = """
import ctypes
from runink.sandbox.holes import fill_heap

libc = ctypes.PyDLL(None)
libc.malloc.restype = ctypes.c_size_t
libc.malloc.argtypes = (ctypes.c_size_t,)
libc.free.argtypes = (ctypes.c_size_t,)

made = [libc.malloc(size) for _ in range(300) for size in (24, 200, 700, 3000)]
for place in made[::3]:
    libc.free(place)
filled = fill_heap()
places = [libc.malloc(size) for size in (24, 200, 700, 3000) for _ in range(4)]
print(filled, min(places) > max(made))
"""


def test_where_the_heaps_holes_are_filled_what_is_asked_for_next_lies_behind_them() -> None:
    done = subprocess.run([sys.executable, "-c", HEAP], check=True, capture_output=True, text=True)
    filled, are_behind = done.stdout.split()
    assert int(filled) < 4 << 20
    assert are_behind == "True"
