"""What travels between actors: requests, the envelope around a message, and an answer that comes later.

    message                     receive returns    the asker gets
    a Request that is asked     a value            the value
                                a Later            what is given to it, whenever that is
                                raises Refused     the same error; the actor lives on
                                  or Unavailable
                                raises anything    OutcomeUnknown; the actor has crashed
                                  else
    a message that is told      anything           nobody asks: what receive returns is dropped

An answer counts once: what is answered after the first answer, or after the asker has left, is dropped without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any, ClassVar, Final, Generic, TypeVar, get_args, get_origin

import msgspec

from runink.errors import RuninkError
from runink.loops import Bell
from runink.wire.frames import MESSAGE_BYTES_MAX

R = TypeVar("R")
M = TypeVar("M")

Settle = Callable[[object, RuninkError | None], object]  # is given a value, or an error

# The W3C trace context that whatever runs now belongs to; an actor runs each message in its sender's.
TRACEPARENT: Final[ContextVar[str]] = ContextVar("runink_traceparent", default="")


class Request(msgspec.Struct, Generic[R], frozen=True):
    """A message that is answered with an `R`: `class Read(Request[Pages], frozen=True)`. One that carries data says how large it and its answer may be (`wire/sizes.py`)."""

    bytes_max: ClassVar[int] = MESSAGE_BYTES_MAX
    answer_bytes_max: ClassVar[int] = MESSAGE_BYTES_MAX


@cache
def answer_type(kind: type[Request[Any]]) -> Any:
    """Return the `R` of a class of requests. Raises TypeError if it does not say."""
    for base in kind.__mro__:
        for origin in getattr(base, "__orig_bases__", ()):
            if get_origin(origin) is Request:
                (answer,) = get_args(origin)
                if isinstance(answer, TypeVar):
                    break
                return answer
    raise TypeError(f"{kind.__name__} does not say its answer: class {kind.__name__}(Request[...])")


class Envelope(Generic[M]):
    """A message under way, and where its answer goes."""

    __slots__ = ("_settle", "is_abandoned", "message", "traceparent")

    def __init__(self, message: M, settle: Settle | None = None, *, traceparent: str = "") -> None:
        self.message = message
        self.traceparent = traceparent
        self.is_abandoned = False
        self._settle = settle

    @property
    def is_awaited(self) -> bool:
        """Say whether somebody still waits for an answer."""
        return self._settle is not None

    def answer(self, value: object) -> None:
        self._settle_once(value, None)

    def fail(self, error: RuninkError) -> None:
        self._settle_once(None, error)

    def abandon(self) -> None:
        """Take note that the asker has left: what has not begun is not begun any more."""
        self._settle = None
        self.is_abandoned = True

    def _settle_once(self, value: object, error: RuninkError | None) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(value, error)


class Later:
    """Returned by `receive`: the answer is given by `answer` or `fail`, before or after `receive` returns.

    What is never given is answered when the actor ends: OutcomeUnknown after a crash, Unavailable (`stopping`) after a stop.
    """

    __slots__ = ("_closed", "_envelope", "_outcome")

    def __init__(self) -> None:
        self._envelope: Envelope[Any] | None = None
        self._outcome: tuple[object, RuninkError | None] | None = None
        self._closed: Callable[[Later], object] | None = None

    def answer(self, value: object) -> None:
        self._give(value, None)

    def fail(self, error: RuninkError) -> None:
        self._give(None, error)

    def bind(self, envelope: Envelope[Any], closed: Callable[[Later], object]) -> bool:
        """Connect with the request that it answers; say whether it is still open. `closed` is called when it is answered."""
        assert self._envelope is None, "a Later answers one request"
        self._envelope = envelope
        if self._outcome is None:
            self._closed = closed
            return True
        self._hand_over()
        return False

    def _give(self, value: object, error: RuninkError | None) -> None:
        if self._outcome is not None:
            return
        self._outcome = (value, error)
        self._hand_over()

    def _hand_over(self) -> None:
        if self._envelope is None or self._outcome is None:
            return
        value, error = self._outcome
        if error is None:
            self._envelope.answer(value)
        else:
            self._envelope.fail(error)
        if self._closed is not None:
            self._closed(self)


class Pending:
    """Where an asker waits for its answer."""

    __slots__ = ("_come", "_error", "_value", "is_settled")

    def __init__(self) -> None:
        self.is_settled = False
        self._value: object = None
        self._error: RuninkError | None = None
        self._come: Bell | None = None

    def settle(self, value: object, error: RuninkError | None) -> None:
        self.is_settled = True
        self._value = value
        self._error = error
        if self._come is not None:
            self._come.ring()

    async def wait(self) -> None:
        if not self.is_settled:
            self._come = Bell()
            await self._come.wait()

    async def wait_within(self, seconds: float) -> None:
        """Wait so long at most; `is_settled` says whether it has come."""
        if not self.is_settled:
            self._come = Bell()
            await self._come.wait_within(seconds)

    def result(self) -> Any:
        """Return the answer, or raise the error that came instead."""
        assert self.is_settled
        if self._error is not None:
            raise self._error
        return self._value
