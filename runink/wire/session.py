"""One connection as a pure state machine: bytes and time in, bytes and events out.

    state      what happens                        then                                          next
    greeting   (connecting) it is made             sends Hello
               (accepting) Hello, versions meet    asks `admit`, sends HelloAck, Opened          open
               (accepting) no version in common,   sends Close, Closed                           closed
                 or `admit` refuses
               (connecting) HelloAck               Opened                                        open
               HANDSHAKE_S are over                sends Close, Closed                           closed
    open       Tell, Ask                           the frame is an event                         open
               Answer, Failure, Credit             the frame is an event                         open
               an Ask's time is over, and GRACE_S  answers it with TimedOut, Expired             open
               nothing has come for PING_S         sends Ping                                    open
               nothing has come for SILENT_S       Closed (LinkLost)                             closed
               Ping                                sends Pong                                    open
    not closed Close                               Closed, with the error that it holds          closed
               any other frame, a limit exceeded   sends Close, Closed (ProtocolViolation)       closed
               the stream ends                     Closed (LinkLost)                             closed
    closed     anything                            nothing                                       closed

Limits of what comes in, each announced to the peer in Hello or HelloAck and kept by both: bytes of a frame, Asks without an answer,
Tells without credit.  What the peer announced is held when sending: `ask` and `tell` may be called only while `asks_room` and `tells_room` say so.
Every Ask is answered once, by its actor or when its time is over, so both sides count the same Asks as open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final

from runink.errors import (
    Invalid,
    LinkLost,
    ProtocolViolation,
    Refused,
    RuninkError,
    TimedOut,
    WireError,
    from_wire,
    to_wire,
)
from runink.wire.codec import encode
from runink.wire.frames import FRAME_BYTES_MAX, FrameReader, frame
from runink.wire.messages import (
    VERSION_MAX,
    VERSION_MIN,
    WITHIN_MS_MAX,
    Answer,
    Ask,
    Close,
    Credit,
    Failure,
    Frame,
    Hello,
    HelloAck,
    Limits,
    Ping,
    Pong,
    Tell,
    read_frame,
)

HANDSHAKE_S: Final = 5.0  # the longest that somebody unknown may hold a connection
HELLO_BYTES_MAX: Final = 64 << 10  # of a frame before the handshake: credentials and some names
PING_S: Final = 10.0
SILENT_S: Final = 30.0  # two Pings and their answers lost: the other side is gone
GRACE_S: Final = 1.0  # the asker's own clock ends an Ask first, in all but the worst cases
ASKS_MAX: Final = 1024  # an actor's mailbox has 64 places; this is for watches and many actors
TELLS_MAX: Final = 256

DEFAULT_LIMITS: Final = Limits(FRAME_BYTES_MAX, ASKS_MAX, TELLS_MAX)


class State(Enum):
    GREETING = "greeting"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake is done. `herd` is whom the peer speaks for."""

    node: str
    herd: str
    version: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The time of the peer's Ask with this number is over, and it has been told so."""

    number: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes, nothing more can be sent. `error` says why."""

    error: RuninkError


Event = Opened | Tell | Ask | Answer | Failure | Credit | Expired | Closed
Admit = Callable[[Hello], None]  # raises Refused


def admit_all(_: Hello) -> None:
    """Admit whoever the transport has let through."""


class Session:
    """One end. `Session.connecting` and `Session.accepting` make it."""

    def __init__(
        self, node: str, *, now: float, limits: Limits = DEFAULT_LIMITS, admit: Admit | None = None
    ) -> None:
        self.state = State.GREETING
        self._node = node
        self._limits = limits
        self._admit = admit  # nothing at the connecting end
        self._frames = FrameReader(bytes_max=min(HELLO_BYTES_MAX, limits.frame_bytes_max))
        self._output: list[bytes] = []
        self.output_bytes = 0
        self._began = self._heard = now
        self._pinged = False
        # What we may send.
        self._peer = limits
        self._last_sent = 0
        self._last_taken = 0
        self._tells_room = 0
        self._asked: set[int] = set()
        # What the peer may send.
        self._last_heard = 0
        self._tells_open = 0
        self._tells_settled = 0
        self._serving: dict[int, float] = {}  # number -> when it expires

    @classmethod
    def connecting(
        cls,
        node: str,
        *,
        now: float,
        herd: str = "",
        credentials: bytes = b"",
        limits: Limits = DEFAULT_LIMITS,
    ) -> Session:
        """Return the end that opens the connection; its Hello is ready to be sent."""
        session = cls(node, now=now, limits=limits)
        session._send(Hello(VERSION_MIN, VERSION_MAX, node, herd, credentials, limits))
        return session

    @classmethod
    def accepting(
        cls, node: str, *, now: float, admit: Admit = admit_all, limits: Limits = DEFAULT_LIMITS
    ) -> Session:
        """Return the end that waits for a Hello. `admit` looks at it and raises Refused if it may not come in."""
        return cls(node, now=now, limits=limits, admit=admit)

    @property
    def is_closed(self) -> bool:
        return self.state is State.CLOSED

    # What comes in.

    def receive(self, data: bytes, *, now: float) -> list[Event]:
        """Take bytes from the peer and return what they mean. Never raises: nonsense closes the session."""
        if self.state is State.CLOSED:
            return []
        self._heard = now
        self._pinged = False
        self._frames.feed(data)
        events: list[Event] = []
        try:
            while not self.is_closed and (body := self._frames.next()) is not None:
                event = self._on_frame(read_frame(body), now)
                if event is not None:
                    events.append(event)
        except (ProtocolViolation, Refused) as error:
            events.append(self.close(error))
        return events

    def end(self, text: str = "the connection was closed by the other side") -> list[Event]:
        """Take note that the stream has ended, or that it is given up; `text` says why."""
        if self.is_closed:
            return []
        self.state = State.CLOSED
        return [Closed(LinkLost(text, hint="try again"))]

    def tick(self, *, now: float) -> list[Event]:
        """Take note of the time; called once a second or so."""
        match self.state:
            case State.GREETING:
                if now - self._began < HANDSHAKE_S:
                    return []
                text = f"no handshake within {HANDSHAKE_S:g} s"
                return [self.close(ProtocolViolation(text, code="handshake_timed_out"))]
            case State.OPEN:
                silent_s = now - self._heard
                if silent_s >= SILENT_S:
                    return self.end(f"nothing has come for {silent_s:.0f} s")
                if silent_s >= PING_S and not self._pinged:
                    self._pinged = True
                    self._send(Ping())
                return self._expire(now)
            case State.CLOSED:
                return []

    def _expire(self, now: float) -> list[Event]:
        due = [number for number, until in self._serving.items() if until <= now]
        for number in due:
            text = "the time that the asker gave is over"
            self.fail(number, TimedOut(text))
        return [Expired(number) for number in due]

    def _on_frame(self, received: Frame, now: float) -> Event | None:
        match received:
            case Ask() if self.state is State.OPEN:
                self._check_number(received.number)
                if len(self._serving) >= self._limits.asks_max:
                    raise _too_many("Asks without an answer", self._limits.asks_max)
                self._serving[received.number] = now + received.within_ms / 1000 + GRACE_S
                return received
            case Answer(number) | Failure(number) if self.state is State.OPEN:
                if number not in self._asked:
                    raise ProtocolViolation(
                        f"an answer to {number}, which was not asked", code="bad_number"
                    )
                self._asked.remove(number)
                return received
            case Tell() if self.state is State.OPEN:
                self._check_number(received.number)
                self._tells_open += 1
                if self._tells_open > self._limits.tells_max:
                    raise _too_many("Tells without credit", self._limits.tells_max)
                return received
            case Close(error):
                self.state = State.CLOSED
                return Closed(from_wire(error))
            case Hello():
                return self._on_hello(received)
            case HelloAck():
                return self._on_hello_ack(received)
            case _ if self.state is not State.OPEN:
                raise _out_of_turn(received)
            case Credit(tells):
                self._tells_room += tells
                if self._tells_room > self._peer.tells_max:
                    raise _too_many("credits", self._peer.tells_max)
                return received
            case Ping():
                self._send(Pong())
        return None

    def _on_hello(self, hello: Hello) -> Event:
        if self.state is not State.GREETING or self._admit is None:
            raise _out_of_turn(hello)
        version = min(hello.version_max, VERSION_MAX)
        if version < max(hello.version_min, VERSION_MIN):
            raise Refused(
                f"{hello.node} speaks versions {hello.version_min} to {hello.version_max} of the protocol, "
                f"{self._node} {VERSION_MIN} to {VERSION_MAX}",
                code="version_mismatch",
                hint="bring both to the same release",
            )
        self._admit(hello)
        self._send(HelloAck(version, self._node, self._limits))
        return self._open(hello.limits, Opened(hello.node, hello.herd, version))

    def _on_hello_ack(self, ack: HelloAck) -> Event:
        if self.state is not State.GREETING or self._admit is not None:
            raise _out_of_turn(ack)
        if not VERSION_MIN <= ack.version <= VERSION_MAX:
            raise ProtocolViolation(f"version {ack.version} was not offered", code="bad_version")
        return self._open(ack.limits, Opened(ack.node, "", ack.version))

    def _open(self, peer: Limits, opened: Opened) -> Opened:
        self.state = State.OPEN
        self._peer = peer
        self._tells_room = peer.tells_max
        self._frames.bytes_max = self._limits.frame_bytes_max
        return opened

    def _check_number(self, number: int) -> None:
        if number != self._last_heard + 1:
            raise ProtocolViolation(
                f"message {number} came behind {self._last_heard}", code="bad_number"
            )
        self._last_heard = number

    # What goes out.

    @property
    def is_serving(self) -> bool:
        """Say whether an Ask of the peer's waits for its answer."""
        return bool(self._serving)

    @property
    def asks_max(self) -> int:
        """How many Asks the peer takes at once."""
        return self._peer.asks_max

    @property
    def asks_room(self) -> int:
        """How many more Asks may be sent now."""
        return self._peer.asks_max - len(self._asked)

    @property
    def tells_room(self) -> int:
        """How many more Tells may be sent now."""
        return self._tells_room

    def tell(self, target: str, kind: str, body: Any, *, traceparent: str = "") -> None:
        """Send a message. Raises Invalid, and then nothing was sent."""
        assert self.state is State.OPEN
        assert self._tells_room > 0
        self._send(Tell(self._last_sent + 1, target, kind, body, traceparent))
        self._last_sent += 1
        self._tells_room -= 1

    def ask(
        self, target: str, kind: str, body: Any, *, within_s: float, traceparent: str = ""
    ) -> int:
        """Send a request and return its number, which its answer will have. Raises Invalid, and then nothing was sent."""
        assert self.state is State.OPEN
        assert self.asks_room > 0
        number = self._last_sent + 1
        within_ms = round(min(max(within_s, 0.0) * 1000, WITHIN_MS_MAX))
        self._send(Ask(number, target, kind, body, within_ms, traceparent))
        self._last_sent = number
        self._asked.add(number)
        return number

    def answer(self, number: int, value: Any) -> None:
        """Answer the peer's Ask with this number, unless it has expired. Raises Invalid, and then nothing was sent."""
        if number in self._serving and self.state is State.OPEN:
            self._send(Answer(number, value))
            del self._serving[number]

    def fail(self, number: int, error: RuninkError) -> None:
        """Answer the peer's Ask with this number with an error, unless it has expired."""
        if number in self._serving and self.state is State.OPEN:
            self._send_error(partial(Failure, number), error)
            del self._serving[number]

    def settle_tell(self) -> None:
        """Take note that a Tell of the peer has found its place: it may send another."""
        self._tells_open -= 1
        self._tells_settled += 1
        if self._tells_settled * 2 >= self._limits.tells_max and self.state is State.OPEN:
            self._send(Credit(self._tells_settled))
            self._tells_settled = 0

    def close(self, error: RuninkError) -> Closed:
        """Send the last frame. Returns the event, for who closes from outside."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._send_error(Close, error)
        return Closed(error)

    def take_output(self) -> bytes:
        """Return what is to be written, once. What was asked before this may have arrived from now on (`may_have_arrived`)."""
        data = b"".join(self._output)
        self._output.clear()
        self.output_bytes = 0
        self._last_taken = self._last_sent
        return data

    def may_have_arrived(self, number: int) -> bool:
        """Say whether a Tell or an Ask of ours has left for the peer."""
        return number <= self._last_taken

    def _send_error(
        self, made_of: Callable[[WireError], Failure | Close], error: RuninkError
    ) -> None:
        try:
            self._send(made_of(to_wire(error)))
        except Invalid:  # an error with more text than fits a frame
            self._send(made_of(WireError(type(error).__name__, error.code, error.text[:200])))

    def _send(self, sent: Frame) -> None:
        data = frame(encode(sent), bytes_max=self._peer.frame_bytes_max)
        self._output.append(data)
        self.output_bytes += len(data)


def _out_of_turn(received: Frame) -> ProtocolViolation:
    return ProtocolViolation(f"{type(received).__name__} out of turn", code="out_of_turn")


def _too_many(what: str, most: int) -> ProtocolViolation:
    return ProtocolViolation(f"more than {most} {what}", code="limit_exceeded")
