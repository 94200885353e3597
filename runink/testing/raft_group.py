"""A whole group of members in one process, from a seed: real core, real bytes, simulated time, network and disks (`simulate`).

For some virtual seconds everything goes wrong that `raft_group_faults.py` knows, the membership changes, and clients work.  Then the faults cease, and
within CALM_S there must be a leader, every client must have its answers, and all members must have the same state, byte for byte.

    checked                                                         when
    the core's invariants, promises, equal entries and states       after every step (`raft_group_watch.py`)
    the state is what the entries that were applied make            at the end
    the clients' history is linearizable, and its revisions right   at the end; each client has read every key once more by then
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runink.barn.commands import decode_proposal
from runink.barn.store import Store
from runink.errors import InvariantBroken
from runink.raft.config import UNLIMITED
from runink.raft.messages import ConfState, EntryType, Message
from runink.testing.histories import Operation
from runink.testing.linearizability import Verdict, check_linearizable
from runink.testing.raft_disk import store_bytes
from runink.testing.raft_group_clients import Client
from runink.testing.raft_group_faults import Faults
from runink.testing.raft_group_member import Crash, Kind, Member, Settings, Surroundings
from runink.testing.raft_group_operator import Operator
from runink.testing.raft_group_watch import GroupWatch, named
from runink.testing.raft_group_world import MS, SECOND, Statistics, World
from runink.testing.raft_network import Network
from runink.testing.revision_order import check_revisions

FAULTY_S: Final = 4
CALM_S: Final = 20  # time for many elections; what takes longer would take for ever
MEMBERS_MAX: Final = 9  # founded and hired: numbers are not used again
LOOK_US: Final = 20 * MS  # how often it is asked whether all is done
KEYS: Final = ("a", "b", "c", "d")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulation leaves, if nothing was wrong. Equal seeds have equal digests."""

    digest: str
    statistics: Statistics
    history: tuple[Operation, ...]


def simulate(seed: int) -> Outcome:
    """Run the world of a seed. Raises InvariantBroken, or whatever the code under test does wrong, with the seed and the time as a note."""
    group = _Group(seed)
    try:
        group.run()
    except BaseException as error:
        error.add_note(f"seed {seed}, at {group.world.now_us / SECOND:.6f} s")
        raise
    return Outcome(group.world.digest, group.world.statistics, tuple(group.history))


def _settings(world: World) -> Settings:
    random = world.random
    pre_vote, check_quorum = random.choice(
        [(True, True), (True, True), (False, False), (True, False), (False, True)]
    )
    return Settings(
        pre_vote=pre_vote,
        check_quorum=check_quorum,
        step_down_on_removal=random.random() < 0.5,
        tick_us=10 * MS,
        message_bytes_max=random.choice([1, 1, 300, 1 << 20]),
        inflight_messages_max=random.choice([1, 2, 16, 256]),
        uncommitted_bytes_max=random.choice([300, UNLIMITED, UNLIMITED]),
        snapshot_entries=random.choice([3, 10, 30, 100]),
        kept_entries=random.choice([0, 3, 30, 300]),
        kinds=random.choice([*((kind,) for kind in Kind), tuple(Kind)]),
    )


