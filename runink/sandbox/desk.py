"""What the spawner does about each request, about connections that end, and as time passes.  Slices themselves: `lives.py`.

A message that cannot be understood is refused and changes nothing; its connection is closed, unless it is the agent's and the message's number
could be read: then the agent gets its answer and goes on.
"""

from __future__ import annotations

import os
import resource
from typing import Any, NamedTuple, assert_never

from runink import capabilities
from runink.capabilities import NAMESPACES, Told
from runink.sandbox.cgroup_spares import OPEN_MAX, serving_max
from runink.sandbox.codec import BadMessage
from runink.sandbox.door import Connection, Door
from runink.sandbox.due import soonest
from runink.sandbox.kernel import is_sealed
from runink.sandbox.lives import Lives
from runink.sandbox.log import describe, log
from runink.sandbox.nursery import Nurseries
from runink.sandbox.packets import Packet, close_all, understood
from runink.sandbox.protocol import (
    FIELDS,
    HERD_NETWORK,
    HOST_NETWORK,
    ISOLATION,
    NO_NETWORK,
    READ_ONLY,
    READ_WRITE,
    TO_SPAWNER,
    VERSION,
    Done,
    Hello,
    Hold,
    Kill,
    Launch,
    List,
    Preload,
    Refused,
    Release,
    Shutdown,
    Signal,
    Take,
    Welcome,
    is_preloadable,
)
from runink.sandbox.records import Asker, State

CLOSE_S = 10.0  # for slices to die at the end, and for an agent to read how they ended
KEPT_PER_SLICE = 9  # the agent's four ends, two of its cell, up to three of its cgroups
KEPT_FREE = 300  # descriptors that stay free for connections and for the pipes of one more launch

NO_CELL = Refused("no_cell", "that cell does not wait any more")

Answer = Done | Refused | None  # nothing: answered later, or already


class Terms(NamedTuple):
    """How long a spawner serves, and whom.

    `orphan_s` is how long slices outlive their agent's connection, `first_s` how long it waits for the first agent.  One that `stays` ends neither then nor when an agent asks for it: who started it
    does that.  `serves_another` says that its agent is not of its own user: what is a plain process here would have more rights than that.
    """

    orphan_s: float
    first_s: float
    stays: bool = False
    serves_another: bool = False


