"""Entries that are their cells' first processes (`sandbox/first.py`), as the slices of runs are: what `sandbox_entries` and `escape_probes` have."""

from __future__ import annotations

import escape_probes
import sandbox_entries
from runink.sandbox.first import let_in

REAPS = True


def main(job: bytes, control: int, descriptors: list[int]) -> int | None:
    let_in()
    return sandbox_entries.main(job, control, descriptors)


def probes(job: bytes, control: int, descriptors: list[int]) -> int | None:
    let_in()
    return escape_probes.main(job, control, descriptors)
