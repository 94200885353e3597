"""What consensus is made of: messages, entries, states, changes of the membership. Values only, by the names that etcd's raft made standard.

    message                 from → to                      what it says
    MsgHup                  local                          begin an election: the election time-out has passed
    MsgBeat                 local, leader                  send heartbeats: the heartbeat time-out has passed
    MsgProp                 local, or follower → leader    append these entries
    MsgApp                  leader → follower              entries behind (log_term, index), and how far the log is committed
    MsgAppResp              follower → leader              the log matches up to `index`; or `reject`, with a hint where it may
    MsgVote MsgPreVote      candidate → voter              elect me; my log ends with (log_term, index)
    MsgVoteResp MsgPreVoteResp   voter → candidate         yes, or `reject`
    MsgSnap                 leader → follower              the state up to an index, instead of entries that are gone
    MsgHeartbeat            leader → follower              I lead still; commit up to here
    MsgHeartbeatResp        follower → leader              I am here
    MsgUnreachable          local, leader                  what was sent to this member has not arrived
    MsgSnapStatus           local, leader                  a snapshot was delivered, or `reject`: it was not
    MsgCheckQuorum          local, leader                  step down if no majority has answered for an election time-out
    MsgTransferLeader       local, or follower → leader    hand the leadership to `from_`
    MsgTimeoutNow           leader → its successor         begin an election at once
    MsgReadIndex            local, or follower → leader    how far must who reads have applied?
    MsgReadIndexResp        leader → follower              so far
    MsgForgetLeader         local, follower                know no leader any more, within the term
    MsgStorageAppend        core → the append thread       write this; then hand out the `responses`
    MsgStorageAppendResp    append thread → core           it is on disk
    MsgStorageApply         core → the apply thread        apply this; then hand out the `responses`
    MsgStorageApplyResp     apply thread → core            it is applied

Terms, indexes and ids of members are whole numbers from 1; 0 means none.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

NONE: Final = 0  # no member, no term, no index
LOCAL_APPEND_THREAD: Final = 2**64 - 1  # who writes to disk, addressed like a member
LOCAL_APPLY_THREAD: Final = 2**64 - 2  # who applies committed entries


class MessageType(IntEnum):
    """The numbers are those of etcd's raft, and on the wire."""

    MsgHup = 0
    MsgBeat = 1
    MsgProp = 2
    MsgApp = 3
    MsgAppResp = 4
    MsgVote = 5
    MsgVoteResp = 6
    MsgSnap = 7
    MsgHeartbeat = 8
    MsgHeartbeatResp = 9
    MsgUnreachable = 10
    MsgSnapStatus = 11
    MsgCheckQuorum = 12
    MsgTransferLeader = 13
    MsgTimeoutNow = 14
    MsgReadIndex = 15
    MsgReadIndexResp = 16
    MsgPreVote = 17
    MsgPreVoteResp = 18
    MsgStorageAppend = 19
    MsgStorageAppendResp = 20
    MsgStorageApply = 21
    MsgStorageApplyResp = 22
    MsgForgetLeader = 23


class EntryType(IntEnum):
    EntryNormal = 0
    EntryConfChange = 1
    EntryConfChangeV2 = 2


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the log. `data` is a command of the state machine or, by the type, an encoded change of the membership; a leader's first has none."""

    term: int = 0
    index: int = 0
    type: EntryType = EntryType.EntryNormal
    data: bytes = b""


class HardState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a member must not forget (Raft, figure 2): its term, whom it voted for in it, and how far it knew the log committed."""

    term: int = 0
    vote: int = 0
    commit: int = 0


class ConfState(msgspec.Struct, frozen=True, array_like=True):
    """The membership. `voters_outgoing` is not empty while a joint change is under way; `learners_next` become learners when it ends."""

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False


class SnapshotMetadata(msgspec.Struct, frozen=True, array_like=True):
    """Which state it is: behind the entry `index` of `term`, with this membership."""

    conf_state: ConfState = ConfState()
    index: int = 0
    term: int = 0


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """A state, or where its bytes are found: `data` is the application's. Index 0 is none."""

    metadata: SnapshotMetadata = SnapshotMetadata()
    data: bytes = b""


class Message(msgspec.Struct, frozen=True, array_like=True):
    """A message; which fields matter depends on the type. A term of 0 is one that the receiver need not compare: it never left the member."""

    type: MessageType
    to: int = NONE
    from_: int = NONE
    term: int = 0
    log_term: int = 0
    index: int = 0
    entries: tuple[Entry, ...] = ()
    commit: int = 0
    vote: int = 0
    snapshot: Snapshot | None = None
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    responses: tuple[Message, ...] = ()


class ConfChangeType(IntEnum):
    ConfChangeAddNode = 0
    ConfChangeRemoveNode = 1
    ConfChangeUpdateNode = 2
    ConfChangeAddLearnerNode = 3


class ConfChangeTransition(IntEnum):
    """How a change takes place. Auto: simple if it can be, else joint and left by itself. The others are joint: left by itself, or when it is asked for."""

    ConfChangeTransitionAuto = 0
    ConfChangeTransitionJointImplicit = 1
    ConfChangeTransitionJointExplicit = 2


class ConfChangeSingle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    type: ConfChangeType
    node_id: int


class ConfChange(msgspec.Struct, frozen=True, array_like=True):
    """One change (an entry of type EntryConfChange). `context` is the application's."""

    type: ConfChangeType
    node_id: int
    context: bytes = b""


class ConfChangeV2(msgspec.Struct, frozen=True, array_like=True):
    """Several changes at once (an entry of type EntryConfChangeV2); without any, it leaves the joint membership."""

    transition: ConfChangeTransition = ConfChangeTransition.ConfChangeTransitionAuto
    changes: tuple[ConfChangeSingle, ...] = ()
    context: bytes = b""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_change: Final = msgspec.msgpack.Decoder(ConfChange).decode
_decode_change_v2: Final = msgspec.msgpack.Decoder(ConfChangeV2).decode


def encode_conf_change(change: ConfChange | ConfChangeV2) -> tuple[EntryType, bytes]:
    """Return the type and the data of the entry that proposes it. The change that says nothing has no data."""
    if isinstance(change, ConfChange):
        return EntryType.EntryConfChange, _encode(change)
    return EntryType.EntryConfChangeV2, b"" if change == ConfChangeV2() else _encode(change)


def decode_conf_change(entry: Entry) -> ConfChangeV2:
    """Return what an entry changes, a single change in the form of several. Raises msgspec.MsgspecError for bytes that are none."""
    if entry.type is EntryType.EntryConfChange:
        return as_v2(_decode_change(entry.data))
    assert entry.type is EntryType.EntryConfChangeV2
    return _decode_change_v2(entry.data) if entry.data else ConfChangeV2()


def as_v2(change: ConfChange | ConfChangeV2) -> ConfChangeV2:
    """Return the change in the form of several."""
    if isinstance(change, ConfChangeV2):
        return change
    single = ConfChangeSingle(change.type, change.node_id)
    return ConfChangeV2(changes=(single,), context=change.context)
