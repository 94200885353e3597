"""A client of the wire protocol that knows nothing of Runink: written from docs/wire-protocol.md, with sockets, TLS and `msgpack`.

It says hello, with a token if it has one, asks and tells, keeps to the other side's limits and its credit, answers Pings, follows a run, calls operations, reads lists page by page and
streams part by part, and tells a Close apart from an end.  One thread; it waits where it reads.  Whoever writes a client in another language may begin by translating it, so nothing of `runink` is imported here.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgpack

HELLO, HELLO_ACK, TELL, ASK, ANSWER, FAILURE, CREDIT, PING, PONG, CLOSE = range(1, 11)
VERSION: Final = 1
LIMITS: Final = [16 << 20, 1024, 256]  # bytes of a frame, Asks, Tells
MESSAGE_BYTES_MAX: Final = 1 << 20
LARGE: Final = frozenset({"Propose", "Submit"})
LARGE_ANSWERS: Final = frozenset(
    {"Propose", "Submit", "Read", "Select", "WatchFrom", "LeaseStatus", "Leases", "Backup"}
    | {"Cancel", "Pause", "Drop", "Follow", "LineageOf", "WhyOf", "ReplayOf", "Call", "Next"}
)
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
WITHIN_MS: Final = 15_000
WAIT_S: Final = 60.0  # for bytes of the other side, which pings every 10 seconds


class PeerError(Exception):
    """A Failure, or with `is_close` a Close: what the other side says, by kind and code."""

    def __init__(self, error: dict[str, Any], *, is_close: bool = False) -> None:
        super().__init__(f"{error['kind']} {error['code']}: {error['text']}")
        self.kind: str = error["kind"]
        self.code: str = error["code"]
        self.text: str = error["text"]
        self.is_close = is_close


class EndedError(Exception):
    """The connection has ended without a Close."""


def encode(body: list[Any]) -> bytes:
    """Return a frame."""
    data: bytes = msgpack.packb(body, use_bin_type=True)
    return len(data).to_bytes(4, "big") + data


def decode(data: bytes) -> list[Any]:
    """Return the body of a frame that is whole."""
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    body = msgpack.unpackb(data[4:], raw=False, strict_map_key=True)
    assert isinstance(body, list)
    return body


def new_run_id() -> str:
    """Return a ULID: 48 bits of milliseconds and 80 of chance, in Crockford's base 32."""
    left = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(ALPHABET[left >> at & 31] for at in range(125, -1, -5))


def connect_unix(path: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(path))
    return link


