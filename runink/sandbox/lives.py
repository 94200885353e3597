"""How slices come to life and how they end: what the spawner does about forks, ended children and strangers.

Rules
- A launch is answered once: `launched`, or `refused`.  It is refused when it is killed before its start, when the fork server dies over
  it, and when it takes too long; where its connection is gone nobody is answered, and the slice is killed and forgotten.
- A slice that is out of its wall time is told so by SIGTERM, and killed GRACE_S later, whether an agent is there or not.  However it ends by then, it was out of its time.
- A slice is killed by the pidfd of its cell's first process; the kernel then ends all that is in its pid namespace.  What plain slices leave becomes our children.
- Strangers among our children (neither the fork server nor a cell's first process) can only come from plain slices that have ended, so all of them
  are killed.  `exited` is told when none is left: slices that end at the same time wait for each other's.
"""

from __future__ import annotations

import signal

from runink.sandbox.births import Births, Told
from runink.sandbox.cells import ends
from runink.sandbox.codec import BadMessage
from runink.sandbox.confines import Confines
from runink.sandbox.door import Connection, Door
from runink.sandbox.due import soonest
from runink.sandbox.herd_networks import HerdNetworks
from runink.sandbox.inner_protocol import FROM_FORK_SERVER, INNER_FIELDS, Ended, Forked, Unforked
from runink.sandbox.kernel import children, kill_strangers
from runink.sandbox.log import describe, log
from runink.sandbox.nursery import Nurseries, Nursery
from runink.sandbox.packets import Packet, understood
from runink.sandbox.protocol import (
    HERD_NETWORK,
    Begun,
    ForkServerLost,
    ForkServerReady,
    Launch,
    Launched,
    Refused,
    Take,
)
from runink.sandbox.records import Asker, Record, Register, State
from runink.sandbox.walls import Walls
from runink.sandbox.warm_cells import WarmCells

FORKING_MAX = (
    16  # more at once gain nothing on any machine, and each has its descriptors on the way
)
LAUNCH_S = (
    30.0  # from request to start, a restart of the fork server included; longer means that it hangs
)
SURVIVOR_S = (
    5.0  # how long a slice's last processes may take to die of SIGKILL before they are reported
)
TIMEOUT = "timeout"  # a cause
PIDFD = 3  # its place among the kept descriptors: control, stdout, stderr, pidfd