class _Group:
    def __init__(self, seed: int) -> None:
        world = self.world = World(seed)
        self.history: list[Operation] = []
        self.members: dict[int, Member] = {}
        self._watch = GroupWatch(world.statistics)
        self._network = Network(world, self._deliver, self._report)
        settings = _settings(world)
        self._around = Surroundings(world, self._network, self._watch, settings)
        self._faults = Faults(world, self._network, self._all)
        self._operator = Operator(
            world,
            conf_state=lambda: self._watch.conf_state,
            members=self._all,
            hire=self._hire,
            may_change=settings.pre_vote or settings.check_quorum,
        )
        self._gone: set[int] = set()
        self._is_settled = False
        self._found(world.random.choice([3, 3, 5]))
        keys = KEYS[: world.random.randrange(1, len(KEYS) + 1)]
        self._clients = [
            Client(f"c{number}", world, self._all, keys=keys, history=self.history)
            for number in range(world.random.randrange(2, 9))
        ]

    def _found(self, count: int) -> None:
        conf_state = ConfState(voters=tuple(range(1, count + 1)))
        self._watch.founded(conf_state)
        for number in conf_state.voters:
            member = self.members[number] = Member(number, self._around, crashed=self._crashed)
            member.found(conf_state)

    def _hire(self) -> int:
        """Return the number of a new member, or of one that nobody took so far."""
        known = self._watch.known_members
        for number in sorted(self.members.keys() - known):
            return number
        if len(self.members) >= MEMBERS_MAX:
            return self.world.random.choice(sorted(known))  # somebody who left may come back
        number = len(self.members) + 1
        member = self.members[number] = Member(number, self._around, crashed=self._crashed)
        member.start()
        return number

    def _all(self) -> list[Member]:
        return [member for member in self.members.values() if member.id not in self._gone]

    def _deliver(self, to: int, message: Message) -> None:
        if to in self.members:
            self.members[to].receive(message)

    def _report(self, sender: int, message: Message, *, is_delivered: bool) -> None:
        self.members[sender].report(message, is_delivered=is_delivered)

    def _crashed(self, member: Member) -> None:
        def restart() -> None:
            if member.id not in self._gone and not member.is_alive:
                member.start()

        self.world.later(self._faults.restart_delay_us(), f"{member.id} lives again", restart)

    # The course of it.

    def run(self) -> None:
        for client in self._clients:
            client.begin()
        self._faults.begin()
        self._operator.begin()
        for member in self._all():
            member.start()
        self._run_until(FAULTY_S * SECOND)
        self._cease()
        deadline_us = self.world.now_us + CALM_S * SECOND
        self.world.later(LOOK_US, "look", self._look)
        while not self._is_settled:  # ends: members tick, and time runs to the deadline
            self.world.step()
            if self.world.now_us > deadline_us:
                raise InvariantBroken(self._what_is_missing(), code="raft_liveness")
        self._judge()

    def _run_until(self, time_us: int) -> None:
        while self.world.now_us < time_us:
            self.world.step()

    def _cease(self) -> None:
        self._faults.cease()
        self._operator.cease()
        for client in self._clients:
            client.end()
        for member in self._all():
            self._faults.mend(member)
            if not member.is_alive:
                member.start()

    def _look(self) -> None:
        """See whether all is done; stop those that have left, once everybody knows it."""
        self.world.later(LOOK_US, "look", self._look)
        state = self._watch.conf_state
        current = named(state)
        members = [self.members[number] for number in sorted(current)]
        for member in members:
            if member.id in self._gone:
                self._gone.discard(member.id)  # a change that was under way took it in
                member.start()
        if any(not member.is_alive or member.conf_state != state for member in members):
            return
        for number, member in self.members.items():
            if number not in current | self._gone:
                self._gone.add(number)
                if member.is_alive:
                    member.crash(Crash.KILLED)
        self._is_settled = (
            not state.voters_outgoing
            and all(client.is_done for client in self._clients)
            and any(member.is_leader for member in members)
            and len({member.last_index for member in members}) == 1
            and all(member.is_up_to_date for member in members)
        )

    def _what_is_missing(self) -> str:
        told = [f"calm for {CALM_S} s, and not done: membership {self._watch.conf_state}"]
        told += [f"  client {client.name}" for client in self._clients if not client.is_done]
        told += [f"  {member}" for member in self._all()]
        return "\n".join(told)

    # The end.

    def _judge(self) -> None:
        expected = self._replay()
        for member in self._all():
            if store_bytes(member.log.store) != expected:
                raise InvariantBroken(
                    f"member {member.id} has another state than its log makes", code="raft_state"
                )
        findings = check_revisions(self.history)
        if findings:
            raise InvariantBroken("\n".join(findings), code="raft_revisions")
        report = check_linearizable(self.history)
        self.world.statistics.undecided_histories += report.verdict is Verdict.UNKNOWN
        if report.verdict is Verdict.VIOLATION:
            raise InvariantBroken(str(report), code="raft_linearizability")

    def _replay(self) -> bytes:
        """Return the bytes of the state that all entries make, one after the other, from nothing."""
        store = Store()
        store.skip(term=1, index=1)
        for index in range(2, max(self._watch.entries, default=1) + 1):
            entry = self._watch.entries[index]
            if entry.type is EntryType.EntryNormal and entry.data:
                store.apply(decode_proposal(entry.data), term=entry.term, index=index)
            else:
                store.skip(term=entry.term, index=index)
        return store_bytes(store)
