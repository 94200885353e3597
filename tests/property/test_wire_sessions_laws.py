"""Laws of sessions: two of them agree on everything that was sent, and no input makes one of them raise."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from runink.errors import NotFound
from runink.testing.frames import plain_events
from runink.wire.codec import encode
from runink.wire.events import Closed, Event, Expired, Opened, State
from runink.wire.frames import frame
from runink.wire.messages import Answer, Ask, Credit, Failure, Limits, Tell
from runink.wire.session import Session

LIMITS = Limits(1 << 16, 4, 4)


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_no_bytes_make_a_session_raise(pieces: list[bytes]):
    for session in (Session.accepting("two", now=0.0), Session.connecting("one", now=0.0)):
        events = [event for piece in pieces for event in session.receive(piece, now=0.0)]
        assert sum(isinstance(event, Closed) for event in events) <= 1
        assert (session.state is State.CLOSED) == any(isinstance(one, Closed) for one in events)


frames = st.recursive(
    st.none() | st.integers(0, 300) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.integers(0, 12), st.lists(frames, max_size=7)), max_size=6))
def test_no_frames_make_an_open_session_raise(sent: list[tuple[int, list[Any]]]):
    one, two = Session.connecting("one", now=0.0), Session.accepting("two", now=0.0, limits=LIMITS)
    two.receive(one.take_output(), now=0.0)
    events: list[Event] = []
    for kind, fields in sent:
        events += two.receive(frame(encode([kind, *fields])), now=0.0)
        events += two.tick(now=1.0)
    assert sum(isinstance(event, Closed) for event in events) <= 1
    for event in one.receive(two.take_output(), now=0.0)[1:]:
        assert isinstance(event, Credit | Closed | Tell | Ask | Answer | Failure)


class TwoSessions(RuleBasedStateMachine):
    """Both ends tell, ask, answer and let time pass in any order, over a stream that is cut anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.ends = [
            Session.connecting("one", now=0.0, limits=LIMITS),
            Session.accepting("two", now=0.0, limits=LIMITS),
        ]
        self.under_way = [b"", b""]  # towards each
        self.sent: list[list[Any]] = [[], []]
        self.heard: list[list[Any]] = [[], []]
        self.open_asks: list[set[int]] = [
            set(),
            set(),
        ]  # that an end has asked, and nobody answered
        self.serving: list[dict[int, Any]] = [{}, {}]
        self.untold: list[list[int]] = [[], []]  # numbers of Tells
        for _ in range(2):
            for end in (0, 1):
                self.carry(end, 1.0)

    @rule(end=st.sampled_from([0, 1]), share=st.floats(0, 1))
    def carry(self, end: int, share: float) -> None:
        other = 1 - end
        self.under_way[other] += self.ends[end].take_output()
        cut = round(len(self.under_way[other]) * share)
        data, self.under_way[other] = self.under_way[other][:cut], self.under_way[other][cut:]
        self._hear(other, plain_events(self.ends[other].receive(data, now=self.now)))

    def _hear(self, end: int, events: list[Event]) -> None:
        for event in events:
            match event:
                case Tell():
                    self.heard[end].append(event.body)
                    self.untold[end].append(event.number)
                case Ask():
                    self.heard[end].append(event.body)
                    self.serving[end][event.number] = event.body
                case Answer(number, body):
                    assert body == ["answer", number]
                    self.open_asks[end].remove(number)
                case Failure(number):
                    self.open_asks[end].remove(number)
                case Expired(number):
                    del self.serving[end][number]
                case Opened() | Credit():
                    pass
                case Closed(error):
                    raise AssertionError(error.text)

    @rule(end=st.sampled_from([0, 1]), body=st.integers())
    def tell(self, end: int, body: int) -> None:
        body %= 1 << 60
        if self.ends[end].tells_room:
            self.ends[end].tell("a", "b", body)
            self.sent[end].append(body)

    @rule(end=st.sampled_from([0, 1]), within_s=st.floats(0, 20))
    def ask(self, end: int, within_s: float) -> None:
        if self.ends[end].asks_room:
            number = self.ends[end].ask("a", "b", "ask", within_s=within_s)
            self.sent[end].append("ask")
            self.open_asks[end].add(number)

    @precondition(lambda self: any(self.serving))
    @rule(end=st.sampled_from([0, 1]), fails=st.booleans(), data=st.data())
    def answer(self, end: int, *, fails: bool, data: st.DataObject) -> None:
        if self.serving[end]:
            number = data.draw(st.sampled_from(sorted(self.serving[end])))
            del self.serving[end][number]
            if fails:
                self.ends[end].fail(number, NotFound("no"))
            else:
                self.ends[end].answer(number, ["answer", number])

    @rule(end=st.sampled_from([0, 1]))
    def settle(self, end: int) -> None:
        if self.untold[end]:
            self.ends[end].settle_tell(self.untold[end].pop(0))

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for end in (0, 1):
            self._hear(end, self.ends[end].tick(now=self.now))
        for end in (0, 1, 0, 1):  # nobody is silent for so long that it is given up
            self.carry(end, 1.0)

    @invariant()
    def what_was_heard_is_what_was_sent(self) -> None:
        for end in (0, 1):
            heard = self.heard[1 - end]
            assert heard == self.sent[end][: len(heard)]

    @invariant()
    def nobody_is_closed_by_who_keeps_the_rules(self) -> None:
        assert all(end.state is State.OPEN for end in self.ends)

    def teardown(self) -> None:
        for _ in range(3):
            for end in (0, 1):
                self.carry(end, 1.0)
        assert self.heard[1] == self.sent[0]
        assert self.heard[0] == self.sent[1]


TestTwoSessions = TwoSessions.TestCase
TestTwoSessions.settings = settings(max_examples=60, stateful_step_count=40)
