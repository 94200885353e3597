"""What the spawner does about each request, about connections that end, and as time passes.  Slices themselves: `lives.py`.

A message that cannot be understood is refused and changes nothing; its connection is closed, unless it is the agent's and the message's number
could be read: then the agent gets its answer and goes on.
"""

from __future__ import annotations

import os
import resource
from typing import Any, assert_never

from runink.sandbox.codec import BadMessage
from runink.sandbox.door import Connection, Door
from runink.sandbox.kernel import is_sealed
from runink.sandbox.lives import Lives
from runink.sandbox.log import describe, log
from runink.sandbox.nursery import Nursery
from runink.sandbox.packets import Packet, close_all, understood
from runink.sandbox.protocol import (
    DATA_DESCRIPTORS_MAX,
    FIELDS,
    TO_SPAWNER,
    VERSION,
    Done,
    Hello,
    Kill,
    Launch,
    List,
    Preload,
    Refused,
    Release,
    Shutdown,
    Signal,
    Welcome,
    is_preloadable,
)
from runink.sandbox.records import Asker, State

CLOSE_S = 10.0  # for slices to die at the end, and for an agent to read how they ended
KEPT_PER_SLICE = 4
KEPT_FREE = 300  # descriptors that stay free for connections and for the pipes of one more launch

Answer = Done | Refused | None  # nothing: answered later, or already


