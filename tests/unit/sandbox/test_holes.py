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
