"""Which pipe goes with which stream of which connection, and when each of them is read and written.

    it sees                                  it does
    a pipe to write to another node (Write)  dials that node's relay, unless it has; opens a stream when the connection is there
    a pipe to read from another node (Read)  waits for the stream with its edge, attempt and token (`meeting.py`)
    room, and something in a pipe            reads as much as there is room for, and sends it
    a pipe at its end                        ends the stream; the other side closes its pipe when all is written
    a pipe that nobody reads                 resets the stream; the other side closes its pipe, which its writer meets
    a connection that is over                closes the pipes of its streams: both slices see their neighbour gone
    nothing of the other side for JOIN_S     the same
    another attempt of an edge               the same for the one before

It never looks into what it carries: an edge's own frames tell a clean end from a cut (`pipes/frames.py`).  Nothing here waits but `turn`, so one thread does it all.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from runink.errors import NotFound, RuninkError, Unavailable
from runink.observe.metrics import Reading
from runink.relay.connection import READ_BYTES, Connection
from runink.relay.counting import Cause, Counting, Failure
from runink.relay.dials import IDLE_S, RETRY_S, Dial, Dials
from runink.relay.ends import WINDOW_BYTES, Incoming, Outgoing
from runink.relay.greeting import Greeting
from runink.relay.meeting import Meeting, Pending
from runink.relay.protocol import Read, Write
from runink.relay.visitors import Visitors
from runink.relay.watching import Called, Watches
from runink.sandbox.log import log
from runink.wire.events import Closed, Opened
from runink.wire.stream_frames import Open
from runink.wire.streams import BrokenOff, Came, Ended, Roomy, StreamEvent

JOIN_S: Final = 120.0  # from one side of an edge to the other: a node may have to make the packages of its project first
UNSENT_BYTES_MAX: Final = 1 << 20  # of a connection; then its pipes are read no more
LATE: Final = "the other side has not come"
ENDING: Final = "the relay ends"


class Switchboard:
    """One for a relay. `now` is a clock that never goes back, seconds."""

    def __init__(self, greeting: Greeting, *, now: Callable[[], float]) -> None:
        self._greeting = greeting
        self._now = now
        self._counting = Counting(now)
        self._watches = Watches()
        self._connections: set[Connection] = set()
        self._dials = Dials()
        self._meeting = Meeting()
        self._stalled: dict[Connection, list[Outgoing]] = {}
        self._visitors = Visitors(self._over)

    @property
    def has_streams(self) -> bool:
        """Say whether anything is carried, or waits to be."""
        return bool(
            self._meeting.pipes
            or any(one.streams or one.unsent_bytes for one in self._connections)
            or any(dial.waiting for dial in self._dials)
        )

    @property
    def has_connections(self) -> bool:
        return bool(self._connections)

    def readings(self) -> tuple[Reading, ...]:
        """Return what the relay has done so far, and has open now."""
        return tuple(self._counting.readings(self._connections, self._dials, self._meeting))

    def watch(self, descriptor: int, called: Called) -> None:
        """Call when something can be read from a descriptor of somebody else's, as a part of `turn`."""
        self._watches.watch(descriptor, select.EPOLLIN, called)

    def unwatch(self, descriptor: int) -> None:
        self._watches.unwatch(descriptor)

    def turn(self, within_s: float) -> None:
        """Wait until something happens, and do what follows."""
        ready = [one for one in self._connections if one.is_ready]
        self._watches.turn(0 if ready else within_s)
        for connection in ready:
            if connection in self._connections:
                self._step(connection)

    def tick(self) -> None:
        """Take note of the time; called once a second or so."""
        now = self._now()
        for connection in list(self._connections):
            self._happened(connection, connection.session.tick(now=now))
            self._flush(connection)
        for dial in self._dials:
            self._tick_dial(dial, now)
        pending, pipes = self._meeting.overdue(now)
        for one in pending:
            self._refuse(one, NotFound("nobody waits for its edge here", code="unknown_stream"))
        for incoming in pipes:
            self._drop(incoming, LATE)

    def part(self) -> None:
        """Say that no more will come. Who ends before the others have heard it takes from them what the kernel had still to send."""
        for connection in list(self._connections):
            connection.session.close(Unavailable(ENDING, code="stopping"))
            self._flush(connection)

    def close(self) -> None:
        """End everything at once."""
        self.part()
        for connection in list(self._connections):
            self._over(connection, ENDING)
        for incoming in self._meeting.pipes:
            self._drop(incoming, ENDING)
        for dial in self._dials:
            for outgoing in dial.waiting:
                self._drop(outgoing, ENDING)
        self._watches.close()

    # What the agent asks for.

    def write(self, wanted: Write, pipe: int) -> None:
        """Carry what is written into this pipe to another relay. The pipe is ours from now on."""
        os.set_blocking(pipe, False)
        dial = self._dials.to((wanted.at, wanted.port))
        dial.used_s = self._now()
        dial.waiting.append(Outgoing(pipe, wanted, dial.used_s + JOIN_S))
        if dial.connection is None:
            self._dial(dial)
        else:
            self._open_waiting(dial)

    def read(self, wanted: Read, pipe: int) -> None:
        """Write what comes for an edge into this pipe. It is ours from now on."""
        os.set_blocking(pipe, False)
        before = self._meeting.pipe(wanted.edge)
        if before is not None:
            self._drop(before, "another attempt has begun")
        incoming = Incoming(pipe, wanted, self._now() + JOIN_S)
        self._await_pipe(incoming)
        for one in self._meeting.expect(incoming):
            self._meet(one)

    # Connections.

    def accept(self, link: socket.socket) -> None:
        """Take a connection that somebody has made, if there is a place for it."""
        if self._visitors.refuse(link, self._now()):
            return
        with suppress(OSError):  # it is over already
            connection = self._greeting.accepted(link, now_s=self._now())
            self._begin(connection)
            self._visitors.came(connection, self._now())

    def _dial(self, dial: Dial) -> None:
        if dial.is_again:
            self._counting.reconnecting()
        name = dial.waiting[0].wanted.name
        dial.connection = self._greeting.dialled(dial.place, name, now_s=self._now())
        if dial.connection is not None:
            self._begin(dial.connection)
            return
        self._counting.failed(Failure.CONNECTION)
        dial.retry_s, dial.is_again = self._now() + RETRY_S, True

    def _tick_dial(self, dial: Dial, now: float) -> None:
        for outgoing in [one for one in dial.waiting if one.until_s <= now]:
            dial.waiting.remove(outgoing)
            self._drop(outgoing, LATE)
        connection = dial.connection
        dial.used_s = now if dial.is_used else dial.used_s
        if connection is None:
            if not dial.waiting:
                self._dials.forget(dial)
            elif dial.retry_s <= now:
                self._dial(dial)
            return
        for one in [one for one in connection.streams.values() if not one.is_taken]:
            if one.until_s <= now:
                connection.session.reset(one.stream, Unavailable(LATE, code="unknown_stream"))
                self._drop(one, LATE)
        self._open_waiting(dial)
        if now - dial.used_s >= IDLE_S:
            connection.session.close(Unavailable("it is not used", code="stopping"))
            connection.flush()
            self._over(connection, "it is not used")

    def _begin(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._rewatch(connection)

    def _rewatch(self, connection: Connection) -> None:
        called: Called = lambda _: self._step(connection)  # noqa: E731 - said once, for its type
        self._watches.watch(connection.fileno(), connection.events, called)

    def _step(self, connection: Connection) -> None:
        self._happened(connection, connection.step(self._now()))
        self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        """Send what has gathered; go on with pipes that waited for that."""
        if connection not in self._connections:
            return
        self._happened(connection, connection.flush())
        if connection.is_ended:
            self._over(connection, "the other side has gone")
        if connection not in self._connections:
            return
        if connection.unsent_bytes < UNSENT_BYTES_MAX:
            for outgoing in self._stalled.pop(connection, ()):
                self._await_data(outgoing)
        self._rewatch(connection)

    def _over(self, connection: Connection, why: str) -> None:
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._visitors.left(connection)
        self._stalled.pop(connection, None)
        self._watches.unwatch(connection.fileno())
        connection.close()
        self._meeting.forget(connection)
        dial = self._dials.of(connection)
        is_needed = bool(connection.streams or (dial is not None and dial.waiting))
        if is_needed:
            self._counting.failed(Failure.CONNECTION)
        if dial is not None:
            dial.connection, dial.retry_s = None, self._now() + RETRY_S
            dial.is_again = is_needed
            log("connection ended", to=f"{dial.place[0]}:{dial.place[1]}", why=why)
        for end in list(connection.streams.values()):
            self._drop(end, why)

    # What comes.

    def _happened(self, connection: Connection, events: Iterable[StreamEvent]) -> None:
        streams = connection.streams
        came: dict[Incoming, None] = {}  # they are written when all has come: few large writes
        for event in events:
            match event:
                case Came(stream, data):
                    self._counting.came(len(data))
                    if (incoming := streams.get(stream)) is not None:
                        incoming.take(data)
                        came[incoming] = None
                case Roomy(stream):
                    if (outgoing := streams.get(stream)) is not None:
                        outgoing.is_taken = True
                        self._await_data(outgoing)
                case Ended(stream):
                    self._on_end(connection, stream)
                case BrokenOff(stream, error):
                    self._meeting.forget(connection, stream)
                    if (end := streams.get(stream)) is not None:
                        self._drop(end, error.text)
                case Open():
                    self._meet(Pending(connection, event, self._now() + JOIN_S))
                case Opened():
                    self._visitors.said_hello(connection)
                    if (dial := self._dials.of(connection)) is not None:
                        self._open_waiting(dial)
                case Closed(error):
                    connection.flush()
                    self._over(connection, error.text)
        for incoming in came:
            if incoming.stream:  # it was not let go of meanwhile
                self._drain(incoming)

    def _open_waiting(self, dial: Dial) -> None:
        connection = dial.connection
        if connection is None or not connection.session.is_open:
            return
        while dial.waiting and connection.session.has_place:
            outgoing = dial.waiting.pop(0)
            wanted = outgoing.wanted
            outgoing.connection = connection
            outgoing.stream = connection.session.open(wanted.edge, wanted.attempt, wanted.token)
            connection.streams[outgoing.stream] = outgoing
        self._flush(connection)

    def _meet(self, come: Pending) -> None:
        """Give a stream the pipe that waits for it, keep it until there is one, or refuse it."""
        found = self._meeting.arrive(come)
        if isinstance(found, RuninkError):
            self._refuse(come, found)
        elif found is not None:
            found.connection, found.stream = come.connection, come.open.stream
            come.connection.streams[found.stream] = found
            come.connection.session.give(found.stream, WINDOW_BYTES)
            self._flush(come.connection)

    def _refuse(self, come: Pending, error: RuninkError) -> None:
        self._counting.failed(Failure.REFUSAL)
        log("stream refused", edge=come.open.edge, attempt=come.open.attempt, code=error.code)
        come.connection.session.reset(come.open.stream, error)
        self._flush(come.connection)

    # From a pipe to a stream.

    def _await_data(self, outgoing: Outgoing) -> None:
        self._counting.go_on(outgoing)
        if outgoing.stream:
            called: Called = lambda _: self._pump(outgoing)  # noqa: E731 - as above
            self._watches.watch(outgoing.pipe, select.EPOLLIN, called)

    def _pump(self, outgoing: Outgoing) -> None:
        """Carry what is in a pipe, as far as there is room for it."""
        connection = outgoing.connection
        assert connection is not None
        room = min(connection.session.room(outgoing.stream), READ_BYTES)
        if not room:
            self._watches.unwatch(outgoing.pipe)  # until there is some
            self._counting.wait(outgoing, Cause.READER)
            return
        if connection.unsent_bytes >= UNSENT_BYTES_MAX:
            self._watches.unwatch(outgoing.pipe)
            self._stalled.setdefault(connection, []).append(outgoing)
            self._counting.wait(outgoing, Cause.NETWORK)
            return
        try:
            data = os.read(outgoing.pipe, room)
        except BlockingIOError:
            return
        if data:
            connection.session.data(outgoing.stream, data)
            self._counting.sent(len(data))
        else:
            connection.session.finish(outgoing.stream)
            self._release(outgoing)
        self._flush(connection)

    # From a stream to a pipe.

    def _await_pipe(self, incoming: Incoming) -> None:
        """Hear when nobody reads any more, and when there is room if something is kept."""
        called: Called = lambda happened: self._on_pipe(incoming, happened)  # noqa: E731 - as above
        self._watches.watch(incoming.pipe, select.EPOLLOUT if incoming.kept else 0, called)

    def _on_pipe(self, incoming: Incoming, happened: int) -> None:
        connection = incoming.connection
        if happened & select.EPOLLERR:
            self._consumer_gone(incoming)
        else:
            self._drain(incoming)
        if connection is not None:
            self._flush(connection)

    def _drain(self, incoming: Incoming) -> None:
        """Write what is kept, and give room for it; the connection is to be flushed then."""
        try:
            incoming.write()
        except OSError:
            self._consumer_gone(incoming)
            return
        incoming.give()
        if incoming.is_ended and not incoming.kept:
            self._release(incoming)
        else:
            self._await_pipe(incoming)

    def _on_end(self, connection: Connection, stream: int) -> None:
        self._meeting.forget(connection, stream)
        incoming = connection.streams.pop(stream, None)
        if incoming is not None:
            incoming.is_ended = True
            incoming.connection = None  # what is kept is ours alone now
            self._drain(incoming)

    def _consumer_gone(self, incoming: Incoming) -> None:
        if incoming.connection is not None:
            error = Unavailable("the slice behind reads no more", code="consumer_gone")
            incoming.connection.session.reset(incoming.stream, error)
        self._release(incoming)

    # Ends.

    def _drop(self, end: Outgoing | Incoming, why: str) -> None:
        """Close a pipe before its time: the slice there sees its neighbour gone."""
        self._counting.failed(Failure.STREAM)
        log("stream broken off", edge=end.wanted.edge, attempt=end.wanted.attempt, why=why)
        if isinstance(end, Incoming) and end.connection is not None:
            end.connection.session.reset(end.stream, Unavailable(why, code="consumer_gone"))
        self._release(end)

    def _release(self, end: Outgoing | Incoming) -> None:
        """Let go of a pipe; its stream has ended, or does not matter any more."""
        if end.connection is not None:
            end.connection.streams.pop(end.stream, None)
        end.connection, end.stream = None, 0
        if isinstance(end, Incoming):
            self._meeting.leave(end)
        else:
            self._counting.go_on(end)
        self._watches.unwatch(end.pipe)
        os.close(end.pipe)
