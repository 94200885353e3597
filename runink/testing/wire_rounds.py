"""Rounds of a fuzzer of the wire: a session at either end, or a relay's, is sent what was nearly right, and has to keep what docs/wire-protocol.md says.

it never raises; a session that closes says why with a code of that page, and is closed
what it sends are whole frames, and each Ask has one answer at most
however the bytes come in pieces, the same happens
a body that is no message of its type is refused with Invalid; after it a good Ask is taken as before it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from runink.errors import Invalid, ProtocolViolation, RuninkError
from runink.runtime.envelope import Request, answer_type
from runink.testing.wire_values import Values
from runink.wire.codec import Raw, encode, take
from runink.wire.events import Closed, Greeted, State, admit_all
from runink.wire.frames import FRAME_BYTES_MAX, FrameReader, frame
from runink.wire.messages import (
    Answer,
    Ask,
    Close,
    Credit,
    Failure,
    Hello,
    HelloAck,
    Limits,
    Ping,
    Pong,
    Tell,
    read_frame,
)
from runink.wire.session import DEFAULT_LIMITS, Session
from runink.wire.stream_frames import Data, End, Open, Room, data_head
from runink.wire.streams import LIMITS, Came, StreamSession

CODES: Final = frozenset(
    {
        *("version_mismatch", "handshake_timed_out", "out_of_turn", "frame_too_large", "frame_empty", "frame_timed_out"),
        *("bad_encoding", "too_many_values", "nested_too_deep", "bad_value", "bad_number", "bad_version", "limit_exceeded"),
    }
)  # fmt: skip
OF_VALUES: Final = {"", "bad_value", "bad_encoding", "nested_too_deep", "too_many_values"}
SAMPLES_MAX: Final = 60  # of each class, made once
FRAMES_MAX: Final = 10  # of one round, beside the handshake
ERROR: Final = {
    "kind": "NotFound",
    "code": "no_key",
    "text": "no key a",
    "hint": "",
    "findings": [],
}
TRACE: Final = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
Kinds = Mapping[str, Mapping[str, type]]  # target -> name -> class


class Rounds:
    """One course of chance. `kinds` are the messages of each actor; `frames` counts what was sent, `said` what came of it."""

    def __init__(self, kinds: Kinds, random: Random) -> None:
        self.random = random
        self.frames = 0
        self.said: Counter[str] = Counter()
        self._values = Values(random)
        self._samples = [
            (target, name, kind, [self._values.message(kind) for _ in range(SAMPLES_MAX)])
            for target, of_target in kinds.items()
            for name, kind in of_target.items()
        ]
        self._kinds = kinds
        self._has_closed = False  # this round's peer, with whatever it says

    def one(self) -> None:
        """Make one round of some kind."""
        self.random.choice((self.accepting, self.accepting, self.connecting, self.stream))()

    # What is sent.

    def _message(self) -> tuple[str, str, Any]:
        target, name, _, samples = self.random.choice(self._samples)
        body = self.random.choice(samples)
        match self.random.randrange(8):
            case 0:
                body = self._values.changed(body)
            case 1:
                body = self._values.changed(self._values.changed(body))
            case 2:
                target = self.random.choice(("nobody", "barn", "runs", "x" * 256))
        return target, name, body

    def _frame_to_accepting(self, number: int) -> bytes:
        random = self.random
        match random.randrange(40):
            case 0:
                return encode(random.choice((Ping(), Pong(), Credit(random.randrange(1, 9)))))
            case 1:
                return encode(
                    [random.choice((5, 6)), random.randrange(4), random.choice((1, ERROR))]
                )
            case 2:
                return encode(
                    random.choice(
                        (
                            Hello(1, 1, "x", "", b"", DEFAULT_LIMITS),
                            HelloAck(1, "x", DEFAULT_LIMITS),
                        )
                    )
                )
            case 3:
                return self._values.nonsense()
            case rest if rest < 14:
                target, name, body = self._message()
                return encode(Tell(number, target, name, body, random.choice(("", TRACE))))
            case _:
                target, name, body = self._message()
                return encode(Ask(number, target, name, body, random.choice((0, 1000, 86_400_000))))

    def _frame_to_connecting(self, asked: list[int]) -> bytes:
        random = self.random
        number = random.choice(asked) if asked and random.random() < 0.9 else random.randrange(1, 9)
        match random.randrange(8):
            case 0:
                return self._values.nonsense()
            case 1:
                return encode(random.choice((Ping(), Pong(), Credit(random.randrange(1, 9)))))
            case 2:
                return encode([6, number, ERROR if random.random() < 0.7 else self._values.plain()])
            case 3:
                target, name, body = self._message()
                return encode(Tell(1, target, name, body))
            case _:
                _, _, kind, _ = random.choice(self._samples)
                answer = self._values.message(answer_type(kind)) if issubclass(kind, Request) else 1
                return encode(Answer(number, answer))

    def _frame_of_stream(self) -> bytes:
        random = self.random
        stream = random.choice((1, 1, 1, 2, 3))
        match random.randrange(9):
            case 0:
                return self._values.nonsense()
            case 1:
                return encode(Open(stream, "r/g/a/b/main", 1, bytes(32)))
            case 2:
                return encode(Room(stream, random.choice((1, 2_097_152, (1 << 32) - 1))))
            case 3:
                return encode(End(stream))
            case 4:
                return encode([15, stream, ERROR])
            case 5:
                return encode(random.choice((Ping(), Pong())))
            case 6:
                return encode(Data(stream, random.randbytes(random.choice((1, 40)))))
            case _:
                data = random.randbytes(random.choice((1, 40, 3000)))
                return data_head(stream, len(data))[4:] + data

    def _sent(self, bodies: list[bytes], hello: bytes) -> bytes:
        """Return the bytes of a handshake and some frames, of which one or the other is damaged."""
        random = self.random
        if bodies and random.random() < 0.4:
            damaged = random.randrange(len(bodies))
            bodies[damaged] = self._values.damaged(bodies[damaged]) or b"\xc0"
        self._has_closed = False
        if random.random() < 0.05:
            bodies.append(encode([10, self.random.choice((ERROR, self._values.plain()))]))
            self._has_closed = True
        if random.random() < 0.05:
            hello = self._values.damaged(hello) or b"\xc0"
        self.frames += len(bodies) + 1
        data = b"".join(frame(body) for body in (hello, *bodies))
        return self._values.damaged(data) if random.random() < 0.1 else data

    # The rounds.

    def accepting(self) -> None:
        """Be a peer that connects, asks and tells."""
        limits = self.random.choice((DEFAULT_LIMITS, Limits(1024, 1, 1), Limits(1 << 16, 3, 4)))
        hello = encode(Hello(1, 1, "fuzz", "", b"token", limits))
        is_looked_at = (
            self.random.random() < 0.1
        )  # and what is sent behind the Hello comes too early
        count = self.random.randrange(FRAMES_MAX)
        data = self._sent([self._frame_to_accepting(number + 1) for number in range(count)], hello)

        def made() -> Session:
            admit = (lambda _: Greeted(nobody)) if is_looked_at else admit_all
            return Session.accepting("two", now=0.0, admit=admit, sizes=self._size_of)

        session = made()
        events = session.receive(data, now=0.0)
        self._check_same(session, events, made(), data)
        if is_looked_at and any(isinstance(one, Greeted) for one in events):
            events += session.let_in(None)
        self._serve(session, events)

    def connecting(self) -> None:
        """Be a peer that is asked."""
        asks = [self.random.choice(self._samples) for _ in range(self.random.randrange(4))]
        hello = encode(HelloAck(1, "fuzz", DEFAULT_LIMITS))

        def made() -> Session:
            session = Session.connecting("one", now=0.0, sizes=self._size_of)
            session.receive(frame(hello), now=0.0)
            for target, name, _, samples in asks:
                session.ask(target, name, samples[0], within_s=5)
            session.take_output()
            return session

        session = made() if self.random.random() < 0.9 else Session.connecting("one", now=0.0)
        asked = list(range(1, len(asks) + 1))
        count = self.random.randrange(1, FRAMES_MAX)
        bodies = [self._frame_to_connecting(asked) for _ in range(count)]
        if session.state is State.OPEN:
            data = self._sent(bodies[1:], bodies[0])
        else:
            data = self._sent(bodies, hello)
        other = made() if session.state is State.OPEN else Session.connecting("one", now=0.0)
        events = session.receive(data, now=0.0)
        self._check_same(session, events, other, data)
        for event in events:
            if isinstance(event, Answer) and event.number <= len(asks):
                kind = asks[event.number - 1][2]
                self._take(event.body, answer_type(kind) if issubclass(kind, Request) else int)
        self._serve(session, events)

    def stream(self) -> None:
        """Be a relay, at either end."""
        is_reader = self.random.random() < 0.6

        def made() -> StreamSession:
            if is_reader:
                session = StreamSession.accepting("two", now=0.0, admit=lambda _: None)
                session.receive(frame(encode(Hello(1, 1, "fuzz", "", b"", LIMITS))), now=0.0)
                session.receive(frame(encode(Open(1, "edge", 1, bytes(32)))), now=0.0)
                session.give(1, 5000)
            else:
                session = StreamSession.connecting("one", now=0.0)
                session.receive(frame(encode(HelloAck(1, "fuzz", LIMITS))), now=0.0)
                session.open("edge", 1, bytes(32))
            session.take_output()
            return session

        session = made()
        bodies = [self._frame_of_stream() for _ in range(self.random.randrange(1, FRAMES_MAX))]
        data = self._sent(bodies[1:], bodies[0])
        events = session.receive(data, now=0.0)
        if not session.is_closed and self.random.random() < 0.3:
            session.reset(1, Invalid("enough"))
            events += session.receive(frame(self._frame_of_stream()), now=0.0)
            self._note(events)
            return
        self._note(events)
        other = made()
        again: list[Any] = []
        for piece in self._pieces(data):
            again += other.receive(piece, now=0.0)
        assert joined(events) == joined(again), data.hex()
        assert b"".join(session.take_output()) == b"".join(other.take_output()), data.hex()

    # What has to hold.

    def _size_of(self, target: str, kind: str) -> int:
        return FRAME_BYTES_MAX if kind in self._kinds.get(target, ()) else 1 << 20

    def _pieces(self, data: bytes) -> list[bytes]:
        if self.random.random() < 0.3 and len(data) < 2000:
            return [data[at : at + 1] for at in range(len(data))]
        cuts = sorted(self.random.randrange(len(data) + 1) for _ in range(4))
        return [data[a:b] for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True)]

    def _check_same(self, session: Session, events: list[Any], other: Session, data: bytes) -> None:
        """Check that it is all the same however the bytes come."""
        again: list[Any] = []
        for piece in self._pieces(data):
            again += other.receive(piece, now=0.0)
        self._note(events)
        assert list(map(shown, events)) == list(map(shown, again)), data.hex()
        assert session.state is other.state, data.hex()

    def _note(self, events: list[Any]) -> None:
        for event in events:
            self.said[type(event).__name__.removeprefix("_Raw")] += 1
            if isinstance(event, Closed):
                assert event is events[-1]
                assert event.error.code in CODES or self._has_closed, event.error
                self.said[event.error.code if event.error.code in CODES else "their error"] += 1

    def _take(self, body: Any, kind: Any) -> bool:
        """Say whether a body is a value of its type; what it is else is told as ours."""
        code = ""
        try:
            take(body, kind)
        except ProtocolViolation as error:
            code = error.code
        assert code in OF_VALUES
        self.said[f"refused {code}" if code else "taken"] += 1
        return not code

    def _serve(self, session: Session, events: list[Any]) -> None:
        """Do what a reception does with events, and check what is sent."""
        for event in events:
            if isinstance(event, Ask | Tell):
                kind = self._kinds.get(event.target, {}).get(event.type)
                is_good = kind is not None and self._take(event.body, kind)
                if isinstance(event, Tell):
                    session.settle_tell(event.number)
                    continue
                if not is_good:
                    session.fail(event.number, Invalid("bad", code="bad_message"))
                elif self.random.random() < 0.7:
                    self._answer(session, event.number)
        if session.state is State.OPEN and self.random.random() < 0.2:
            session.tick(now=self.random.choice((1.0, 5.0, 12.0, 40.0)))
        if session.state is State.OPEN and not session._frames.awaited_bytes:  # noqa: SLF001 - half a frame would swallow it
            self._ask_well(session)
        self._check_output(session)

    def _answer(self, session: Session, number: int) -> None:
        try:
            session.answer(number, self._values.plain())
        except RuninkError as error:
            session.fail(number, error)

    def _ask_well(self, session: Session) -> None:
        """Check that an Ask is taken now as on the first day, where there is a place for it."""
        if not session._frames.is_between_frames:  # noqa: SLF001 - half a length would swallow it
            return
        number = session._arrivals._last + 1  # noqa: SLF001 - what came is of no matter
        for event in session.receive(frame(encode(Ask(number, "a", "b", None, 1000))), now=0.0):
            assert isinstance(event, Ask), event
            assert event.number == number
            session.answer(number, 1)

    def _check_output(self, session: Session) -> None:
        reader = FrameReader()
        reader.feed(session.take_output())
        answered = set()
        while (body := reader.next()) is not None:
            sent = read_frame(body)
            if isinstance(sent, Answer | Failure):
                assert sent.number not in answered
                answered.add(sent.number)
            if isinstance(sent, Close):
                assert session.state is State.CLOSED
        assert reader.is_between_frames


async def nobody() -> None:
    """Find out nothing: a round says itself how it ends."""


def shown(event: Any) -> str:
    """Return an event as a text that is the same for the same event."""
    if isinstance(event, Closed):
        return f"Closed {type(event.error).__name__} {event.error.code} {event.error.text}"
    if isinstance(event, Ask | Tell | Answer) and type(event.body) is Raw:
        fields = [getattr(event, name) for name in event.__struct_fields__ if name != "body"]
        return f"{type(event).__name__} {fields} {bytes(event.body).hex()}"
    return repr(event)


def joined(events: list[Any]) -> list[str]:
    """Return events of a relay, with data that came in pieces put together."""
    found: list[str] = []
    data: dict[int, bytes] = {}
    for event in events:
        if isinstance(event, Came):
            data[event.stream] = data.get(event.stream, b"") + bytes(event.data)
        else:
            found.append(shown(event))
    return [*found, *(f"{stream} {came.hex()}" for stream, came in sorted(data.items()))]
