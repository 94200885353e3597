"""What is asked by HTTP and what is answered, as values, and the bytes between: h11 with limits, and our errors in place of its own.

    of an answer                    limit                 beyond it
    head, each                      HEAD_BYTES_MAX        `answer_malformed`
    heads before the last (1xx)     EARLY_HEADS_MAX       `answer_malformed`
    body                            BODY_BYTES_MAX        `answer_too_large`, before it is read where its length is told
    all bytes on the connection     RAW_BYTES_MAX         `answer_too_large`: chunks of one byte have heads, too

A redirection is never followed (`redirect_refused`): it leads where nobody has looked.  An answer that is compressed is refused: we say that we read none, and
so it never grows in our hands.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import h11
import msgspec

from runink.errors import Refused, RuninkError, Unavailable
from runink.reach import Url

HEAD_BYTES_MAX: Final = 16 << 10  # cookies of load balancers are long
EARLY_HEADS_MAX: Final = 4
BODY_BYTES_MAX: Final = 64 << 10  # a large provider's keys are 10 KiB
RAW_BYTES_MAX: Final = 256 << 10
FORM: Final = "application/x-www-form-urlencoded"
_STAND_IN: Final = "***"


class Request(msgspec.Struct, frozen=True):
    """What is asked: GET without a body, POST with one, empty or not. `authorization` is a header's value. Neither shows in a `repr`."""

    url: str
    body: bytes | None = None
    content_type: str = FORM
    authorization: str = ""
    accept: str = "application/json"

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.partition('?')[0]}, {_STAND_IN})"


class Answer(msgspec.Struct, frozen=True):
    """What was answered, whatever its status but for a redirection. The body, which may hold tokens, does not show in a `repr`."""

    status: int
    body: bytes
    content_type: str = ""

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


def form(url: str, fields: dict[str, str], *, authorization: str = "") -> Request:
    """Return the request that sends a form."""
    return Request(url, urlencode(fields).encode(), authorization=authorization)


class Exchange:
    """One request and its answer on one connection: bytes out once, bytes in until the answer is whole."""

    def __init__(self, request: Request, url: Url) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._request = request
        self._url = url
        self._raw_bytes = 0
        self._early_heads = 0
        self._head: h11.Response | None = None
        self._body = bytearray()

    def sent(self) -> bytes:
        """Return the whole request. Raises Refused (`request_refused`) where a header could not hold what it says."""
        body = self._request.body
        try:
            parts = [self._http.send(self._first())]
            if body:
                parts.append(self._http.send(h11.Data(data=body)))
            parts.append(self._http.send(h11.EndOfMessage()))
        except (h11.LocalProtocolError, UnicodeEncodeError):
            text = f"{self._url.origin} is not asked: a header cannot hold what it would say"
            raise Refused(text, code="request_refused") from None
        return b"".join(part for part in parts if part is not None)

    def _first(self) -> h11.Request:
        request = self._request
        headers = [
            ("Host", self._url.authority),
            ("User-Agent", "runink"),
            ("Accept", request.accept),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
        ]
        if request.authorization:
            headers.append(("Authorization", request.authorization))
        if request.body is not None:
            headers.append(("Content-Type", request.content_type))
            headers.append(("Content-Length", str(len(request.body))))
        return h11.Request(method=request.method, target=self._url.target, headers=headers)

    def received(self, data: bytes) -> Answer | None:
        """Take bytes, none at the connection's end; return the answer once it is whole.

        Raises Refused (`redirect_refused`, `answer_too_large`, `answer_compressed`), Unavailable (`answer_malformed`).
        """
        self._raw_bytes += len(data)
        if self._raw_bytes > RAW_BYTES_MAX:
            raise self._too_large()
        try:
            self._http.receive_data(data)
            while True:  # ends when h11 has no more events of these bytes
                event = self._http.next_event()
                if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                    return None
                if answer := self._on_event(event):
                    return answer
        except h11.RemoteProtocolError as error:
            raise self._malformed(str(error)) from None

    def _on_event(self, event: object) -> Answer | None:
        match event:
            case h11.InformationalResponse():
                self._early_heads += 1
                if self._early_heads > EARLY_HEADS_MAX:
                    raise self._malformed("it has too many heads")
            case h11.Response():
                self._check_head(event)
                self._head = event
            case h11.Data(data=data):
                self._body += data
                if len(self._body) > BODY_BYTES_MAX:
                    raise self._too_large()
            case h11.EndOfMessage():
                assert self._head is not None
                kind = _header(self._head, b"content-type")
                return Answer(self._head.status_code, bytes(self._body), kind)
        return None

    def _check_head(self, head: h11.Response) -> None:
        if 300 <= head.status_code < 400:
            raise Refused(
                f"{self._url.origin} answers with a redirection ({head.status_code}), which is not followed",
                code="redirect_refused",
                hint="write the address that it leads to, if that is the right one",
            )
        if _header(head, b"content-encoding").strip().lower() not in {"", "identity"}:
            text = f"{self._url.origin} answers in a compressed form, which was not asked for"
            raise Refused(text, code="answer_compressed")
        length = _header(head, b"content-length")
        if length and int(length) > BODY_BYTES_MAX:  # h11 lets only digits by
            raise self._too_large()

    def _too_large(self) -> RuninkError:
        return Refused(
            f"{self._url.origin} answers with more than {BODY_BYTES_MAX >> 10} KiB",
            code="answer_too_large",
            hint="is it the right address?",
        )

    def _malformed(self, why: str) -> RuninkError:
        return Unavailable(
            f"{self._url.origin} answers with what is no HTTP: {why}", code="answer_malformed"
        )


def _header(head: h11.Response, name: bytes) -> str:
    """Return the values of a header, an empty text where there is none."""
    return ", ".join(value.decode("latin-1") for key, value in head.headers if key == name)
