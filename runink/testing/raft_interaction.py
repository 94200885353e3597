"""Transcripts of a group of raw nodes: the commands of etcd raft's interaction tests, and some of ours.

    add-nodes COUNT voters=(1,2) learners=(3) index=10 content=TEXT inflight=N async-storage-writes=BOOL prevote=BOOL checkquorum=BOOL
        max-committed-size-per-ready=N disable-conf-change-validation=BOOL read-only=safe|lease-based step-down-on-removal=BOOL
    campaign ID | forget-leader ID | tick-election ID | tick-heartbeat ID | set-randomized-election-timeout ID timeout=TICKS
    propose ID TEXT | propose-conf-change ID v1=BOOL transition=auto|implicit|explicit (input: v1 l2 r3 u4)
    transfer-leadership from=ID to=ID | report-unreachable ID ID | send-snapshot ID ID
    process-ready ID... | process-append-thread ID... | process-apply-thread ID... | stabilize ID... log-level=LEVEL
    deliver-msgs ID... drop=(ID,...) type=MsgApp
    compact ID INDEX | raft-log ID | raft-state | status ID | log-level LEVEL | _breakpoint

    ours: add-nodes also takes inflight-bytes, message-bytes and uncommitted-bytes (numbers) and disable-proposal-forwarding
    read-index ID TEXT | report-snapshot ID ID status=delivered|failed | restart ID
    tick ID count=N (a transcript of ticks would be long otherwise)

Our core logs nothing, so of the levels only `none` matters: it silences a command, but for its error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from runink.errors import Invalid
from runink.raft.config import Config, ReadOnlyOption
from runink.raft.describe import CHANGE_LETTERS, describe_all_progress, describe_message
from runink.raft.errors import ProposalDropped
from runink.raft.messages import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeV2,
    ConfState,
    Message,
    MessageType,
)
from runink.raft.storage import Compacted, SnapshotOutOfDate, Unavailable
from runink.testing.raft_nodes import Group, GroupError, Node, config_stub
from runink.testing.transcript import Directive, TranscriptError

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE")
TRANSITIONS: Final = {
    "auto": ConfChangeTransition.ConfChangeTransitionAuto,
    "implicit": ConfChangeTransition.ConfChangeTransitionJointImplicit,
    "explicit": ConfChangeTransition.ConfChangeTransitionJointExplicit,
}
STORAGE_TEXTS: Final[dict[type[Exception], str]] = {
    Compacted: "requested index is unavailable due to compaction",
    Unavailable: "requested entry at index is unavailable",
    SnapshotOutOfDate: "requested index is older than the existing snapshot",
}
# What a command may answer with instead of what it prints.
_ERRORS: Final[tuple[type[Exception], ...]] = (
    ProposalDropped,
    GroupError,
    Invalid,
    *STORAGE_TEXTS,
)


def conf_changes(text: str) -> tuple[ConfChangeSingle, ...]:
    """Return the changes that `v1 l2 r3 u4` stands for. Raises GroupError."""
    kinds = {letter: kind for kind, letter in CHANGE_LETTERS.items()}
    changes = []
    for token in text.split():
        if len(token) < 2:
            raise GroupError(f"unknown token {token}")
        if token[0] not in kinds or not token[1:].isdecimal():
            raise GroupError(f"unknown input: {token}")
        changes.append(ConfChangeSingle(kinds[token[0]], int(token[1:])))
    return tuple(changes)


class Interaction:
    """One transcript's group, and the commands that move it."""

    def __init__(self) -> None:
        self._group = Group()
        self._commands: dict[str, Callable[[Directive], None]] = {
            "_breakpoint": lambda _: None,
            "add-nodes": self._add_nodes,
            "campaign": lambda asked: self._node(asked).raw.campaign(),
            "compact": self._compact,
            "deliver-msgs": self._deliver,
            "forget-leader": lambda asked: self._node(asked).raw.forget_leader(),
            "log-level": self._log_level,
            "process-append-thread": self._process_append,
            "process-apply-thread": self._process_apply,
            "process-ready": self._process_ready,
            "propose": self._propose,
            "propose-conf-change": self._propose_conf_change,
            "raft-log": lambda asked: self._group.write_log(self._node(asked)),
            "raft-state": self._raft_state,
            "read-index": self._read_index,
            "report-snapshot": self._report_snapshot,
            "report-unreachable": self._report_unreachable,
            "restart": lambda asked: self._group.restart(self._node(asked)),
            "send-snapshot": self._send_snapshot,
            "set-randomized-election-timeout": self._set_election_timeout,
            "stabilize": self._stabilize,
            "status": self._status,
            "tick": lambda asked: self._tick(asked, int(asked.value("count"))),
            "tick-election": lambda asked: self._tick(
                asked, self._node(asked).config.election_tick
            ),
            "tick-heartbeat": lambda asked: self._tick(
                asked, self._node(asked).config.heartbeat_tick
            ),
            "transfer-leadership": self._transfer_leadership,
        }

    def run(self, asked: Directive) -> str:
        """Do what a command asks and return what it prints. Raises TranscriptError for a command that is written wrongly."""
        output = self._group.output
        error = ""
        if (command := self._commands.get(asked.command)) is None:
            error = "unknown command"
        else:
            try:
                command(asked)
            except _ERRORS as raised:
                error = STORAGE_TEXTS.get(type(raised)) or str(raised)
        return (output.take() + error) or "ok"

    # Arguments.

    def _nodes(self, asked: Directive, *, count: int | None = None) -> list[Node]:
        words = asked.words()
        if count is not None and len(words) < count:
            raise TranscriptError(f"{asked.command} takes {count} nodes")
        return [self._group.node(_number(word)) for word in words[:count]]

    def _node(self, asked: Directive) -> Node:
        return self._nodes(asked, count=1)[0]

    def _second(self, asked: Directive) -> str:
        words = asked.words()
        if len(words) != 2:
            raise TranscriptError(f"{asked.command} takes a node and one word more")
        return words[1]

    # Commands, by their names.

    def _add_nodes(self, asked: Directive) -> None:
        count = _number(asked.words()[0])
        conf_state = ConfState(
            voters=tuple(map(_number, asked.values("voters"))),
            learners=tuple(map(_number, asked.values("learners"))),
        )
        data = "".join(asked.values("content")).encode()
        self._group.add_nodes(count, _settings(asked), conf_state, data)

    def _compact(self, asked: Directive) -> None:
        node = self._node(asked)
        node.storage.compact(_number(self._second(asked)))
        self._group.write_log(node)

    def _deliver(self, asked: Directive) -> None:
        kinds = [_kind(name) for name in asked.values("type")]
        kind = kinds[-1] if kinds else None
        delivered = set(asked.words())
        count = 0
        for argument in asked.arguments:  # in the order in which they are named
            if not argument.values:
                count += self._group.deliver(_number(argument.key), kind=kind)
            elif argument.key == "drop":
                for value in argument.values:
                    if value in delivered:
                        raise TranscriptError(f"can't both deliver and drop messages to {value}")
                    count += self._group.deliver(_number(value), kind=kind, is_dropped=True)
        if not count:
            self._group.output.line("no messages")

    def _log_level(self, asked: Directive) -> None:
        self._set_level(asked.words()[0])

    def _set_level(self, name: str) -> None:
        if name.upper() not in LOG_LEVELS:
            raise GroupError(f"log levels must be either of [{' '.join(LOG_LEVELS)}]")
        self._group.output.is_quiet = name.upper() == "NONE"

    def _process_append(self, asked: Directive) -> None:
        self._each(asked, "processing append thread", self._group.process_append)

    def _process_apply(self, asked: Directive) -> None:
        self._each(asked, "processing apply thread", self._group.process_apply)

    def _process_ready(self, asked: Directive) -> None:
        self._each(asked, "handling Ready", self._group.process_ready)

    def _each(self, asked: Directive, title: str, do: Callable[[Node], None]) -> None:
        nodes = self._nodes(asked)
        if len(nodes) == 1:
            do(nodes[0])
            return
        for node in nodes:
            with self._group.output.section(f"> {node.id} {title}"):
                do(node)

    def _propose(self, asked: Directive) -> None:
        self._node(asked).raw.propose(self._second(asked).encode())

    def _propose_conf_change(self, asked: Directive) -> None:
        name = "".join(asked.values("transition")) or "auto"
        if name not in TRANSITIONS:
            raise GroupError(f"unknown transition {name}")
        transition = TRANSITIONS[name]
        changes = conf_changes(asked.input)
        change: ConfChange | ConfChangeV2 = ConfChangeV2(transition, changes)
        if _truth(asked, "v1"):
            if len(changes) != 1 or name != "auto":
                raise GroupError("v1 conf change can only have one operation and no transition")
            change = ConfChange(changes[0].type, changes[0].node_id)
        self._node(asked).raw.propose_conf_change(change)

    def _raft_state(self, _: Directive) -> None:
        for node in self._group.nodes:
            status = node.raw.status()
            soft, is_voter = status.soft_state, node.id in status.membership.voters.ids()
            part = "Voter" if is_voter else "Non-Voter"
            term = status.hard_state.term
            self._group.output.line(
                f"{node.id}: {soft.state.name} ({part}) Term:{term} Lead:{soft.lead}"
            )

    def _read_index(self, asked: Directive) -> None:
        self._node(asked).raw.read_index(self._second(asked).encode())

    def _report_snapshot(self, asked: Directive) -> None:
        leader, member = self._nodes(asked, count=2)
        is_delivered = asked.value("status") == "delivered"
        leader.raw.report_snapshot(member.id, is_delivered=is_delivered)

    def _report_unreachable(self, asked: Directive) -> None:
        leader, member = self._nodes(asked, count=2)
        leader.raw.report_unreachable(member.id)

    def _send_snapshot(self, asked: Directive) -> None:
        source, target = self._nodes(asked, count=2)
        message = Message(
            MessageType.MsgSnap,
            target.id,
            source.id,
            term=source.raw.status().hard_state.term,
            snapshot=source.storage.snapshot(),
        )
        self._group.messages.append(message)
        self._group.output.write(describe_message(message))

    def _set_election_timeout(self, asked: Directive) -> None:
        timeout = _number(asked.value("timeout"))
        self._node(asked).raw.raft.randomized_election_timeout = timeout

    def _stabilize(self, asked: Directive) -> None:
        with self._level("".join(asked.values("log-level"))):
            self._group.stabilize(self._nodes(asked) or self._group.nodes)

    @contextmanager
    def _level(self, name: str) -> Iterator[None]:
        output = self._group.output
        before = output.is_quiet
        if name:
            self._set_level(name)
        try:
            yield
        finally:
            output.is_quiet = before

    def _status(self, asked: Directive) -> None:
        self._group.output.write(describe_all_progress(self._node(asked).raw.status().progress))

    def _tick(self, asked: Directive, count: int) -> None:
        for _ in range(count):
            self._node(asked).raw.tick()

    def _transfer_leadership(self, asked: Directive) -> None:
        leader, successor = _number(asked.value("from")), _number(asked.value("to"))
        self._group.node(leader).raw.transfer_leader(successor)


