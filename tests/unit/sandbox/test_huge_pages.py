"""What a fork server holds is gathered in huge pages. In a process of its own: it is about the whole memory of one."""

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
said = gather()
rollup = Path("/proc/self/smaps_rollup").read_text().split()
huge = int(rollup[rollup.index("AnonHugePages:") + 1]) << 10
print(said, huge // HUGE_BYTES, there("Rss:") - before)
if {is_filled}:
    for number, piece in enumerate(pieces):
        assert ctypes.string_at(piece, {size}) == bytes([number]) * {size}
"""


def gathered(*, is_filled: bool) -> tuple[int, int, int]:
    """Return how many huge pages a process says that it is in, how many the kernel says, and how many bytes came to its heap thereby."""
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


OBJECT_BYTES = 400
OBJECTS = 8_000  # 3 MB
ROW = """
from pathlib import Path
from runink.sandbox.huge_pages import HUGE_BYTES, gather, row_up

def held():
    return [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.split()[1:2] == ["rw-p"]]

def huge_at(address):
    within = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            first, last = (int(part, 16) for part in words[0].split("-"))
            within = first <= address < last
        elif within and words[0] == "AnonHugePages:":
            return (int(words[1]) << 10) // HUGE_BYTES

kept = row_up()
before = held()
made = [bytes({size}) for _ in range({count})]
print(sum(words not in before for words in held() if len(words) == 5))
gather()
print(huge_at(id(kept[-1])))
assert made == [bytes({size})] * {count}
"""


def test_what_is_loaded_later_comes_into_the_arenas_in_a_row_which_are_gathered():
    code = ROW.format(size=OBJECT_BYTES, count=OBJECTS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    added, huge = map(int, done.stdout.split())
    assert added == 0, "no arena was missing"
    assert huge >= HUGE_PAGES_MIN // 2, "less where the kernel has laid them between libraries"
