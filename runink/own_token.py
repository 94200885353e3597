"""The token of this process's slice, as its steps have it: `runink.context().token()`.

    first asked     it is asked for over the slice's link to its agent, and waited for
    asked again     the same, as long as RENEW_S of it are left; then another is asked for, and waited for
    it was refused  another is asked for, and waited for
    never asked     nothing happens: most slices speak with no API, and pay nothing

The state of a process: it runs one slice and ends. The text is kept here alone, in memory; a child of the process has no part in the link, and is refused.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable
from typing import Final, NamedTuple

from runink.errors import Refused

RENEW_S: Final = 300.0  # a third of its life: who has it, may use it for so long


class Given(NamedTuple):
    """A token, and for how long it is good yet, seconds."""

    text: str
    good_s: float

    def __repr__(self) -> str:
        return f"Given(good_s={self.good_s})"


class OwnToken:
    """Nothing at first. Any thread may ask; of several that do, one asks the agent."""

    def __init__(self) -> None:
        self._ask: Callable[[bool], Given] | None = None
        self._clock: Callable[[], float] = float
        self._process = 0
        self._lock = _thread.allocate_lock()
        self._text = ""
        self._renew_at_s = 0.0

    def comes_by(self, ask: Callable[[bool], Given], clock: Callable[[], float]) -> None:
        """Have it asked for so, with whether it has to be another than before, and its age told by this clock, seconds."""
        self._ask, self._clock, self._process = ask, clock, os.getpid()
        self._text = ""

    def forget(self) -> None:
        """Be as at first."""
        self._ask, self._text = None, ""

    def text(self, refused: str = "") -> str:
        """Return a token that is good for RENEW_S at least, if it does not end before with its attempt, and not the one that was `refused`. Raises Refused (`no_agent`), and what asking raises."""
        ask = self._ask
        if ask is None or os.getpid() != self._process:
            raise Refused(
                "a token is given to a slice by its agent, and this process has none",
                code="no_agent",
                hint="call context().token() in a step's function, in the slice's own process, and hand the token on; a test of a step gives it one: with runink.testing.contexts.with_token(…):",
            )
        with self._lock:
            anew = bool(self._text) and self._text == refused
            if anew or not self._text or self._clock() >= self._renew_at_s:
                asked_s = self._clock()
                given = ask(anew)
                self._text, self._renew_at_s = given.text, asked_s + given.good_s - RENEW_S
            return self._text


OWN_TOKEN: Final = OwnToken()