def connect_tcp(
    host: str, port: int, tls: ssl.SSLContext | None = None, *, name: str = ""
) -> socket.socket:
    """Connect; under TLS the other side's certificate must be for the host, or for the name in its place."""
    link = socket.create_connection((host, port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link if tls is None else tls.wrap_socket(link, server_hostname=name or host)


def trusting(authority: str) -> ssl.SSLContext:
    """Return the context of a program that trusts a cluster's authority (PEM), and shows nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority)
    context.set_alpn_protocols(["runink/1"])
    return context


class PlainClient:
    """One connection. A context manager: its end is a clean Close."""

    def __init__(
        self,
        link: socket.socket,
        *,
        node: str = "plain",
        herd: str = "",
        credentials: bytes = b"",
        version: int = VERSION,
    ) -> None:
        """Say hello, and wait until that is acknowledged. Raises PeerError, EndedError."""
        link.settimeout(WAIT_S)
        self.pings = 0  # of the other side
        self.pongs = 0
        self._link = link
        self._bytes_max = LIMITS[0]
        self._number = 0
        self._asked: dict[int, str] = {}
        self._answers: dict[int, Any] = {}
        self._failures: dict[int, PeerError] = {}
        try:
            self._send([HELLO, version, version, node, herd, credentials, LIMITS])
            kind, chosen, self.node, theirs = self._receive(64 << 10)
        except BaseException:
            link.close()
            raise
        assert (kind, chosen) == (HELLO_ACK, VERSION)
        self.bytes_max, self.asks_max, self.tells_max = theirs
        self.credit: int = self.tells_max

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            with suppress(OSError):  # the other side may have closed first
                self.close()
        self._link.close()

    def call(self, target: str, name: str, body: Any, *, within_ms: int = WITHIN_MS) -> Any:
        """Ask, and return the answer. Raises PeerError."""
        return self.wait(self.ask(target, name, body, within_ms=within_ms))

    def ask(self, target: str, name: str, body: Any, *, within_ms: int = WITHIN_MS) -> int:
        """Ask, and return the number under which the answer comes."""
        while len(self._asked) >= self.asks_max:
            self._step()
        self._number += 1
        self._asked[self._number] = name
        self._send([ASK, self._number, target, name, body, within_ms], name in LARGE)
        return self._number

    def wait(self, number: int) -> Any:
        """Return the answer with this number. Raises PeerError."""
        while number not in self._answers:
            if (error := self._failures.pop(number, None)) is not None:
                raise error
            self._step()
        return self._answers.pop(number)

    def tell(self, target: str, name: str, body: Any) -> None:
        """Tell, when there is credit for it."""
        while not self.credit:
            self._step()
        self.credit -= 1
        self._number += 1
        self._send([TELL, self._number, target, name, body])

    def ping(self) -> None:
        """Ask whether the other side is there, and wait until it says so."""
        before = self.pongs
        self._send([PING])
        while self.pongs == before:
            self._step()

    def follow(self, run: str) -> Iterator[dict[str, Any]]:
        """Yield a run as it stands whenever it has changed, up to and with its end."""
        seen = 0
        while True:
            view = self.call("runs", "Follow", {"run": run, "seen": seen, "wait_s": 5.0})
            if view["number"] != seen:
                yield view
            seen = view["number"]
            if view["record"]["state"] in ("succeeded", "failed", "cancelled"):
                return

    def operate(
        self, operation: str, /, *, if_match: str = "", key: str = "", **fields: Any
    ) -> Any:
        """Call an operation, and return what it is answered with: `kind`, and what goes with that. Raises PeerError."""
        body: dict[str, Any] = {"operation": operation, "fields": fields}
        body |= {"if_match": if_match} if if_match else {}
        body |= {"key": key} if key else {}
        return self.call("api", "Call", body)

    def items(self, operation: str, /, **fields: Any) -> Iterator[Any]:
        """Yield all items of a list, page by page."""
        cursor = {}
        while True:
            page = self.operate(operation, **fields, **cursor)["document"]
            yield from page["items"]
            if not page["next"]:
                return
            cursor = {"cursor": page["next"]}

    def parts(self, stream: int) -> Iterator[dict[str, Any]]:
        """Yield the parts of a stream up to its end, without those in which nothing has come. Raises PeerError, with which it has ended."""
        number = 0
        while True:
            number += 1
            part = self.call("api", "Next", {"stream": stream, "part": number})
            if "events" in part or "data" in part:
                yield part
            if part.get("is_over", False):
                return

    def events(self, operation: str, /, **fields: Any) -> Iterator[dict[str, Any]]:
        """Yield what happens, as long as somebody asks for more: then the stream is left."""
        stream = self.operate(operation, **fields)["stream"]
        try:
            for part in self.parts(stream):
                yield from part["events"]
        finally:
            with suppress(PeerError, EndedError, OSError):  # of a link that is over nothing is open
                self.call("api", "Leave", {"stream": stream})

    def content(self, operation: str, /, **fields: Any) -> bytes:
        """Return bytes, all of them."""
        opened = self.operate(operation, **fields)
        return b"".join(part["data"] for part in self.parts(opened["stream"]))

    def close(self) -> None:
        error = {
            "kind": "Unavailable",
            "code": "stopping",
            "text": "bye",
            "hint": "",
            "findings": [],
        }
        self._send([CLOSE, error])

    def until_closed(self) -> PeerError:
        """Take what comes until the other side closes, and return why it does. Raises EndedError if it does not say."""
        try:
            while True:
                self._step()
        except PeerError as error:
            return error

    def send_bytes(self, data: bytes) -> None:
        """Send what may be no frame at all."""
        self._link.sendall(data)

    def _send(self, body: list[Any], is_large: bool = False) -> None:  # noqa: FBT001, FBT002 - one caller
        data = encode(body)
        bytes_max = getattr(self, "bytes_max", 64 << 10)
        assert len(data) - 4 <= (bytes_max if is_large else min(MESSAGE_BYTES_MAX, bytes_max))
        self._link.sendall(data)

    def _step(self) -> None:
        """Take one frame. Raises PeerError for a Close, EndedError at the end."""
        kind, *fields = self._receive(self._bytes_max)
        match kind:
            case 5:
                number, body = fields
                del self._asked[number]
                self._answers[number] = body
            case 6:
                number, error = fields
                del self._asked[number]
                self._failures[number] = PeerError(error)
            case 7:
                self.credit += fields[0]
                assert self.credit <= self.tells_max
            case 8:
                self.pings += 1
                with suppress(BrokenPipeError, ConnectionResetError):
                    self._send([PONG])  # whoever has left meanwhile needs no answer
            case 9:
                self.pongs += 1
            case _:
                raise AssertionError(f"kind {kind} may not come")

    def _receive(self, bytes_max: int) -> list[Any]:
        head = self._exactly(4)
        length = int.from_bytes(head, "big")
        assert 1 <= length <= bytes_max, length
        data = head + self._exactly(length)
        body = decode(data)
        if body[0] == CLOSE:
            raise PeerError(body[1], is_close=True)
        is_large = body[0] == ANSWER and self._asked[body[1]] in LARGE_ANSWERS
        assert length <= MESSAGE_BYTES_MAX or is_large, body[:2]
        return body

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = self._link.recv(min(count - len(data), 1 << 18))
            if not piece:
                raise EndedError
            data += piece
        return bytes(data)
