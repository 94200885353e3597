"""What a step may know of the run that it is part of: `runink.context()`.

    from runink import context, step

    @step(each="record")
    def stamped(row):
        return {**row, "day": context().parameters["day"], "run": context().run}

It is imported by users' files and must stay light: no Arrow, no engine.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final

from runink.documents import SliceContext
from runink.errors import Refused

# The state of a process: it runs one slice and ends. A ContextVar would not be seen in the threads of the strands.
_GIVEN: Final[list[SliceContext]] = []


def context() -> SliceContext:
    """Return what this slice's steps may know. Raises Refused (`no_context`) outside of a slice."""
    if not _GIVEN:
        raise Refused(
            "runink.context() tells a step about its run, and nothing runs here",
            code="no_context",
            hint="call it within a step's function; a test of a step gives it one: with runink.testing.contexts.running_as(…):",
        )
    return _GIVEN[-1]


class giving:  # noqa: N801 - it is used as a function: contextlib's are four calls where this is two, and each slice pays for them
    """Answer `context()` with this for as long as the block, in all threads."""

    def __init__(self, given: SliceContext) -> None:
        self._given = given

    def __enter__(self) -> None:
        _GIVEN.append(self._given)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _GIVEN.pop()
