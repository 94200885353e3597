"""Server-sent events, read as they come, in whatever pieces: bytes in, events out. Pure.

field     what it does
id        the revision, by which a stream goes on; what is no number is no id of ours
event     the kind, `message` where nothing is said
data      a line of the text
a blank   the end of an event; one without data is none
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runink.client.answers import malformed

EVENT_BYTES_MAX: Final = 4 << 20  # a document has 1 MiB at most, and its JSON escapes
_REVISION_DIGITS_MAX: Final = 19


@dataclass(frozen=True, slots=True)
class Message:
    """One event as it was sent. `revision` is nothing where it had none."""

    kind: str
    data: str
    revision: int | None


class EventReader:
    """Takes pieces of a stream. Raises Unavailable (`answer_malformed`) for an event that has no end, or that is no UTF-8."""

    def __init__(self) -> None:
        self._rest = b""
        self._kind = ""
        self._data: list[str] = []
        self._revision: int | None = None
        self._bytes = 0

    def feed(self, piece: bytes) -> list[Message]:
        """Return the events that end within this piece."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        found = []
        for line in lines:
            self._count(len(line) + 1)
            message = self._on_line(line.removesuffix(b"\r"))
            if message is not None:
                found.append(message)
        if self._bytes + len(self._rest) > EVENT_BYTES_MAX:
            raise malformed("an event without an end")
        return found

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > EVENT_BYTES_MAX:
            raise malformed("an event without an end")

    def _on_line(self, line: bytes) -> Message | None:
        if not line:
            return self._ended()
        try:
            name, _, value = line.decode().partition(":")
        except UnicodeDecodeError:
            raise malformed("no UTF-8") from None
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._kind = value
            case "id" if value.isascii() and value.isdigit() and len(value) <= _REVISION_DIGITS_MAX:
                self._revision = int(value)
            case _:
                pass  # a comment, `retry`, or what a newer server says
        return None

    def _ended(self) -> Message | None:
        message = None
        if self._data:
            message = Message(self._kind or "message", "\n".join(self._data), self._revision)
        self._kind, self._data, self._revision, self._bytes = "", [], None, 0
        return message
