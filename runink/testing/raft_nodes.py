"""A group of raw nodes in one place, moved by hand: who is ready, what is on the wire, what waits for a disk.

Every deed writes what it saw to the group's output, in the words of runink.raft.describe.  Nothing happens by itself: messages wait until they are
delivered, and work of asynchronous storage until its thread is told to go on.

A node's state machine puts the bytes of each entry behind those before.  Its storage hands out, as a snapshot, the latest state that was applied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import msgspec

from runink.raft.config import UNLIMITED, Config, ReadOnlyOption
from runink.raft.describe import describe_entries, describe_message, describe_ready
from runink.raft.errors import ProposalDropped, StepLocalMessage, StepPeerNotFound
from runink.raft.membership import ConfChangeError
from runink.raft.messages import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
    decode_conf_change,
)
from runink.raft.rawnode import RawNode
from runink.raft.storage import MemoryStorage

LOCAL_THREADS = (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD)
ROUNDS_MAX = 10_000  # a group that is not stable by then never will be


class GroupError(Exception):
    """What was asked for cannot be done; the text is part of the output."""


class Output:
    """What a command prints. While it is quiet, nothing."""

    def __init__(self) -> None:
        self.is_quiet = False
        self._parts: list[str] = []

    def write(self, text: str) -> None:
        if not self.is_quiet:
            self._parts.append(text)

    def line(self, text: str) -> None:
        self.write(f"{text}\n")

    def take(self) -> str:
        """Return what was written since the last time."""
        text = "".join(self._parts)
        self._parts = []
        return text

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Write what is written meanwhile as whole lines, indented beneath a title."""
        self.line(title)
        outer, self._parts = self._parts, []
        try:
            yield
        finally:
            inner, self._parts = self.take(), outer
            for line in inner.splitlines():
                self.line(f"  {line}")


class _Storage(MemoryStorage):
    """A storage whose snapshot is the state machine's latest state, and that remembers the membership as it was applied."""

    def __init__(self, first: Snapshot) -> None:
        super().__init__()
        self.state = first
        if first.metadata.index:
            self.apply_snapshot(first)

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self.hard_state, self.state.metadata.conf_state

    def snapshot(self) -> Snapshot:
        return self.state