def _settings(asked: Directive) -> Config:
    """Return the settings that a command names. Raises GroupError."""
    numbers = {
        "applied": "index",
        "inflight_messages_max": "inflight",
        "committed_bytes_per_ready_max": "max-committed-size-per-ready",
        "inflight_bytes_max": "inflight-bytes",
        "message_bytes_max": "message-bytes",
        "uncommitted_bytes_max": "uncommitted-bytes",
    }
    truths = {
        "async_storage_writes": "async-storage-writes",
        "pre_vote": "prevote",
        "check_quorum": "checkquorum",
        "disable_conf_change_validation": "disable-conf-change-validation",
        "step_down_on_removal": "step-down-on-removal",
        "disable_proposal_forwarding": "disable-proposal-forwarding",
    }
    fields: dict[str, Any] = {}
    for field, key in numbers.items():
        if asked.values(key):
            fields[field] = _number(asked.value(key))
    for field, key in truths.items():
        if asked.values(key):
            fields[field] = _truth(asked, key)
    if option := "".join(asked.values("read-only")):
        if option not in {one.value for one in ReadOnlyOption}:
            raise GroupError(f'invalid read-only option "{option}"')
        fields["read_only_option"] = ReadOnlyOption(option)
    return replace(config_stub(), **fields)


def _number(word: str) -> int:
    if not word.isdecimal():
        raise TranscriptError(f"no number: {word}")
    return int(word)


def _truth(asked: Directive, key: str) -> bool:
    values: Sequence[str] = asked.values(key) or ("false",)
    if values[-1] not in {"true", "false"}:
        raise TranscriptError(f"{key} is true or false, not {values[-1]}")
    return values[-1] == "true"


def _kind(name: str) -> MessageType:
    if name not in MessageType.__members__:
        raise TranscriptError(f"unknown message type {name}")
    return MessageType[name]
