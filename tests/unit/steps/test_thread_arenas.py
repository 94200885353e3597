"""Threads of a slice that has one core share malloc's heap; with more they have arenas. In a process of its own: what malloc has begun with holds for all of it."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

ASKING: Final = """
import ctypes, threading
import pyarrow as pa
from runink.steps.chain import limit_threads

libc = ctypes.PyDLL(None)
libc.malloc.restype = ctypes.c_size_t
pa.set_cpu_count(7)
limit_threads({before})
limit_threads({cpus})
places = [libc.malloc(100)]
thread = threading.Thread(target=lambda: places.append(libc.malloc(100)))
thread.start()
thread.join()
heap = next(line for line in open("/proc/self/maps") if "[heap]" in line)
first, last = (int(word, 16) for word in heap.split()[0].split("-"))
print(*(first <= place < last for place in places))
"""


@pytest.mark.parametrize(("before", "cpus"), [(2, 1), (1, 2), (2, 4)])
def test_a_thread_has_memory_of_its_own_only_where_there_is_a_core_for_it(before, cpus):
    code = ASKING.format(before=before, cpus=cpus)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", str(cpus == 1)]