class Desk:
    """Requests and time. `found` is what the machine has, and lacks."""

    def __init__(
        self,
        door: Door,
        lives: Lives,
        nurseries: Nurseries,
        terms: Terms,
        *,
        found: Told,
        now_s: float,
    ) -> None:
        self._door = door
        self._lives = lives
        self._nurseries = nurseries
        self._terms = terms
        self._found = found
        self._alone_until_s: float | None = None if terms.stays else now_s + terms.first_s
        self._preloads: list[tuple[Asker, list[str]]] = []
        self._closed_by_s: float | None = None

    def advance(self, *, now_s: float) -> None:
        """Do everything that is due."""
        for connection in self._door.expired(now_s=now_s):
            self.parted(connection, now_s=now_s)
        if self._alone_until_s is not None and self._alone_until_s <= now_s:
            self._left_alone(now_s)
        if self._closed_by_s is None:
            self._lives.start_fork_servers(now_s=now_s)
        self._lives.advance(now_s=now_s)
        self._answer_preloads()

    def next_due_s(self, *, now_s: float) -> float | None:
        """Return when `advance` has something to do next, if nothing happens before."""
        return soonest(
            self._alone_until_s,
            self._closed_by_s,
            self._door.next_expiry_s(),
            self._lives.next_due_s(now_s=now_s),
            self._nurseries.due_s() if self._closed_by_s is None else None,
        )

    def close(self, why: str, *, now_s: float) -> None:
        """Take no launches any more and kill all slices."""
        if self._closed_by_s is not None:
            return
        log("spawner ending", why=why)
        self._closed_by_s, self._alone_until_s = now_s + CLOSE_S, None
        self._end_all()

    def _left_alone(self, now_s: float) -> None:
        """End the slices that no agent came back for, and ourselves unless we stay."""
        if not self._terms.stays:
            self.close("left alone", now_s=now_s)
            return
        self._alone_until_s = None
        if self._lives.register.has_living:
            log("slices ended", why="left alone")
        self._end_all()

    def _end_all(self) -> None:
        for record in self._lives.register:
            self._lives.end(record, "killed")
        self._lives.warm_cells.drop_all()

    def is_closed(self, *, now_s: float) -> bool:
        """Say whether nothing is left to do: no slice lives, and the agent has been told so."""
        if self._closed_by_s is None:
            return False
        agent = self._door.agent
        is_told = agent is None or agent.outbox.is_empty
        return (is_told and not self._lives.register.has_living) or now_s >= self._closed_by_s

    def parted(self, connection: Connection, *, now_s: float) -> None:
        """Take note that a connection is gone: what it asked for and was not answered will not be."""
        if connection is self._door.agent:
            self._lives.warm_cells.drop_all()
            if self._closed_by_s is None:
                log("agent gone", orphan_seconds=self._terms.orphan_s)
                self._alone_until_s = now_s + self._terms.orphan_s
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
            if type(message) is Take and connection is self._door.agent:
                self._lives.warm_cells.spoil(message.cell)
            self._reply(connection, problem_found, request)
            return bool(request) and connection is self._door.agent
        answer = self._done(connection, request, message, packet, now_s)
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
            return self._room_problem(message.slice) or self._launch_problem(message, descriptors)
        if type(message) is Take and not descriptors:
            return self._room_problem(message.slice)
        if descriptors:
            return Refused("descriptor_count", "descriptors come with a launch only")
        if type(message) is Hello and message.version != VERSION:
            return Refused("version", f"this spawner speaks version {VERSION}")
        if type(message) is Hello and self._closed_by_s is not None:
            return Refused("spawner_ending", "this spawner is ending")
        if type(message) is Shutdown and self._terms.stays:
            return Refused("spawner_stays", "this spawner is a service: who started it ends it")
        return None

    def _room_problem(self, name: str) -> Refused | None:
        """Say why there cannot be another slice of this name, or nothing."""
        register = self._lives.register
        if self._closed_by_s is not None:
            return Refused("spawner_ending", "this spawner is ending")
        if register.named(name) is not None:
            return Refused("slice_exists", f"there is a slice {name!r} already")
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        kept = KEPT_FREE + serving_max(limit) * OPEN_MAX
        if register.is_full or register.count * KEPT_PER_SLICE + kept > limit:
            return Refused("too_many_slices", f"{register.count} slices that were not released")
        return None

    def _launch_problem(self, launch: Launch, descriptors: list[int]) -> Refused | None:
        wanted = 1 + launch.pipes + len(launch.binds)
        if len(descriptors) != wanted:
            text = (
                f"a job, {launch.pipes} pipes and {len(launch.binds)} binds, not {len(descriptors)}"
            )
            return Refused("descriptor_count", text)
        if not is_sealed(descriptors[0]):
            return Refused("job_not_sealed", "the first descriptor is not sealed memory")
        paths = [launch.cwd, *(path for path, _ in launch.binds)]
        strange = next((path for path in paths if not _is_plain(path)), None)
        if strange is not None:
            return Refused("invalid_message", f"not a plain absolute path: {strange[:200]!r}")
        if launch.network == HERD_NETWORK and not self._lives.networks.are_possible:
            text = "a node without root's rights makes no networks for herds"
            return Refused("network_unavailable", text)
        not_shared = self._found.missing.get(capabilities.HOST_NETWORK)
        if launch.network == HOST_NETWORK and not_shared:
            return Refused(
                "network_unavailable", f"this node does not share its own network: {not_shared}"
            )
        if launch.network not in (NO_NETWORK, HOST_NETWORK, HERD_NETWORK):
            return Refused("network_unavailable", f"no such network: {launch.network[:40]!r}")
        if any(mode not in (READ_ONLY, READ_WRITE) for _, mode in launch.binds):
            return Refused("invalid_message", f"a bind is {READ_ONLY} or {READ_WRITE}")
        problem = self._found.missing.get(NAMESPACES)
        if problem and self._terms.serves_another:
            text = f"slices cannot be isolated on this node ({problem}), and plain processes would have the rights of its spawner"
            return Refused("isolation_unavailable", text)
        if problem and ISOLATION not in launch.without:
            text = f"slices cannot be isolated on this node: {problem}"
            return Refused("isolation_unavailable", text)
        return None

    def _done(
        self, connection: Connection, request: int, message: Any, packet: Packet, now_s: float
    ) -> Answer:
        """Act on a message without problems."""
        asker = Asker(connection.number, request)
        match message:
            case Hello():
                return self._on_hello(connection, asker, message, now_s)
            case Launch():
                return self._on_launch(message, connection, request, packet.descriptors, now_s)
            case Take():
                is_taken = self._lives.take(message, connection, request, now_s=now_s)
                return None if is_taken else NO_CELL
            case Hold():
                return self._on_hold(message)
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
        welcome = Welcome(VERSION, *self._found)
        pidfd = os.pidfd_open(os.getpid())
        self._door.send(asker.connection, welcome, request=asker.request, descriptors=[pidfd])
        os.close(pidfd)
        return None

    def _on_launch(
        self,
        launch: Launch,
        connection: Connection,
        request: int,
        descriptors: list[int],
        now_s: float,
    ) -> Answer:
        try:
            self._lives.begin(launch, connection, request, descriptors=descriptors, now_s=now_s)
        except OSError as error:
            close_all(descriptors)
            return Refused("no_descriptors", describe(error))
        return None

    def _on_hold(self, limits: Hold) -> Answer:
        try:
            return Done() if self._lives.warm_cells.hold(limits) else NO_CELL
        except OSError as error:
            self._lives.warm_cells.spoil(limits.cell)  # nobody knows what it is held to
            return Refused("limits_unavailable", describe(error))

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
        if not self._nurseries.want(modules):
            return Refused("too_many_modules", "too many modules to preload")
        self._preloads.append((asker, modules))
        return None

    def _answer_preloads(self) -> None:
        if not self._preloads:
            return
        waiting = []
        for asker, modules in self._preloads:
            if all(map(self._nurseries.first.has_tried, modules)):
                self._door.send(asker.connection, Done(), request=asker.request)
            elif self._door.named(asker.connection) is not None:
                waiting.append((asker, modules))
        self._preloads = waiting

    def _reply(self, connection: Connection, message: Any, request: int) -> None:
        self._door.send(connection.number, message, request=request)


def _is_plain(path: str) -> bool:
    """Say whether a path is absolute and names each of its folders once: it is a place in a new root."""
    return path.startswith("/") and not path.startswith("//") and os.path.normpath(path) == path
