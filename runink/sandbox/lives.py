"""How slices come to life and how they end: what the spawner does about forks, ended children and strangers.

Rules
- A launch is answered once: `launched`, or `refused`.  It is refused when it is killed before its start, when the fork server dies over
  it, and when it takes too long; where its connection is gone nobody is answered, and the slice is killed and forgotten.
- A slice is killed by the pidfd of its first process; its descendants then become our children.
- Strangers among our children (neither the fork server nor a slice's first process) can only come from slices that have ended, so all of them
  are killed.  `exited` is told when none is left: slices that end at the same time wait for each other's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket

from runink.sandbox.codec import BadMessage
from runink.sandbox.door import Door
from runink.sandbox.kernel import children, kill_strangers
from runink.sandbox.log import describe, log
from runink.sandbox.nursery import Nursery
from runink.sandbox.packets import Packet, close_all, understood
from runink.sandbox.protocol import (
    FIELDS,
    FROM_FORK_SERVER,
    Ended,
    Fork,
    ForkServerLost,
    ForkServerReady,
    Launch,
    Launched,
    Refused,
    Started,
    Unborn,
)
from runink.sandbox.records import Asker, Record, Register, State

FORKING_MAX = (
    16  # more at once gain nothing on any machine, and each has its descriptors on the way
)
LAUNCH_S = (
    30.0  # from request to start, a restart of the fork server included; longer means that it hangs
)
SURVIVOR_S = (
    5.0  # how long a slice's last processes may take to die of SIGKILL before they are reported
)
PIDFD = 3  # its place among the kept descriptors: control, stdout, stderr, pidfd


class Lives:
    """The slices, from the request to the last process's end."""

    def __init__(self, door: Door, nursery: Nursery) -> None:
        self.register = Register()
        self._door = door
        self.nursery = nursery
        self._given_up: set[int] = set()  # processes that were reported as survivors
        self._must_sweep = False

    def begin(self, launch: Launch, asker: Asker, *, descriptors: list[int], now_s: float) -> None:
        """Make the slice's record. The descriptors become ours. Raises OSError where we have none left."""
        handed, kept = _ends()
        job, data = descriptors[0], descriptors[1:]
        record = Record(launch, asker, handed=[job, *handed, *data], kept=kept, now_s=now_s)
        self.register.admit(record)

    def advance(self, *, now_s: float) -> None:
        """Do everything that is due."""
        self._sweep(now_s)
        for record in self.register.overdue(now_s=now_s):
            self.end(record, "timeout")
        unanswered = self.register.oldest_unanswered()
        if unanswered is not None and unanswered.since_s + LAUNCH_S <= now_s:
            self.refuse(unanswered, "launch_timed_out", f"not started within {LAUNCH_S:.0f} s")
            self.nursery.kill()
        self._fork_waiting()

    def next_due_s(self) -> float | None:
        """Return when `advance` has something to do next, if nothing happens before."""
        unanswered = self.register.oldest_unanswered()
        times = [record.since_s + SURVIVOR_S for record in self.register.ending()]
        if unanswered is not None:
            times.append(unanswered.since_s + LAUNCH_S)
        deadline_s = self.register.next_deadline_s()
        if deadline_s is not None:
            times.append(deadline_s)
        return min(times, default=None)

    def end(self, record: Record, cause: str) -> None:
        """Kill the slice, in whichever state it is. Its first cause stays."""
        if record.state is State.WAITING:
            self.refuse(record, cause, "ended before it was started")
            return
        if record.state in (State.FORKING, State.RUNNING):
            record.cause = record.cause or cause
        self.signal(record, signal.SIGKILL)

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

    def refuse(self, record: Record, code: str, text: str) -> None:
        """Answer that the slice was not started, and forget it."""
        if record.asker is not None:
            self._door.send(
                record.asker.connection, Refused(code, text), request=record.asker.request
            )
        self.register.remove(record)

    def heard(self, packet: Packet, *, now_s: float) -> None:
        """Act on a message from the fork server or from a slice that it has just forked."""
        try:
            message = understood(packet, FROM_FORK_SERVER, FIELDS).message
        except BadMessage as problem:
            # It is our own program, so its memory or ours is damaged.
            log("fork server not understood", code=problem.code, problem=problem.text)
            self.nursery.kill()
            return
        match message:
            case Started():
                self._started(message, packet.descriptors, now_s)
            case Unborn(name, code, text):
                record = self.register.named(name)
                if record is not None and record.state is State.FORKING:
                    self.refuse(record, code, text)
            case Ended(_, pid):
                self.register.first_ended(pid, message, now_s=now_s)
            case ForkServerReady():
                self.nursery.is_now_ready(message)
                log("fork server ready", problem=message.problem, threads=message.threads)
                self._door.tell_agent(message)

    def child_ended(self, ended: Ended, *, now_s: float) -> None:
        """Take note of a child that we have reaped ourselves."""
        self._given_up.discard(ended.pid)
        self._must_sweep = True
        if ended.pid == self.nursery.pid:
            for packet in self.nursery.packets():
                self.heard(packet, now_s=now_s)
            self._fork_server_lost(f"wait status {ended.status}", now_s)
        else:
            self.register.first_ended(ended.pid, ended, now_s=now_s)

    def start_fork_server(self, *, now_s: float) -> None:
        try:
            self.nursery.start()
        except OSError as error:
            self._fork_server_lost(describe(error), now_s)

    def _fork_server_lost(self, text: str, now_s: float) -> None:
        log("fork server lost", problem=text)
        self.nursery.lost(now_s=now_s)
        for record in self.register.forking():
            self.refuse(record, "fork_server_lost", "the fork server ended over it; try again")
        # Its slices are our children now; one that is not was reaped by it, and its last words were lost.
        ours = set(children())
        for record in self.register.running():
            if record.pid not in ours:
                self.register.first_ended(record.pid, None, now_s=now_s)
        self._door.tell_agent(ForkServerLost(text))

    def _fork_waiting(self) -> None:
        ready, outbox = self.nursery.ready, self.nursery.outbox
        while record := self.register.next_waiting():
            if ready is None or outbox is None or self.register.forking_count >= FORKING_MAX:
                return
            if ready.problem:
                self.refuse(record, "no_entry", ready.problem)
                continue
            fork = Fork(record.name, record.launch.cwd, record.launch.environment)
            if not outbox.send(fork, descriptors=record.handed):
                self.nursery.kill()
                return
            self.register.fork_sent(record)

    def _started(self, started: Started, descriptors: list[int], now_s: float) -> None:
        assert len(descriptors) == 1  # it is our own code that says so
        name, pid = started
        record = self.register.started(name, pid=pid, pidfd=descriptors[0], now_s=now_s)
        if record is None:  # refused meanwhile: too late
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptors[0], signal.SIGKILL)
            close_all(descriptors)
            return
        asker, record.asker = record.asker, None
        if record.cause:
            self.signal(record, signal.SIGKILL)
        if asker is not None:
            launched = Launched(name, record.launch.attempt, pid)
            self._door.send(
                asker.connection, launched, request=asker.request, descriptors=record.kept
            )

    def _sweep(self, now_s: float) -> None:
        """Kill strangers, and tell of the slices that none of them can belong to."""
        ending = self.register.ending()
        if not (ending or self._must_sweep):
            return
        known = self.register.pids | {self.nursery.pid} | self._given_up
        left = kill_strangers(known)
        self._must_sweep = False
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


def _ends() -> tuple[list[int], list[int]]:
    """Make a slice's control and log channels: return its ends and the agent's, both as control, stdout, stderr."""
    made: list[int] = []
    try:
        for pair in (socket.socketpair(), None, None):
            made += (pair[0].detach(), pair[1].detach()) if pair else os.pipe()[::-1]
    except OSError:
        close_all(made)
        raise
    return made[::2], made[1::2]
