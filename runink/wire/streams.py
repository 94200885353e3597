"""A connection that carries streams of bytes one way, as a pure state machine: many at once, each held back by its own reader.

    state      what happens                              then                                      next
    greeting   (connecting) it is made                   sends Hello
               (accepting) Hello, versions meet          asks `admit`, sends HelloAck, Opened      open
               (accepting) no version, or refused        sends Close, Closed                       closed
               (connecting) HelloAck                     Opened                                    open
               HANDSHAKE_S are over                      sends Close, Closed                       closed
    open       Open, Data, Room, End, Reset              an event, for a stream that goes on       open
               nothing has come for PING_S               sends Ping                                open
               nothing has come for SILENT_S             Closed (LinkLost)                         closed
               a frame is too slow (`pace.py`)           sends Close, Closed (ProtocolViolation)   closed
    not closed Close                                     Closed, with the error that it holds      closed
               any other frame, a limit exceeded         sends Close, Closed (ProtocolViolation)   closed
               the connection ends                       Closed (LinkLost)                         closed

Who connects writes, who accepts reads; for the other way there is another connection.  A stream is opened, and taken by the first Room or refused by a Reset.  A reader that has had enough
resets a stream; what is under way for it is dropped.  The writer frees its place, by one End or Reset, and only then does it count as gone: so both sides count the same streams, and nobody
opens more than STREAMS_MAX.

What a reader has to keep in memory is what it has given room for.  Data beyond that ends the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace as changed

from runink.errors import (
    LinkLost,
    ProtocolViolation,
    Refused,
    RuninkError,
    WireError,
    from_wire,
    to_wire,
)
from runink.wire.codec import convert, decode, encode
from runink.wire.events import Admit, Closed, Opened, State
from runink.wire.frames import frame
from runink.wire.messages import (
    VERSION_MAX,
    VERSION_MIN,
    Close,
    Hello,
    HelloAck,
    Limits,
    Ping,
    Pong,
    frame_of,
)
from runink.wire.pace import Pace
from runink.wire.session import HANDSHAKE_S, PING_S, SILENT_S
from runink.wire.stream_frames import (
    CONTROL_BYTES_MAX,
    DATA_BYTES_MAX,
    KINDS,
    Data,
    DataHead,
    End,
    Open,
    Reset,
    Room,
    StreamCutter,
    StreamFrame,
    data_head,
)

STREAMS_MAX: Final = 1024  # of one connection: more than a node has slices
TEXT_MAX: Final = 500  # of an error that is told
# No Asks and no Tells go over it; the frames of streams have limits of their own.
LIMITS: Final = Limits(CONTROL_BYTES_MAX + DATA_BYTES_MAX, 1, 1)


@dataclass(frozen=True, slots=True)
class Came:
    """Bytes of a stream; a view of what was received."""

    stream: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class Roomy:
    """The other side gives a stream room."""

    stream: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The writer has closed its pipe: all that it wrote has come."""

    stream: int


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """The other side has reset a stream."""

    stream: int
    error: RuninkError


StreamEvent = Opened | Open | Came | Roomy | Ended | BrokenOff | Closed
Buffer = bytes | memoryview


@dataclass(slots=True)
class _Stream:
    """`room` is how many bytes the writer may still send; `is_reset` says that the reader wants no more of it."""

    room: int = 0
    is_reset: bool = False


