"""What Arrow does at its first use, done when this is imported: the fork server imports it, and every slice is a fork of that.

The first array whose type Arrow finds out by itself has it look for what else could be a value: it imports `dateutil`.  A slice that did this by itself spent 10 ms of a
processor on it, twice what the rest of a small slice takes; and what it had imported was memory of its own.  No thread is started by it and no descriptor opened, so that a
fork of it is sound.  pandas, which Arrow looks for as well, is left to slices that need it: it is large, and its parts cannot be loaded twice.

Arrow keeps nothing of these modules and asks for them by their names each time.  So they can be let go again in a slice whose own packages have them in another version
(`environments/activating.py`): SPARE are their names.
"""

from __future__ import annotations

import sys
from typing import Final

import pyarrow as pa

PANDAS: Final = "pandas"


def _first_array() -> frozenset[str]:
    """Make an array, and return the names of the modules that were imported for it, but for Python's own."""
    before = frozenset(sys.modules)
    if PANDAS in before:
        pa.array([0])
    else:
        sys.modules[PANDAS] = None  # type: ignore[assignment] # what has Python say that there is none
        try:
            pa.array([0])
        finally:
            del sys.modules[PANDAS]
    new = frozenset(sys.modules) - before
    return frozenset(name for name in new if name.partition(".")[0] not in sys.stdlib_module_names)


SPARE: Final = _first_array()
