"""The desk of a member: takes what people and agents ask of the run controller, and hands it on to the one that acts, here or at another member.

While nobody acts, requests wait for HAND_S at most; those that were under way when a member was lost are asked again at the next one.  That does no harm:
all of them may be asked twice (`run_requests.py`).  What is only told is lost where nobody takes it: how far slices are is told again in a second.

A desk hands on to desks that are `inner`: these take what is for a run controller of their own member, and refuse the rest.  Two members that each believe
the other to act would else pass it to and fro.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import anyio

from runink.actors.in_hand import InHand
from runink.actors.office import Seat
from runink.clients.fenced import DEPOSED
from runink.clients.run_requests import DeskRequest
from runink.errors import Unavailable
from runink.runtime.actor import Actor, Context, Later, Request
from runink.runtime.ref import Ref

HAND_S: Final = 75.0  # longer than anybody asks to wait for news of a run
PAUSE_S: Final = 0.05
IN_HAND_MAX: Final = 4096  # requests that wait for their answer
NOBODY: Final = "no_control"
_PASSING: Final = frozenset({DEPOSED, NOBODY, "link_lost", "outcome_unknown", "stopping"})


class Desk(Actor[DeskRequest]):
    """Two for a member: one for everybody, and an `inner` one for the desks of other members."""

    def __init__(self, seat: Seat, *, is_inner: bool = False) -> None:
        self._seat = seat
        self._is_inner = is_inner
        self._in_hand = InHand(IN_HAND_MAX, "too much is asked of the control plane at once")
        self._context: Context[DeskRequest]

    async def started(self, context: Context[DeskRequest]) -> None:
        self._context = context

    async def receive(self, message: DeskRequest) -> Later | None:
        if not isinstance(message, Request):
            self._tell(message)
            return None
        return self._in_hand.take(self._context, partial(self._answer, message))

    def _runs(self) -> Ref[DeskRequest] | None:
        return self._seat.runs if self._seat.is_here or not self._is_inner else None

    def _tell(self, message: DeskRequest) -> None:
        runs = self._runs()
        try:
            if runs is not None:
                runs.tell_nowait(message)
        except Unavailable:
            return  # it is told again

    async def _answer(self, request: Request[Any]) -> Any:
        until_s = anyio.current_time() + HAND_S
        while True:  # ends with an answer, or with the time
            runs, changed = self._runs(), self._seat.changed
            left_s = until_s - anyio.current_time()
            try:
                if runs is None:
                    raise nobody()
                return await runs.ask(request, within=left_s)
            except Unavailable as error:
                if self._is_inner or error.code not in _PASSING or left_s <= PAUSE_S:
                    raise
            # That a member is lost is known to the office a moment later than to who asks it.
            with anyio.move_on_after(left_s if runs is None else PAUSE_S):
                await changed.wait()


def nobody() -> Unavailable:
    """Return the error of who asks while no member acts."""
    return Unavailable("nobody acts for the cluster at the moment", code=NOBODY, hint="try again")