class StreamSession:
    """One end. `StreamSession.connecting` and `StreamSession.accepting` make it."""

    def __init__(self, node: str, *, now: float, admit: Admit | None = None) -> None:
        self.state = State.GREETING
        self._node = node
        self._admit = admit  # nothing at the connecting end
        self._streams: dict[int, _Stream] = {}
        self._last = 0  # stream that was opened
        self._began = self._heard = now
        self._pinged = False
        self._output: list[Buffer] = []
        self._cutter = StreamCutter()
        self._pace = Pace()
        self._coming = 0  # stream whose data comes

    @classmethod
    def connecting(cls, node: str, *, now: float, credentials: bytes = b"") -> StreamSession:
        """Return the end that opens the connection and its streams; its Hello is ready to be sent."""
        session = cls(node, now=now)
        session._send(Hello(VERSION_MIN, VERSION_MAX, node, "", credentials, LIMITS))
        return session

    @classmethod
    def accepting(cls, node: str, *, now: float, admit: Admit) -> StreamSession:
        """Return the end that waits for a Hello. `admit` looks at it and raises Refused if it may not come in."""
        return cls(node, now=now, admit=admit)

    @property
    def is_open(self) -> bool:
        return self.state is State.OPEN

    @property
    def is_closed(self) -> bool:
        return self.state is State.CLOSED

    @property
    def has_place(self) -> bool:
        """Say whether another stream may be opened now."""
        return self.is_open and len(self._streams) < STREAMS_MAX

    # What comes in.

    def receive(self, data: bytes, *, now: float) -> list[StreamEvent]:
        """Take bytes from the peer and return what they mean. Never raises: nonsense closes the session."""
        if self.is_closed:
            return []
        self._heard = now
        self._pinged = False
        events: list[StreamEvent] = []
        self._cutter.feed(data)
        is_whole = False
        try:
            while not self.is_closed and (piece := self._cutter.next()) is not None:
                is_whole = is_whole or type(piece) is not memoryview
                event = self._on_piece(piece)
                if event is not None:
                    events.append(event)
        except (ProtocolViolation, Refused) as error:
            events.append(self.close(error))
        if self._cutter.is_between_frames:
            self._pace.since = None
        else:
            self._pace.goes_on(is_new=is_whole, now=now)
        return events

    def end(self, text: str = "the connection was closed by the other side") -> list[StreamEvent]:
        """Take note that the connection has ended, or that it is given up; `text` says why."""
        if self.is_closed:
            return []
        self.state = State.CLOSED
        return [Closed(LinkLost(text, hint="try again"))]

    def tick(self, *, now: float) -> list[StreamEvent]:
        """Take note of the time; called once a second or so."""
        if self.state is State.GREETING and now - self._began >= HANDSHAKE_S:
            text = f"no handshake within {HANDSHAKE_S:g} s"
            return [self.close(ProtocolViolation(text, code="handshake_timed_out"))]
        silent_s = now - self._heard
        if self.is_open and silent_s >= SILENT_S:
            return self.end(f"nothing has come for {silent_s:.0f} s")
        if self.is_open and silent_s >= PING_S and not self._pinged:
            self._pinged = True
            self._send(Ping())
        if self.is_open:
            try:
                self._pace.check(self._cutter.awaited_bytes, is_reading=True, now=now)
            except ProtocolViolation as error:
                return [self.close(error)]
        return []

    def _on_piece(self, piece: bytes | DataHead | memoryview) -> StreamEvent | None:
        match piece:
            case DataHead(number, size):
                self._take_room(number, size)
                self._coming = number
                return None
            case memoryview():
                is_wanted = not self._streams[self._coming].is_reset
                return Came(self._coming, piece) if is_wanted else None
            case _:
                return self._on_body(piece)

    def _on_body(self, body: bytes) -> StreamEvent | None:
        value = decode(body)
        number = value[0] if type(value) is list and value else None
        kind = KINDS.get(number) if type(number) is int else None
        if kind is not None:
            if not self.is_open:
                raise _out_of_turn(kind.__name__)
            return self._on_stream_frame(convert(value, kind))
        received = frame_of(value)
        match received:
            case Close(error):
                self.state = State.CLOSED
                return Closed(from_wire(error))
            case Hello() if self.state is State.GREETING and self._admit is not None:
                return self._on_hello(received, self._admit)
            case HelloAck() if self.state is State.GREETING and self._admit is None:
                if not VERSION_MIN <= received.version <= VERSION_MAX:
                    text = f"version {received.version} was not offered"
                    raise ProtocolViolation(text, code="bad_version")
                return self._open(Opened(received.node, "", received.version))
            case Ping() if self.is_open:
                self._send(Pong())
            case Pong() if self.is_open:
                pass
            case _:
                raise _out_of_turn(type(received).__name__)
        return None

    def _on_hello(self, hello: Hello, admit: Admit) -> Opened:
        version = min(hello.version_max, VERSION_MAX)
        if version < max(hello.version_min, VERSION_MIN):
            raise Refused(
                f"{hello.node} speaks versions {hello.version_min} to {hello.version_max} of the protocol, {self._node} {VERSION_MIN} to {VERSION_MAX}",
                code="version_mismatch",
                hint="bring both to the same release",
            )
        admit(hello)
        self._send(HelloAck(version, self._node, LIMITS))
        return self._open(Opened(hello.node, hello.herd, version))

    def _open(self, opened: Opened) -> Opened:
        self.state = State.OPEN
        return opened

    def _on_stream_frame(self, received: StreamFrame) -> StreamEvent | None:
        is_reader = self._admit is not None
        match received:
            case Open() if is_reader:
                if received.stream != self._last + 1:
                    text = f"stream {received.stream} was opened behind {self._last}"
                    raise ProtocolViolation(text, code="bad_number")
                if len(self._streams) >= STREAMS_MAX:
                    text = f"more than {STREAMS_MAX} streams"
                    raise ProtocolViolation(text, code="limit_exceeded")
                self._last = received.stream
                self._streams[received.stream] = _Stream()
                return received
            case Data(number, data) if is_reader:
                self._take_room(number, len(data))
                is_wanted = not self._streams[number].is_reset
                return Came(number, memoryview(data)) if is_wanted else None
            case End(number) if is_reader:
                was = self._known(number, "End")
                del self._streams[number]
                return None if was.is_reset else Ended(number)
            case Reset(number, error) if is_reader:
                was = self._known(number, "Reset")
                del self._streams[number]
                return None if was.is_reset else BrokenOff(number, from_wire(error))
            case Room(number, size) if not is_reader:
                return self._on_room(number, size)
            case Reset(number, error) if not is_reader:
                if self._is_over(number):
                    return None  # ours was under way
                self._send(End(number))
                del self._streams[number]
                return BrokenOff(number, from_wire(error))
        raise _out_of_turn(type(received).__name__)

    def _on_room(self, number: int, size: int) -> StreamEvent | None:
        if self._is_over(number):
            return None
        self._streams[number].room += size
        return Roomy(number)

    def _is_over(self, number: int) -> bool:
        """Say whether we have ended a stream already. Raises ProtocolViolation for one that never was."""
        if number > self._last:
            raise ProtocolViolation(f"stream {number} was never opened", code="bad_number")
        return number not in self._streams

    def _known(self, number: int, kind: str) -> _Stream:
        found = self._streams.get(number)
        if found is None:
            raise ProtocolViolation(
                f"{kind} of stream {number}, which is not open", code="bad_number"
            )
        return found

    def _take_room(self, number: int, size: int) -> None:
        if not self.is_open or self._admit is None:
            raise _out_of_turn("Data")
        stream = self._known(number, "Data")
        if size > stream.room:
            text = f"{size} bytes for stream {number}, which has room for {stream.room}"
            raise ProtocolViolation(text, code="limit_exceeded")
        stream.room -= size

    # What goes out.

    def open(self, edge: str, attempt: int, token: bytes) -> int:
        """Open a stream and return its number; it has no room yet. There must be a place."""
        assert self.has_place
        self._last += 1
        self._streams[self._last] = _Stream()
        self._send(Open(self._last, edge, attempt, token))
        return self._last

    def room(self, stream: int) -> int:
        """Return how many bytes may be sent now, in one frame."""
        found = self._streams.get(stream)
        return 0 if found is None else min(found.room, DATA_BYTES_MAX)

    def data(self, stream: int, data: Buffer) -> None:
        """Send bytes for which there is room. They are not copied."""
        assert 0 < len(data) <= self.room(stream)
        self._streams[stream].room -= len(data)
        self._put(data_head(stream, len(data)))
        self._put(data)

    def finish(self, stream: int) -> None:
        """Say that no more comes, unless the stream is over."""
        if self._streams.pop(stream, None) is not None and self.is_open:
            self._send(End(stream))

    def give(self, stream: int, size: int) -> None:
        """Give a stream of the peer's room; the first time that takes it."""
        found = self._streams.get(stream)
        if found is not None and not found.is_reset and self.is_open:
            found.room += size
            self._send(Room(stream, size))

    def reset(self, stream: int, error: RuninkError) -> None:
        """Break a stream off, unless it is over."""
        found = self._streams.get(stream)
        if found is None or found.is_reset or not self.is_open:
            return
        if self._admit is None:
            del self._streams[stream]
        else:
            found.is_reset = True
        self._send(Reset(stream, _short(error)))

    def close(self, error: RuninkError) -> Closed:
        """Send the last frame. Returns the event, for who closes from outside."""
        if not self.is_closed:
            self.state = State.CLOSED
            self._send(Close(_short(error)))
        return Closed(error)

    def take_output(self) -> list[Buffer]:
        """Return what is to be written, once."""
        data, self._output = self._output, []
        return data

    def _send(self, sent: object) -> None:
        self._put(frame(encode(sent)))

    def _put(self, data: Buffer) -> None:
        self._output.append(data)


def _short(error: RuninkError) -> WireError:
    return changed(to_wire(error), text=error.text[:TEXT_MAX], findings=())


def _out_of_turn(kind: str) -> ProtocolViolation:
    return ProtocolViolation(f"{kind} out of turn", code="out_of_turn")
