"""What can be called, step by step, and what comes of it: one document, the items of a list, bytes, or events. Pure; see `effects.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runink.client.answers import (
    MALFORMED,
    Answer,
    Head,
    document_of,
    event_of,
    lost,
    malformed,
    streamed_error,
)
from runink.client.effects import Close, Give, Pause, Steps
from runink.client.events import EventReader, Message
from runink.client.given import Given
from runink.client.repeats import Failure, pause_before
from runink.client.requests import Request, request_of
from runink.client.talks import Opened, Talks
from runink.errors import Unavailable
from runink.operations.declarations import Operation

SILENT_S: Final = 45.0  # three of the server's signs of life
LAST_ID: Final = "Last-Event-ID"
BOOKMARK: Final = "bookmark"
END: Final = "end"
PROBLEM: Final = "problem"


@dataclass(frozen=True, slots=True)
class Begun:
    """What bytes are given behind: the head of the answer."""

    head: Head


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait. `within_s` is for one answer, or for the beginning of a stream; `silent_s` for the next piece of it; `away_s` for a stream that was lost to come back."""

    within_s: float = 30.0
    silent_s: float = SILENT_S
    away_s: float = 60.0


def answered(talks: Talks, request: Request, patience: Patience) -> Steps[Answer]:
    """Return the whole answer. Raises what it stands for if it is none."""
    opened = yield from talks.begun(request, within_s=patience.within_s, is_whole=True)
    return Answer(opened.head, opened.body)


def document(
    talks: Talks, operation: Operation, request: Request, patience: Patience
) -> Steps[Any]:
    """Return the struct that the operation is answered with."""
    return document_of(operation, (yield from answered(talks, request, patience)))


def items(
    talks: Talks, operation: Operation, fields: Mapping[str, Any], patience: Patience
) -> Steps[None]:
    """Give the items of a list to its end, page by page; all pages are of one revision."""
    asked = dict(fields)
    while True:  # ends with the list
        request = request_of(operation, asked)
        page = yield from document(talks, operation, request, patience)
        for item in page.items:
            yield Give(item)
        if not page.next:
            return
        if page.next == asked.get("cursor"):
            raise malformed("a page that follows itself")
        asked["cursor"] = page.next


def content(talks: Talks, request: Request, patience: Patience) -> Steps[None]:
    """Give Begun, then bytes as they come. What breaks off is raised: a part is not the whole."""
    opened = yield from talks.begun(request, within_s=patience.within_s, is_whole=False)
    yield Give(Begun(opened.head))
    while (piece := (yield from opened.next_piece(patience.silent_s))) is not None:
        yield Give(piece)


@dataclass(slots=True)
class Following:
    """A stream of events over its connections. `revision` is how far it has come: every event up to there was given, and none twice."""

    talks: Talks
    operation: Operation
    request: Request
    patience: Patience
    revision: int = 0
    _given: Given = field(default_factory=Given)

    def events(self) -> Steps[None]:
        """Give events until their source has ended. Raises what ends a stream for good: a refusal, or `away_s` without anything new."""
        is_first, tried, since_s = True, 0, 0.0
        while True:  # ends with the source, with a refusal, or with `away_s`
            reached = self.revision
            try:
                opened = yield from self._opened()
            except Unavailable as error:
                if is_first:
                    raise
                failure: Unavailable | None = error
            else:
                is_first = False
                failure = yield from self._followed(opened, reached)
            if failure is None:
                return
            now_s = self.talks.clock()
            if self.revision > reached or not tried:
                tried, since_s = 0, now_s
            tried += 1
            pause_s = pause_before(Failure(failure), tried=tried, dice=self.talks.dice())
            if now_s + pause_s - since_s > self.patience.away_s:
                raise failure
            yield Pause(pause_s)

    def _opened(self) -> Steps[Opened]:
        request = self.request
        if self.revision:
            request = request.with_header(LAST_ID, str(self.revision))
        return (
            yield from self.talks.begun(request, within_s=self.patience.within_s, is_whole=False)
        )

    def _followed(self, opened: Opened, reached: int) -> Steps[Unavailable | None]:
        """Give what comes on one connection; return why it ended, nothing where the source has."""
        reader = EventReader()
        try:
            while (piece := (yield from opened.next_piece(self.patience.silent_s))) is not None:
                for message in reader.feed(piece):
                    if message.kind == END:
                        yield Close(opened.link)
                        return None
                    yield from self._told(message, reached)
        except Unavailable as error:
            if error.code == MALFORMED:
                raise
            yield Close(opened.link)
            return error
        return lost()

    def _told(self, message: Message, reached: int) -> Steps[None]:
        if message.kind == PROBLEM:
            raise streamed_error(message.data)
        revision = self.revision if message.revision is None else message.revision
        self.revision = max(self.revision, revision)
        if message.kind == BOOKMARK:
            return
        event = event_of(self.operation, revision, message.kind, message.data)
        if self._given.is_new(event, message, reached):
            yield Give(event)
