"""One connection as a pure state machine: bytes and time in, bytes and events out.

    state      what happens                        then                                          next
    greeting   (connecting) it is made             sends Hello
               (accepting) Hello, versions meet    asks `admit`, sends HelloAck, Opened          open
                 and that takes time               Greeted: `let_in` sends HelloAck, Opened      greeting
               (accepting) no version in common,   sends Close, Closed                           closed
                 or `admit` refuses
               (connecting) HelloAck               Opened                                        open
               HANDSHAKE_S are over                sends Close, Closed                           closed
    open       Tell, Ask                           the frame is an event                         open
               Answer, Failure, Credit             the frame is an event                         open
               an Ask's time is over, and GRACE_S  answers it with TimedOut, Expired             open
               nothing has come for PING_S         sends Ping                                    open
               nothing has come for SILENT_S       Closed (LinkLost)                             closed
               a frame is too slow (`pace.py`)     sends Close, Closed (ProtocolViolation)       closed
               no room for an Ask's bytes          answers it with Overloaded                    open
               Ping                                sends Pong                                    open
    not closed Close                               Closed, with the error that it holds          closed
               any other frame, a limit exceeded   sends Close, Closed (ProtocolViolation)       closed
               the stream ends                     Closed (LinkLost)                             closed
    closed     anything                            nothing                                       closed

Limits of what comes in, each announced to the peer in Hello or HelloAck and kept by both: bytes of a frame, Asks without an answer,
Tells without credit; beside them those of `sizes.py` and `arrivals.py`.  What the peer announced is held when sending: `ask` and `tell` may be called only while `asks_room` and `tells_room` say so.
Every Ask is answered once, by its actor or when its time is over, so both sides count the same Asks as open.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from runink.errors import (
    Invalid,
    LinkLost,
    Overloaded,
    ProtocolViolation,
    Refused,
    RuninkError,
    TimedOut,
    WireError,
    from_wire,
    to_wire,
)
from runink.wire.arrivals import UNDER_WAY_MAX, Arrivals, too_many
from runink.wire.codec import encode
from runink.wire.events import Admit, Closed, Event, Expired, Greeted, Opened, State, admit_all
from runink.wire.frames import FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, FrameReader, frame
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
    head_of,
    read_frame,
)
from runink.wire.pace import Pace
from runink.wire.sizes import Sizes, none_larger
from runink.wire.versions import agreed_version, check_offered

HANDSHAKE_S: Final = 5.0  # the longest that somebody unknown may hold a connection
HELLO_BYTES_MAX: Final = 64 << 10  # of a frame before the handshake: credentials and some names
PING_S: Final = 10.0
SILENT_S: Final = 30.0  # two Pings and their answers lost: the other side is gone
GRACE_S: Final = 1.0  # the asker's own clock ends an Ask first, in all but the worst cases
ASKS_MAX: Final = 1024  # an actor's mailbox has 64 places; this is for watches and many actors
TELLS_MAX: Final = 256

DEFAULT_LIMITS: Final = Limits(FRAME_BYTES_MAX, ASKS_MAX, TELLS_MAX)


class Session:
    """One end. `Session.connecting` and `Session.accepting` make it."""

    def __init__(
        self,
        node: str,
        *,
        now: float,
        limits: Limits = DEFAULT_LIMITS,
        admit: Admit | None = None,
        sizes: Sizes = none_larger,
    ) -> None:
        self.state = State.GREETING
        self._node = node
        self._limits = limits
        self._admit = admit  # nothing at the connecting end
        self._hello: Hello | None = None  # that is looked at
        self._sizes = sizes
        self._frames = FrameReader(bytes_max=min(HELLO_BYTES_MAX, limits.frame_bytes_max))
        self._pace = Pace()
        self._output: list[bytes] = []
        self.output_bytes = 0
        self._began = self._heard = now
        self._pinged = False
        # What we may send.
        self._peer = limits
        self._message_bytes_max = min(MESSAGE_BYTES_MAX, limits.frame_bytes_max)
        self._last_sent = 0
        self._last_taken = 0
        self._tells_room = 0
        self._asked: dict[int, int] = {}  # number -> bytes of the answer at most
        self._arrivals = Arrivals(limits)  # what the peer has sent
        self._serving = self._arrivals.asks

    @classmethod
    def connecting(
        cls,
        node: str,
        *,
        now: float,
        herd: str = "",
        credentials: bytes = b"",
        limits: Limits = DEFAULT_LIMITS,
        sizes: Sizes = none_larger,
    ) -> Session:
        """Return the end that opens the connection; its Hello is ready to be sent."""
        session = cls(node, now=now, limits=limits, sizes=sizes)
        session._send(Hello(VERSION_MIN, VERSION_MAX, node, herd, credentials, limits))
        return session

    @classmethod
    def accepting(
        cls,
        node: str,
        *,
        now: float,
        admit: Admit = admit_all,
        limits: Limits = DEFAULT_LIMITS,
        sizes: Sizes = none_larger,
    ) -> Session:
        """Return the end that waits for a Hello. `admit` looks at it and raises Refused if it may not come in; `sizes` says how large messages may be."""
        return cls(node, now=now, limits=limits, admit=admit, sizes=sizes)

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
        is_whole = False
        try:
            while not self.is_closed and (body := self._frames.next()) is not None:
                is_whole = True
                event = self._on_frame(read_frame(body), len(body), now)
                if event is not None:
                    events.append(event)
        except (ProtocolViolation, Refused) as error:
            events.append(self.close(error))
        if self._frames.is_between_frames:
            self._pace.since = None
        else:
            self._pace.goes_on(is_new=is_whole, now=now)
        return events

    def end(self, text: str = "the connection was closed by the other side") -> list[Event]:
        """Take note that the stream has ended, or that it is given up; `text` says why."""
        if self.is_closed:
            return []
        self.state = State.CLOSED
        return [Closed(LinkLost(text, hint="try again"))]

    def tick(self, *, now: float, is_reading: bool = True) -> list[Event]:
        """Take note of the time, and whether what the peer sends is read at all; called once a second or so."""
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
                try:
                    length = self._frames.awaited_bytes
                    self._pace.check(length, is_reading=is_reading, now=now)
                except ProtocolViolation as error:
                    return [self.close(error)]
                return self._expire(now)
            case State.CLOSED:
                return []

    def _expire(self, now: float) -> list[Event]:
        due = self._arrivals.due(now)
        for number in due:
            text = "the time that the asker gave is over"
            self.fail(number, TimedOut(text))
        return [Expired(number) for number in due]

    def _on_frame(self, received: Frame, size: int, now: float) -> Event | None:
        match received:
            case Ask() if self.state is State.OPEN:
                until = now + received.within_ms / 1000 + GRACE_S
                if self._arrivals.ask(received.number, until, size):
                    return received
                text = f"more than {UNDER_WAY_MAX} bytes of this connection wait"
                hint = "try again when others are answered"
                self.fail(received.number, Overloaded(text, hint=hint))
            case Answer(number) | Failure(number) if self.state is State.OPEN:
                if number not in self._asked:
                    raise ProtocolViolation(
                        f"an answer to {number}, which was not asked", code="bad_number"
                    )
                del self._asked[number]
                return received
            case Tell() if self.state is State.OPEN:
                self._arrivals.tell(received.number, size)
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
                    raise too_many("credits", self._peer.tells_max)
                return received
            case Ping():
                self._send(Pong())
        return None

    def _on_hello(self, hello: Hello) -> Event:
        if self.state is not State.GREETING or self._admit is None or self._hello is not None:
            raise _out_of_turn(hello)
        agreed_version(hello, self._node)
        self._hello = hello
        guest = self._admit(hello)
        return guest if isinstance(guest, Greeted) else self._acknowledge(hello, guest)

    def let_in(self, guest: object) -> list[Event]:
        """Acknowledge the Hello that was looked at (Greeted), unless the session is closed by now."""
        if self.is_closed:
            return []
        assert self.state is State.GREETING
        assert self._hello is not None
        return [self._acknowledge(self._hello, guest)]

    def _acknowledge(self, hello: Hello, guest: object) -> Event:
        version = agreed_version(hello, self._node)
        self._send(HelloAck(version, self._node, self._limits))
        return self._open(hello.limits, Opened(hello.node, hello.herd, version, guest))

    def _on_hello_ack(self, ack: HelloAck) -> Event:
        if self.state is not State.GREETING or self._admit is not None:
            raise _out_of_turn(ack)
        check_offered(ack.version)
        return self._open(ack.limits, Opened(ack.node, "", ack.version))

    def _open(self, peer: Limits, opened: Opened) -> Opened:
        self.state = State.OPEN
        self._peer = peer
        self._message_bytes_max = min(MESSAGE_BYTES_MAX, peer.frame_bytes_max)
        self._tells_room = peer.tells_max
        self._frames.bytes_max = min(MESSAGE_BYTES_MAX, self._limits.frame_bytes_max)
        self._frames.large_bytes_max = self._limits.frame_bytes_max
        self._frames.larger = self._larger
        return opened

    def _larger(self, head: bytes) -> int:
        """Return how many bytes a frame may have that begins like this."""
        found = head_of(head)
        most = MESSAGE_BYTES_MAX
        if found is not None and found.target:
            most = self._sizes(found.target, found.type)
        elif found is not None:
            most = self._asked.get(found.number, most)
        return min(most, self._limits.frame_bytes_max)

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
        sent = Tell(self._last_sent + 1, target, kind, body, traceparent)
        self._send(sent, getattr(body, "bytes_max", MESSAGE_BYTES_MAX))
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
        sent = Ask(number, target, kind, body, within_ms, traceparent)
        self._send(sent, getattr(body, "bytes_max", MESSAGE_BYTES_MAX))
        self._last_sent = number
        self._asked[number] = getattr(body, "answer_bytes_max", MESSAGE_BYTES_MAX)
        return number

    def answer(self, number: int, value: Any, *, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        """Answer the peer's Ask with this number, unless it has expired. Raises Invalid, and then nothing was sent."""
        if number in self._serving and self.state is State.OPEN:
            self._send(Answer(number, value), bytes_max)
            self._arrivals.answered(number)

    def fail(self, number: int, error: RuninkError) -> None:
        """Answer the peer's Ask with this number with an error, unless it has expired."""
        if number in self._serving and self.state is State.OPEN:
            self._send_error(partial(Failure, number), error)
            self._arrivals.answered(number)

    def settle_tell(self, number: int) -> None:
        """Take note that this Tell of the peer's has found its place: it may send another."""
        credit = self._arrivals.settled(number)
        if credit and self.state is State.OPEN:
            self._send(Credit(credit))

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

    def _send(self, sent: Frame, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        most = self._message_bytes_max
        if bytes_max > MESSAGE_BYTES_MAX:
            most = min(bytes_max, self._peer.frame_bytes_max)
        data = frame(encode(sent), bytes_max=most)
        self._output.append(data)
        self.output_bytes += len(data)


def _out_of_turn(received: Frame) -> ProtocolViolation:
    return ProtocolViolation(f"{type(received).__name__} out of turn", code="out_of_turn")