class Lives:
    """The slices, from the request to the last process's end."""

    def __init__(
        self,
        door: Door,
        nurseries: Nurseries,
        walls: Walls | None,
        confines: Confines | None,
        warm_cells: WarmCells,
        networks: HerdNetworks,
    ) -> None:
        self.register = Register()
        self._door = door
        self.nurseries = nurseries
        self.warm_cells = warm_cells
        told = Told(
            self.refuse, self._begun, warm_cells.offer, warm_cells.unclaimed_began, warm_cells.lost
        )
        self.births = warm_cells.births = Births(self.register, walls, confines, told)
        self._walls = walls
        self.networks = networks
        self._confines = confines
        self._given_up: set[int] = set()  # processes that were reported as survivors
        self._must_sweep = False

    def begin(
        self,
        launch: Launch,
        connection: Connection,
        request: int,
        *,
        descriptors: list[int],
        now_s: float,
    ) -> None:
        """Make the slice's record. The descriptors become ours. Raises OSError where we have none left."""
        outfit, kept = ends()
        job, *rest = descriptors
        data, meant = rest[: launch.pipes], rest[launch.pipes :]
        record = Record(
            launch,
            Asker(connection.number, request),
            owner=connection.owner,
            handed=[*data, job],
            meant=meant,
            now_s=now_s,
        )
        record.outfit, record.kept = outfit, kept
        self.register.admit(record)

    def take(self, take: Take, connection: Connection, request: int, *, now_s: float) -> bool:
        """Make the record of a slice that begins in a cell that waited. False if there is no such cell."""
        cell = self.warm_cells.unclaimed(take.cell)
        if cell is None:
            return False
        name, attempt, _, wall_time_s = take
        record = Record(
            cell.launch._replace(slice=name, attempt=attempt, wall_time_s=wall_time_s),
            Asker(connection.number, request),
            owner=connection.owner,
            handed=[],
            meant=[],
            now_s=now_s,
        )
        self.register.admit(record)
        self.register.has_cell(record, cell.number)
        self.warm_cells.claim(cell, record, now_s=now_s)
        ended = self.births.claimed(cell, now_s=now_s)
        if ended is not None:
            self._first_ended(cell.pid, ended, now_s)
        return True

    def advance(self, *, now_s: float) -> None:
        """Do everything that is due."""
        self._sweep(now_s)
        self.births.look_again(now_s=now_s)
        self.networks.give_up(now_s=now_s)
        for record in self.register.overdue(now_s=now_s):
            self._out_of_time(record)
        unanswered = self.register.oldest_unanswered()
        if unanswered is not None and unanswered.since_s + LAUNCH_S <= now_s:
            self.births.kill(unanswered)
            self.refuse(unanswered, "launch_timed_out", f"not started within {LAUNCH_S:.0f} s")
            if not unanswered.was_taken:
                self.nurseries.of_network(_network_of(unanswered)).kill()
        self._fork_waiting(now_s)
        self.warm_cells.advance(now_s=now_s)
        if not (self.register.has_waiting or self.register.forking_count):
            self.warm_cells.make(self.nurseries)

    def next_due_s(self, *, now_s: float) -> float | None:
        """Return when `advance` has something to do next, if nothing happens before."""
        unanswered = self.register.oldest_unanswered()
        return soonest(
            unanswered.since_s + LAUNCH_S if unanswered is not None else None,
            self.register.next_deadline_s(),
            self.births.next_due_s(now_s=now_s),
            self.warm_cells.next_due_s(),
            self.networks.next_due_s(),
            *(record.since_s + SURVIVOR_S for record in self.register.ending()),
        )

    def end(self, record: Record, cause: str) -> None:
        """Kill the slice, in whichever state it is. Its first cause stays."""
        if record.state is State.WAITING:
            self.refuse(record, cause, "ended before it was started")
            return
        if record.state in (State.FORKING, State.RUNNING):
            record.cause = record.cause or cause
        if record.state is State.FORKING:
            self.births.kill(record)
        self.signal(record, signal.SIGKILL)

    def _out_of_time(self, record: Record) -> None:
        """Tell a slice to end; by force if it was told before. One whose end is on the way to us has ended by itself."""
        if record.cause:
            self.end(record, TIMEOUT)
        elif self.signal(record, signal.SIGTERM):
            record.cause = TIMEOUT

    def signal(self, record: Record, number: int) -> bool:
        """Send a signal to the slice's first process. False if it does not run."""
        if record.state is not State.RUNNING:
            return False
        try:
            signal.pidfd_send_signal(record.kept[PIDFD], number)
        except ProcessLookupError:
            return False  # its end is on the way to us
        return True

    def release(self, record: Record) -> None:
        """Forget the slice as soon as it has ended."""
        record.is_released = True
        if record.state is State.ENDED:
            self.register.remove(record)

    def disown(self, connection: int) -> None:
        """End the launches that this connection asked for and has no answer to."""
        for record in self.register:
            if record.asker is not None and record.asker.connection == connection:
                record.is_released = True
                self.end(record, "killed")

    def listen(self, *, now_s: float) -> None:
        """Take in what cells say."""
        self.births.listen(now_s=now_s)

    def refuse(self, record: Record, code: str, text: str) -> None:
        """Answer that the slice was not started, and forget it."""
        if record.asker is not None:
            self._door.send(
                record.asker.connection, Refused(code, text), request=record.asker.request
            )
        self.register.remove(record)

    def _begun(self, record: Record) -> None:
        """Answer a launch: its slice has begun."""
        asker, record.asker = record.asker, None
        if record.cause:
            self.signal(record, signal.SIGKILL)
        if asker is None:
            return
        number, request = asker
        if record.was_taken:
            self._door.send(number, Begun(), request=request)
        else:
            launched = Launched(record.name, record.launch.attempt, record.sealed)
            self._door.send(number, launched, request=request, descriptors=record.kept)

    def heard(self, packet: Packet, nursery: Nursery, *, now_s: float) -> None:
        """Act on a message from the fork server."""
        try:
            message = understood(packet, FROM_FORK_SERVER, INNER_FIELDS).message
        except BadMessage as problem:
            # It is our own program, so its memory or ours is damaged.
            log("fork server not understood", code=problem.code, problem=problem.text)
            nursery.kill()
            return
        match message:
            case Forked() | Unforked():
                self.births.heard(message, packet.descriptors)
            case Ended():
                self._first_ended(message.pid, message, now_s)
            case ForkServerReady():
                nursery.is_now_ready(message)
                log("fork server ready", problem=message.problem, threads=message.threads)
                self._door.tell_agent(message)

    def child_ended(self, ended: Ended, *, now_s: float) -> None:
        """Take note of a child that we have reaped ourselves."""
        self._given_up.discard(ended.pid)
        self._must_sweep = True
        nursery = self.nurseries.of_process(ended.pid)
        if nursery is not None:
            for packet in nursery.packets():
                self.heard(packet, nursery, now_s=now_s)
            self._fork_server_lost(nursery, f"wait status {ended.status}", now_s)
        else:
            self._first_ended(ended.pid, ended, now_s)

    def start_fork_servers(self, *, now_s: float) -> None:
        """Start those that are due."""
        for nursery in self.nurseries:
            due_s = nursery.due_s()
            if due_s is None or due_s > now_s:
                continue
            try:
                nursery.start(self._walls, self._confines)
            except OSError as error:
                self._fork_server_lost(nursery, describe(error), now_s)

    def _first_ended(self, pid: int, ended: Ended | None, now_s: float) -> None:
        """Take note that a cell's first process has ended: as its worker did, where it has told that."""
        if ended is not None:
            ended = self.births.of_first(ended)
        if self.births.keeps(pid, ended, now_s=now_s):
            return
        ended = self.births.ended(pid, ended, now_s=now_s)
        self.register.first_ended(pid, ended, now_s=now_s)

    def _fork_server_lost(self, nursery: Nursery, text: str, now_s: float) -> None:
        log("fork server lost", problem=text, network=nursery.network)
        nursery.lost(now_s=now_s)
        self.births.drop(nursery.network, "the fork server ended over it; try again")
        # Its cells are our children now; one that is not was reaped by it, and we were not told.
        ours = set(children())
        for cell in self.births.cells.all():
            if cell.network == nursery.network and cell.pid and cell.pid not in ours:
                self._first_ended(cell.pid, None, now_s)
        self._door.tell_agent(ForkServerLost(text))

    def _fork_waiting(self, now_s: float) -> None:
        """Ask for cells for the launches whose fork server is ready, the oldest first."""
        if not self.register.has_waiting or self.register.forking_count >= FORKING_MAX:
            return
        for record in self.register.waiting():
            if self.register.forking_count >= FORKING_MAX:
                return
            nursery = self._nursery_of(record, now_s)
            if nursery is None:
                continue
            if not nursery.is_ready or nursery.ready is None:
                continue
            if nursery.ready.problem:
                self.refuse(record, "no_entry", nursery.ready.problem)
                continue
            self.warm_cells.expect(record, nursery, now_s=now_s)
            self.births.begin(record, nursery)

    def _nursery_of(self, record: Record, now_s: float) -> Nursery | None:
        """Return the fork server for a launch; nothing if its network is not there yet, or cannot be."""
        launch = record.launch
        if launch.network != HERD_NETWORK or self._walls is None:
            return self.nurseries.of_network(_network_of(record))
        network = self.networks.of(launch.herd, launch.network_policy, now_s=now_s)
        if network.failure is not None:
            self.refuse(record, network.failure.code, network.failure.text)
            self.networks.forget_failure(launch.herd)
            return None
        if not network.is_ready:
            return None
        nursery = self.nurseries.of_network(_network_of(record))
        nursery.join(network.namespace, network.resolver)
        return nursery

    def _sweep(self, now_s: float) -> None:
        """Kill strangers, and tell of the slices that none of them can belong to."""
        ending = self.register.ending()
        if not (ending or self._must_sweep):
            return
        known = self.births.cells.pids | self.nurseries.pids | self.networks.pids | self._given_up
        # Of an isolated slice the kernel has ended all with its first process.
        left = kill_strangers(known) if self._must_sweep or self._walls is None else 0
        self._must_sweep = left > 0
        for record in ending:
            if not left:
                self._all_ended(record, survivors=0)
            elif record.since_s + SURVIVOR_S <= now_s:
                self._given_up |= set(children()) - known
                self._all_ended(record, survivors=left)

    def _all_ended(self, record: Record, *, survivors: int) -> None:
        self.register.all_ended(record, survivors=survivors)
        exited = record.exited()
        log("slice exited", slice=record.name, cause=exited.cause, code=exited.code)
        self._door.tell_agent(exited)
        if record.is_released:
            self.register.remove(record)


def _network_of(record: Record) -> str:
    """Name the network of a launch as its fork server is named."""
    launch = record.launch
    return f"{launch.network} {launch.herd}" if launch.network == HERD_NETWORK else launch.network
