"""Work of the same kind, done at once: tasks, and small pieces that block.

`Together` is for what blocks: what comes while others are under way goes to a thread as one with all that waits by then.

To hand work to a thread and to hear that it is done costs more than a line of a log does, and a turn of the loop each way, which is long where many slices print.  There is no task
for it: whoever finds nothing under way hands over what waits, and when that is done the next of those who have come meanwhile does.  Where many come for little each, they can be had to
wait for each other for a moment, too (`gather_s`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from runink.actors.offload import Offload, Outcome
from runink.loops import Bell, now_s

CALLS_MAX: Final = 64  # of one portion


@dataclass(eq=False, slots=True)
class _Call:
    """A call that waits. Its bell rings when it is done, or, without an outcome, when it is its caller's turn to hand over what waits."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    bell: Bell = field(default_factory=Bell)
    outcome: Outcome | None = None

    def do(self) -> None:
        try:
            self.outcome = Outcome(self.function(*self.args), None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            self.outcome = Outcome(None, error)


class Together:
    """An Offload whose calls come one after the other, in the order in which they were made. `offload` is where they are done, `gather_s` says how long after a portion the next one is at the soonest, if that is not full."""

    def __init__(self, offload: Offload, *, gather_s: Callable[[], float] = lambda: 0.0) -> None:
        self._offload = offload
        self._gather_s = gather_s
        self._waiting: list[_Call] = []
        self._is_busy = False
        self._begun_s = float("-inf")  # the last portion
        self._hurried = Bell()

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run the function; a cancelled caller waits for its end."""
        call = _Call(function, args)
        self._waiting.append(call)
        if len(self._waiting) >= CALLS_MAX:
            self.hurry()
        with anyio.CancelScope(shield=True):
            if self._is_busy:
                await call.bell.wait()
            if call.outcome is None:
                await self._hand_over()
        assert call.outcome is not None
        if call.outcome.error is not None:
            raise call.outcome.error
        return call.outcome.value

    def hurry(self) -> None:
        """Let what waits, or comes next, wait for no more."""
        self._hurried.ring()

    async def _hand_over(self) -> None:
        """Have the first of what waits done, ours among it, and let the next who waits go on."""
        self._is_busy = True
        wait_s = self._begun_s + self._gather_s() - now_s()
        if wait_s > 0:
            await self._hurried.wait_within(wait_s)
        self._begun_s = now_s()
        portion, self._waiting = self._waiting[:CALLS_MAX], self._waiting[CALLS_MAX:]
        try:
            await self._offload(_do_all, portion)
        except BaseException as error:  # noqa: BLE001 - no thread could be had: each caller raises it
            for one in portion:
                one.outcome = one.outcome or Outcome(None, error)
        finally:
            for one in portion:
                one.bell.ring()
            self._is_busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].bell.ring()


async def all_of(calls: Sequence[Callable[[], Coroutine[Any, Any, object]]]) -> None:
    """Await them all at once; one alone in no task of its own, which costs more than what it does."""
    if len(calls) > 1:
        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(call)
    elif calls:
        await calls[0]()


def _do_all(calls: list[_Call]) -> None:
    for one in calls:
        one.do()