@dataclass(slots=True, eq=False)
class Node:
    """A member of the group, and what its threads have to do."""

    config: Config
    storage: _Storage
    raw: RawNode
    append_work: deque[Message] = field(default_factory=deque)
    apply_work: deque[Message] = field(default_factory=deque)

    @property
    def id(self) -> int:
        return self.config.id

    def write(self, state: HardState, entries: Sequence[Entry], snapshot: Snapshot | None) -> None:
        """Do what a disk does for a Ready."""
        if state != HardState():
            self.storage.hard_state = state
        if snapshot is not None and snapshot.metadata.index:
            if entries:
                raise GroupError("can't apply snapshot and entries at the same time")
            self.storage.apply_snapshot(snapshot)
            self.storage.state = snapshot
        else:
            self.storage.append(entries)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Do what a state machine does for committed entries."""
        for entry in entries:
            if entry.index <= self.storage.state.metadata.index:
                continue  # a snapshot overtook it
            conf_state, data = self.storage.state.metadata.conf_state, entry.data
            if entry.type is not EntryType.EntryNormal:
                change = decode_conf_change(entry)
                data = change.context
                with suppress(
                    ConfChangeError
                ):  # it is one everywhere: nobody changes anything then
                    conf_state = self.raw.apply_conf_change(change)
            self.storage.state = Snapshot(
                SnapshotMetadata(conf_state, entry.index, entry.term),
                self.storage.state.data + data,
            )


def config_stub() -> Config:
    """Return the settings by which a node begins unless it is told otherwise."""
    return Config(
        id=1,
        storage=MemoryStorage(),
        random=lambda bound: bound - 1,  # who waits longest disturbs a transcript least
        election_tick=3,
        heartbeat_tick=1,
        message_bytes_max=UNLIMITED,
        inflight_messages_max=2**31 - 1,
        read_only_option=ReadOnlyOption.ReadOnlySafe,
    )


class Group:
    """The nodes, with ids from 1, and the messages between them in the order in which they were sent."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.messages: list[Message] = []
        self.output = Output()

    def node(self, id_: int) -> Node:
        """Return a node. Raises GroupError."""
        if not 1 <= id_ <= len(self.nodes):
            raise GroupError(f"there is no node {id_}")
        return self.nodes[id_ - 1]

    def add_nodes(self, count: int, settings: Config, conf_state: ConfState, data: bytes) -> None:
        """Add nodes that begin at a state of term 1 behind the entry `settings.applied`; with no state at all if it is 0. Raises GroupError."""
        first = Snapshot()
        if settings.applied or conf_state != ConfState() or data:
            if settings.applied <= 1:
                raise GroupError("index must be specified as > 1 due to bootstrap")
            first = Snapshot(SnapshotMetadata(conf_state, settings.applied, 1), data)
        for _ in range(count):
            storage = _Storage(first)
            config = replace(settings, id=len(self.nodes) + 1, storage=storage)
            self.nodes.append(Node(config, storage, RawNode(config)))

    def restart(self, node: Node) -> None:
        """End a node and begin it anew from what its disk holds: work that was not done, and messages not yet sent, are gone."""
        node.append_work.clear()
        node.apply_work.clear()
        applied, state = node.storage.state.metadata.index, node.storage.hard_state
        if state.commit < applied:
            # The apply thread may be ahead of the one that writes how far the log is committed; what is applied is.
            node.storage.hard_state = HardState(state.term, state.vote, applied)
        node.config = replace(node.config, applied=applied)
        node.raw = RawNode(node.config)

    def process_ready(self, node: Node) -> None:
        """Take a node's Ready and do what it asks for; what is asynchronous is left to the threads."""
        ready = node.raw.ready()
        self.output.write(describe_ready(ready))
        is_async = node.config.async_storage_writes
        if not is_async:
            node.write(ready.hard_state or HardState(), ready.entries, ready.snapshot)
            node.apply(ready.committed_entries)
        for message in ready.messages:
            match message.to:
                case _ if message.to not in LOCAL_THREADS:
                    self.messages.append(message)
                case _ if message.type is MessageType.MsgStorageAppend:
                    node.append_work.append(message)
                case _:
                    assert message.type is MessageType.MsgStorageApply
                    node.apply_work.append(message)
        if not is_async:
            node.raw.advance()

    def process_append(self, node: Node) -> None:
        """Let the append thread do one piece of work."""

        def write(work: Message) -> None:
            state = HardState(work.term, work.vote, work.commit)
            node.write(state, work.entries, work.snapshot)

        self._process(node.append_work, "append", write)

    def process_apply(self, node: Node) -> None:
        """Let the apply thread do one piece of work."""
        self._process(node.apply_work, "apply", lambda work: node.apply(work.entries))

    def _process(self, queue: deque[Message], name: str, do: Callable[[Message], None]) -> None:
        if not queue:
            self.output.write(f"no {name} work to perform")
            return
        work = queue.popleft()
        self.output.line("Processing:")
        self.output.line(describe_message(msgspec.structs.replace(work, responses=())))
        do(work)
        self.output.line("Responses:")
        for response in work.responses:
            self.output.line(describe_message(response))
        self.messages.extend(work.responses)

    def deliver(self, to: int, *, kind: MessageType | None = None, is_dropped: bool = False) -> int:
        """Deliver or drop the messages to a node, of one type if one is named; return how many there were.

        What a node and its own threads tell each other is never dropped: it does not travel.
        """
        taken = self._waiting(to, kind, is_dropped=is_dropped)
        ours = set(map(id, taken))
        self.messages = [message for message in self.messages if id(message) not in ours]
        for message in taken:
            if is_dropped:
                self.output.line(f"dropped: {describe_message(message)}")
                continue
            self.output.line(describe_message(message))
            try:
                self.node(to).raw.step(message)
            except (ProposalDropped, StepLocalMessage, StepPeerNotFound) as error:
                self.output.line(str(error))
        return len(taken)

    def _waiting(
        self, to: int, kind: MessageType | None = None, *, is_dropped: bool = False
    ) -> list[Message]:
        return [
            message
            for message in self.messages
            if message.to == to
            and kind in {None, message.type}
            and not (is_dropped and _is_local(message))
        ]

    def stabilize(self, nodes: Sequence[Node]) -> None:
        """Go on, only among these nodes, until none of them has anything to do: in each round all are made ready, then hear, append, apply."""
        for _ in range(ROUNDS_MAX):
            # A list: every part takes place, also when an earlier one had something to do.
            parts = [
                [self._make_ready(node) for node in nodes],
                [self._hear(node) for node in nodes],
                [self._work(node, node.append_work, "append") for node in nodes],
                [self._work(node, node.apply_work, "apply") for node in nodes],
            ]
            if not any(map(any, parts)):
                return
        raise GroupError(f"not stable after {ROUNDS_MAX} rounds")

    def _make_ready(self, node: Node) -> bool:
        if not node.raw.has_ready():
            return False
        with self.output.section(f"> {node.id} handling Ready"):
            self.process_ready(node)
        return True

    def _hear(self, node: Node) -> bool:
        if not self._waiting(node.id):
            return False
        with self.output.section(f"> {node.id} receiving messages"):
            self.deliver(node.id)
        return True

    def _work(self, node: Node, queue: deque[Message], name: str) -> bool:
        if not queue:
            return False
        with self.output.section(f"> {node.id} processing {name} thread"):
            while queue:
                self.process_append(node) if name == "append" else self.process_apply(node)
        return True

    def write_log(self, node: Node) -> None:
        """Write what a node's storage holds of the log."""
        first, last = node.storage.first_index(), node.storage.last_index()
        if last < first:
            self.output.write(f"log is empty: first index={first}, last index={last}")
        else:
            self.output.write(describe_entries(node.storage.entries(first, last + 1, UNLIMITED)))


def _is_local(message: Message) -> bool:
    return (
        message.from_ == message.to or message.from_ in LOCAL_THREADS or message.to in LOCAL_THREADS
    )
