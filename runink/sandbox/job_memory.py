"""Memory that hands a job to its slice: written once, then sealed.  The next one's is made ahead, because to make it takes a tenth of a warm launch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runink.errors import Overloaded
from runink.sandbox.kernel import open_memory, seal


class JobMemory:
    """One for an agent, or for what else launches slices."""

    def __init__(self) -> None:
        self._spare = -1
        self._is_closed = False

    @contextmanager
    def holding(self, job: bytes) -> Iterator[int]:
        """Return a descriptor of memory with this job, for as long as the block. Raises Overloaded (`no_descriptors`)."""
        memory, self._spare = self._spare, -1
        try:
            if memory < 0:
                memory = open_memory()
            seal(memory, job)
        except OSError as error:
            _close(memory)
            text = f"there is no memory to hand over a job of {len(job):,} bytes: {error.strerror}"
            raise Overloaded(text, code="no_descriptors") from error
        try:
            yield memory
        finally:
            os.close(memory)
            self._make_ahead()

    def close(self) -> None:
        """Let go of what was made ahead."""
        self._is_closed = True
        _close(self._spare)
        self._spare = -1

    def _make_ahead(self) -> None:
        if self._spare < 0 and not self._is_closed:
            with suppress(OSError):  # whoever needs one is told
                self._spare = open_memory()


def _close(memory: int) -> None:
    if memory >= 0:
        os.close(memory)
