"""What malloc holds of a fork server is gathered in huge pages. In a process of its own: it is about the whole heap of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PIECE_BYTES = 100_000  # of malloc's heap: from 128 KiB on it asks the kernel for each
PIECES = 100
HAS_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage").exists()
HUGE_PAGES_MIN = 4 * HAS_HUGE_PAGES  # of the 10 MB that they are
GATHERING = """
import ctypes
from pathlib import Path
from runink.sandbox.huge_pages import HUGE_BYTES, gather

def there(field):
    text = Path("/proc/self/smaps").read_text()
    heap = text[text.index("[heap]"):]
    return int(heap[heap.index(field):].split()[1]) << 10

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
pieces = [libc.malloc({size}) for _ in range({count})]
if {is_filled}:
    for number, piece in enumerate(pieces):
        ctypes.memset(piece, number, {size})
before = there("Rss:")
print(gather(), there("AnonHugePages:") // HUGE_BYTES, there("Rss:") - before)
if {is_filled}:
    for number, piece in enumerate(pieces):
        assert ctypes.string_at(piece, {size}) == bytes([number]) * {size}
"""


def gathered(*, is_filled: bool) -> tuple[int, int, int]:
    """Return how many huge pages a process says that its heap is in, how many the kernel says, and how many bytes came to it thereby."""
    code = GATHERING.format(size=PIECE_BYTES, count=PIECES, is_filled=is_filled)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, there, added = map(int, done.stdout.split())
    return said, there, added


def test_a_heap_is_gathered_in_the_huge_pages_that_it_fills_and_holds_what_it_held():
    said, there, added = gathered(is_filled=True)
    assert said == there
    assert said >= HUGE_PAGES_MIN
    assert added < PIECES * PIECE_BYTES / 4


def test_memory_that_nobody_has_touched_is_not_made_by_gathering():
    _, there, added = gathered(is_filled=False)
    assert there <= 1  # where Python has put what it has loaded
    assert added < PIECES * PIECE_BYTES / 4
