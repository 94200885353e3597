"""One request and its answer on a connection that may serve more of them: h11 with limits, and our errors in place of its own. Pure.

    limit                 beyond it
    HEAD_BYTES_MAX        `answer_malformed`; also of a chunk's head and of what follows the last chunk
    EARLY_HEADS_MAX       `answer_malformed`: heads before the last one (1xx)

A redirection is never followed, as the token would go along; an answer that is compressed is refused, as we ask for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import h11

from runink import __version__
from runink.client.answers import Head, lost, malformed
from runink.client.requests import Request
from runink.errors import Invalid, Refused

HEAD_BYTES_MAX: Final = 32 << 10
EARLY_HEADS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class End:
    """The answer is whole."""


def opened() -> h11.Connection:
    """Return the state of a new connection."""
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)


class Exchange:
    """One request: bytes out once, bytes in until its answer is whole."""

    def __init__(self, http: h11.Connection, request: Request, *, host: str, token: str) -> None:
        self._http = http
        self._request = request
        self._host = host
        self._token = token
        self._early_heads = 0

    def sent(self) -> bytes:
        """Return the whole request. Raises Invalid (`bad_header`) where a header could not hold what it says."""
        body = self._request.body
        try:
            parts = [self._http.send(self._first())]
            if body:
                parts.append(self._http.send(h11.Data(data=body)))
            parts.append(self._http.send(h11.EndOfMessage()))
        except (h11.LocalProtocolError, UnicodeEncodeError):
            raise Invalid("a header cannot hold what it would say", code="bad_header") from None
        return b"".join(part for part in parts if part is not None)

    def _first(self) -> h11.Request:
        request = self._request
        headers = [
            ("Host", self._host),
            ("User-Agent", f"runink/{__version__}"),
            ("Accept-Encoding", "identity"),
            *request.headers,
        ]
        if self._token:
            headers.append(("Authorization", f"Bearer {self._token}"))
        if request.body is not None:
            headers.append(("Content-Length", str(len(request.body))))
        return h11.Request(method=request.method, target=request.target, headers=headers)

    def received(self, data: bytes) -> list[Head | bytes | End]:
        """Take bytes, none at the connection's end; return the head, pieces of the body, and the end, as far as they are there.

        Raises Unavailable (`answer_malformed`), LinkLost, Refused (`redirect_refused`, `answer_compressed`).
        """
        found: list[Head | bytes | End] = []
        try:
            self._http.receive_data(data)
            while True:  # ends when h11 has no more events of these bytes
                event = self._http.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return found
                if isinstance(event, h11.ConnectionClosed):
                    return found
                self._on_event(event, found)
                if found and isinstance(found[-1], End):
                    return found
        except h11.RemoteProtocolError as error:
            if not data:
                raise lost() from None
            raise malformed(f"no HTTP: {error}") from None

    def _on_event(self, event: object, found: list[Head | bytes | End]) -> None:
        match event:
            case h11.InformationalResponse():
                self._early_heads += 1
                if self._early_heads > EARLY_HEADS_MAX:
                    raise malformed("too many heads")
            case h11.Response():
                found.append(_head(event))
            case h11.Data(data=data):
                found.append(bytes(data))
            case h11.EndOfMessage():
                found.append(End())
            case _:
                pass

    def is_reusable(self) -> bool:
        """Say whether another request may go on this connection, and make it ready for that."""
        http = self._http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            return False
        http.start_next_cycle()
        return not http.trailing_data[0]  # what nobody has asked for belongs to no answer


def _head(event: h11.Response) -> Head:
    headers: dict[str, str] = {}
    for raw_name, raw_value in event.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if 300 <= event.status_code < 400 and event.status_code != 304:
        raise Refused(
            f"the answer is a redirection ({event.status_code}), which is not followed",
            code="redirect_refused",
            hint="write the address that it leads to, if that is the right one",
        )
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused("the answer is compressed, which was not asked for", code="answer_compressed")
    return Head(event.status_code, headers)