class Desk:
    """Requests and time. `orphan_s`: how long slices outlive their agent's connection."""

    def __init__(
        self, door: Door, lives: Lives, nursery: Nursery, *, orphan_s: float, alone_until_s: float
    ) -> None:
        self._door = door
        self._lives = lives
        self._nursery = nursery
        self._orphan_s = orphan_s
        self._alone_until_s: float | None = alone_until_s
        self._preloads: list[tuple[Asker, list[str]]] = []
        self._closed_by_s: float | None = None

    def advance(self, *, now_s: float) -> None:
        """Do everything that is due."""
        for connection in self._door.expired(now_s=now_s):
            self.parted(connection, now_s=now_s)
        if self._alone_until_s is not None and self._alone_until_s <= now_s:
            self.close("left alone", now_s=now_s)
        due_s = self._nursery.due_s()
        if due_s is not None and due_s <= now_s and self._closed_by_s is None:
            self._lives.start_fork_server(now_s=now_s)
        self._lives.advance(now_s=now_s)
        self._answer_preloads()

    def next_due_s(self) -> float | None:
        """Return when `advance` has something to do next, if nothing happens before."""
        times = [
            self._alone_until_s,
            self._closed_by_s,
            self._door.next_expiry_s(),
            self._lives.next_due_s(),
            self._nursery.due_s() if self._closed_by_s is None else None,
        ]
        return min((due_s for due_s in times if due_s is not None), default=None)

    def close(self, why: str, *, now_s: float) -> None:
        """Take no launches any more and kill all slices."""
        if self._closed_by_s is not None:
            return
        log("spawner ending", why=why)
        self._closed_by_s, self._alone_until_s = now_s + CLOSE_S, None
        for record in self._lives.register:
            self._lives.end(record, "killed")

    def is_closed(self, *, now_s: float) -> bool:
        """Say whether nothing is left to do: no slice lives, and the agent has been told so."""
        if self._closed_by_s is None:
            return False
        agent = self._door.agent
        is_told = agent is None or agent.outbox.is_empty
        return (is_told and not self._lives.register.has_living) or now_s >= self._closed_by_s

    def parted(self, connection: Connection, *, now_s: float) -> None:
        """Take note that a connection is gone: what it asked for and was not answered will not be."""
        if connection is self._door.agent and self._closed_by_s is None:
            log("agent gone", orphan_seconds=self._orphan_s)
            self._alone_until_s = now_s + self._orphan_s
        self._door.drop(connection)
        self._lives.disown(connection.number)

    def asked(self, connection: Connection, packet: Packet, *, now_s: float) -> bool:
        """Do what a packet asks. False if the connection is to be closed."""
        try:
            request, message = understood(packet, TO_SPAWNER, FIELDS)
        except BadMessage as problem:
            self._reply(connection, Refused(problem.code, problem.text), problem.request)
            return bool(problem.request) and connection is self._door.agent
        problem_found = self._problem(connection, request, message, packet.descriptors)
        if problem_found is not None:
            close_all(packet.descriptors)
            self._reply(connection, problem_found, request)
            return bool(request) and connection is self._door.agent
        answer = self._done(connection, Asker(connection.number, request), message, packet, now_s)
        if answer is not None:
            self._reply(connection, answer, request)
        return True

    def _problem(
        self, connection: Connection, request: int, message: Any, descriptors: list[int]
    ) -> Refused | None:
        """Say why the message must not be acted on, or nothing."""
        if not request:
            return Refused("invalid_message", "request is 0, so it cannot be answered")
        if type(message) is not Hello and connection is not self._door.agent:
            return Refused("hello_first", "the first message is hello")
        if type(message) is Launch:
            return self._launch_problem(message, descriptors)
        if descriptors:
            return Refused("descriptor_count", "descriptors come with a launch only")
        if type(message) is Hello and message.version != VERSION:
            return Refused("version", f"this spawner speaks version {VERSION}")
        if type(message) is Hello and self._closed_by_s is not None:
            return Refused("spawner_ending", "this spawner is ending")
        return None

    def _launch_problem(self, launch: Launch, descriptors: list[int]) -> Refused | None:
        if self._closed_by_s is not None:
            return Refused("spawner_ending", "this spawner is ending")
        if self._lives.register.named(launch.slice) is not None:
            return Refused("slice_exists", f"there is a slice {launch.slice!r} already")
        if not 1 <= len(descriptors) <= 1 + DATA_DESCRIPTORS_MAX:
            text = f"a job and at most {DATA_DESCRIPTORS_MAX} pipes, not {len(descriptors)}"
            return Refused("descriptor_count", text)
        if not is_sealed(descriptors[0]):
            return Refused("job_not_sealed", "the first descriptor is not sealed memory")
        if not launch.cwd.startswith("/"):
            return Refused("invalid_message", f"cwd is not absolute: {launch.cwd[:200]!r}")
        count = self._lives.register.count
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if self._lives.register.is_full or count * KEPT_PER_SLICE + KEPT_FREE > limit:
            return Refused("too_many_slices", f"{count} slices that were not released")
        return None

    def _done(
        self, connection: Connection, asker: Asker, message: Any, packet: Packet, now_s: float
    ) -> Answer:
        """Act on a message without problems."""
        match message:
            case Hello():
                return self._on_hello(connection, asker, message, now_s)
            case Launch():
                return self._on_launch(message, asker, packet.descriptors, now_s)
            case Signal() | Kill() | Release():
                return self._on_slice(message)
            case List():
                return self._on_list(asker)
            case Preload(modules):
                return self._on_preload(asker, modules)
            case Shutdown():
                self.close("asked to", now_s=now_s)
                return Done()
            case other:  # TO_SPAWNER names no other
                assert_never(other)

    def _on_hello(self, connection: Connection, asker: Asker, hello: Hello, now_s: float) -> Answer:
        before = self._door.agent
        if before is not None and before is not connection:
            self.parted(before, now_s=now_s)
        log("agent came", agent=hello.agent)
        self._door.agent, self._alone_until_s = connection, None
        welcome = Welcome(VERSION, os.getpid(), self._nursery.ready is not None)
        self._door.send(asker.connection, welcome, request=asker.request)
        return None

    def _on_launch(
        self, launch: Launch, asker: Asker, descriptors: list[int], now_s: float
    ) -> Answer:
        try:
            self._lives.begin(launch, asker, descriptors=descriptors, now_s=now_s)
        except OSError as error:
            close_all(descriptors)
            return Refused("no_descriptors", describe(error))
        return None

    def _on_slice(self, message: Signal | Kill | Release) -> Answer:
        record = self._lives.register.named(message.slice)
        if record is None:
            return Refused("no_slice", f"there is no slice {message.slice!r}")
        match message:
            case Signal(name, number):
                if not self._lives.signal(record, number):
                    return Refused("slice_not_running", f"slice {name!r} does not run")
            case Kill():
                self._lives.end(record, "killed")
            case Release():
                self._lives.release(record)
        return Done()

    def _on_list(self, asker: Asker) -> Answer:
        number, request = asker
        for record in self._lives.register:
            # A launch that is under way is answered as one, and what is on its way out is nobody's any more.
            if record.state in (State.WAITING, State.FORKING) or record.is_leaving:
                continue
            self._door.send(number, record.listed(), request=request, descriptors=record.kept)
            if record.state is State.ENDED:
                self._door.send(number, record.exited(), request=request)
        return Done()

    def _on_preload(self, asker: Asker, modules: list[str]) -> Answer:
        strange = [module for module in modules if not is_preloadable(module)]
        if strange:
            return Refused("not_preloadable", f"modules that are not preloaded: {strange[0]!r}")
        if not self._nursery.want(modules):
            return Refused("too_many_modules", "too many modules to preload")
        self._preloads.append((asker, modules))
        return None

    def _answer_preloads(self) -> None:
        waiting = []
        for asker, modules in self._preloads:
            if all(map(self._nursery.has_tried, modules)):
                self._door.send(asker.connection, Done(), request=asker.request)
            elif self._door.named(asker.connection) is not None:
                waiting.append((asker, modules))
        self._preloads = waiting

    def _reply(self, connection: Connection, message: Any, request: int) -> None:
        self._door.send(connection.number, message, request=request)
