"""One call on as many connections as it takes: sent, read as far as its head or to its end, and made again where that is right. Pure; see `effects.py`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from runink.client.answers import (
    ANSWER_BYTES_MAX,
    Answer,
    Head,
    error_of,
    lost,
    malformed,
    retry_after_s,
)
from runink.client.effects import Close, Connect, Keep, Link, Pause, Receive, Send, Steps, Token
from runink.client.endpoints import Endpoint
from runink.client.exchanges import End, Exchange
from runink.client.repeats import Failure, may_repeat, pause_before, told
from runink.client.requests import Request
from runink.errors import LinkLost, RuninkError, TimedOut

TRIES_MAX: Final = 6  # three seconds of a server that does not listen
UNAUTHENTICATED: Final = "unauthenticated"


@dataclass(slots=True, eq=False)
class Opened:
    """An answer of which the head has come. `body` is there where it was read whole."""

    link: Link
    exchange: Exchange
    head: Head
    rest: list[Head | bytes | End] = field(default_factory=list)  # came along with the head
    body: bytes = b""

    def next_piece(self, within_s: float) -> Steps[bytes | None]:
        """Return a piece of the body, nothing at its end: then the link is let go of."""
        while not self.rest:  # ends with a piece, the connection or the time
            data = yield Receive(self.link, within_s)
            self.rest = self.exchange.received(data)
            if not data and not self.rest:
                raise lost()
        piece = self.rest.pop(0)
        if isinstance(piece, bytes):
            return piece
        assert isinstance(piece, End)
        yield Keep(self.link) if self.exchange.is_reusable() else Close(self.link)
        return None


@dataclass(slots=True)
class _Try:
    """How far one try has come."""

    token: str = field(default="", repr=False)
    link: Link | None = None
    is_sent: bool = False
    answered: Answer | None = None


@dataclass(frozen=True, slots=True)
class Talks:
    """Talks with one endpoint. `clock` tells seconds that only go up, `dice` a number from 0 to 1. `is_nobody`: no token is borne."""

    endpoint: Endpoint
    clock: Callable[[], float]
    dice: Callable[[], float]
    is_nobody: bool = False

    def begun(self, request: Request, *, within_s: float, is_whole: bool) -> Steps[Opened]:
        """Return an answer below 400, with its body if `is_whole`. Raises the error that another one stands for, or what kept it from coming."""
        until_s = self.clock() + within_s
        tried, refused = 0, ""
        while True:  # ends with an answer, with TRIES_MAX, or with the time
            tried += 1
            attempt = _Try()
            failure: Failure
            try:
                attempt.token = "" if self.is_nobody else (yield Token(refused))
                opened = yield from self._once(request, attempt, until_s, is_whole=is_whole)
                if attempt.answered is None:
                    return opened
                failure = _answered(attempt.answered)
            except RuninkError as error:
                failure = Failure(error, is_sent=attempt.is_sent)
                if attempt.link is not None:
                    yield Close(attempt.link)
            if failure.error.code == UNAUTHENTICATED and attempt.token and not refused:
                refused = attempt.token  # a newer one may be had, once
                continue
            pause_s = pause_before(failure, tried=tried, dice=self.dice())
            is_over = tried >= TRIES_MAX or self.clock() + pause_s >= until_s
            if is_over or not may_repeat(failure, is_repeatable=request.is_repeatable):
                raise told(failure, is_repeatable=request.is_repeatable)
            yield Pause(pause_s)

    def _once(
        self, request: Request, attempt: _Try, until_s: float, *, is_whole: bool
    ) -> Steps[Opened]:
        link: Link = yield Connect(self._left(until_s), is_fresh=not request.is_repeatable)
        attempt.link = link
        exchange = Exchange(
            link.http, request, host=self.endpoint.authority_text, token=attempt.token
        )
        data = exchange.sent()
        attempt.is_sent = True
        with suppress(LinkLost):  # who refuses a body before its end has answered already
            yield Send(link, data, self._left(until_s))
        opened = yield from self._head(link, exchange, until_s)
        is_refused = opened.head.status >= 400
        if is_whole or is_refused:
            yield from self._read(opened, until_s)
        if is_refused:
            attempt.answered = Answer(opened.head, opened.body)
        return opened

    def _head(self, link: Link, exchange: Exchange, until_s: float) -> Steps[Opened]:
        while True:  # ends with a head, the connection or the time
            data = yield Receive(link, self._left(until_s))
            found = exchange.received(data)
            if found:
                head = found[0]
                assert isinstance(head, Head)
                return Opened(link, exchange, head, found[1:])
            if not data:
                raise lost()

    def _read(self, opened: Opened, until_s: float) -> Steps[None]:
        parts, size = [], 0
        while (piece := (yield from opened.next_piece(self._left(until_s)))) is not None:
            size += len(piece)
            if size > ANSWER_BYTES_MAX:
                raise malformed(f"longer than {ANSWER_BYTES_MAX >> 20} MiB")
            parts.append(piece)
        opened.body = b"".join(parts)

    def _left(self, until_s: float) -> float:
        left_s = until_s - self.clock()
        if left_s <= 0:
            raise TimedOut("no answer in time", hint="give it more time, or look at the server")
        return left_s


def _answered(answer: Answer) -> Failure:
    return Failure(
        error_of(answer), is_sent=True, is_answered=True, retry_after_s=retry_after_s(answer.head)
    )
