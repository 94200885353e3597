"""How often Python looks for garbage in a process that stays.

Nearly all that a cluster's process drops is freed at once, by counting references.  What is left are cycles, which are found by walking over objects: the newest at every
700 more, by Python's default, and now and then all there are, most of which are modules and what these keep, for as long as the process lives.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# More objects that can be in cycles, until those are looked for: some megabytes. Walks were a tenth of what the process of a cluster spent on a step, and are a hundredth.
NEW_OBJECTS: Final = 10_000


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Look for garbage seldom for as long as the block, and never among what is there when it begins."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
