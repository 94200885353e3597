"""What libraries have had relocated is moved into sealed memory. In a process of its own: it is about the whole memory of one."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

MOVING: Final = """
import ctypes, mmap, os
from pathlib import Path
import _ctypes, _ssl
from runink.sandbox.relocated import _pieces, share_relocated

def mappings():
    found = (line.split() for line in Path("/proc/self/maps").read_text().splitlines())
    return {words[0]: words[1] for words in found}

pieces, before = list(_pieces()), mappings()
held = [ctypes.string_at(piece.start, len(piece)) for piece in pieces]
opened = os.listdir("/proc/self/fd")
count = share_relocated()
assert count == len(pieces)
assert not list(_pieces())
assert held == [ctypes.string_at(piece.start, len(piece)) for piece in pieces]
assert opened == os.listdir("/proc/self/fd")
after = mappings()
assert {f"{one.start:08x}-{one.stop:08x}" for one in pieces} <= set(before) & set(after)
assert all(after[name] == kind for name, kind in before.items() if name in after)

# Who may write there again has a page of its own.
libc = ctypes.CDLL(None)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
last = pieces[-1]
if not os.fork():
    assert not libc.mprotect(last.start, len(last), mmap.PROT_READ | mmap.PROT_WRITE)
    ctypes.memset(last.start, 255, len(last))
    os._exit(0)
os.wait()
assert ctypes.string_at(last.start, len(last)) == held[-1]
_ssl.RAND_bytes(8)
print(count)
"""


def test_what_libraries_have_had_relocated_is_the_same_at_the_same_place_and_no_memory_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", MOVING], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3, "each library has such a piece"


def test_what_cannot_be_moved_stays():
    code = """
import resource
from runink.sandbox.relocated import _pieces, share_relocated
before = list(_pieces())
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
assert before and not share_relocated() and list(_pieces()) == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
