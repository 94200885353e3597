"""How people read consensus: one line for an entry, a message, a member's progress; a paragraph for a Ready. For logs and transcripts.

    entry       term/index type "data"                   1/12 EntryNormal "put a"
    message     from->to type Term:t Log:term/index ...  1->2 MsgApp Term:1 Log:1/11 Commit:11 Entries:[1/12 EntryNormal "put a"]
    progress    state match next, and what is unusual    StateReplicate match=11 next=15 paused inflight=3[full]
    changes     v voter, l learner, r removed, u updated v1 l2 r3
    membership                                           voters=(1 2 3)&&(1 2 4) learners=(5) learners_next=(4) autoleave

What is not set is left out, except in what a snapshot tells of its membership. Nothing here reads or changes the core.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from runink.raft.core import SoftState
from runink.raft.messages import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    NONE,
    ConfChangeSingle,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    Snapshot,
    decode_conf_change,
)
from runink.raft.progress import Membership, Progress
from runink.raft.reads import ReadState
from runink.raft.ready import Ready

CHANGE_LETTERS: Final = {
    ConfChangeType.ConfChangeAddNode: "v",
    ConfChangeType.ConfChangeAddLearnerNode: "l",
    ConfChangeType.ConfChangeRemoveNode: "r",
    ConfChangeType.ConfChangeUpdateNode: "u",
}
_NAMED_TARGETS: Final = {
    NONE: "None",
    LOCAL_APPEND_THREAD: "AppendThread",
    LOCAL_APPLY_THREAD: "ApplyThread",
}
_ESCAPES: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    '"': r"\"",
    "\\": r"\\",
}


def describe_data(data: bytes) -> str:
    """Return bytes in quotes: as text as far as they are printable, else escaped."""
    text = data.decode("utf-8", errors="surrogateescape")
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def describe_hard_state(state: HardState) -> str:
    vote = f" Vote:{state.vote}" if state.vote else ""
    return f"Term:{state.term}{vote} Commit:{state.commit}"


def describe_soft_state(state: SoftState) -> str:
    return f"Lead:{state.lead} State:{state.state.name}"


def describe_conf_state(state: ConfState) -> str:
    return (
        f"Voters:{_listed(state.voters)} VotersOutgoing:{_listed(state.voters_outgoing)} "
        f"Learners:{_listed(state.learners)} LearnersNext:{_listed(state.learners_next)} "
        f"AutoLeave:{_truth(state.auto_leave)}"
    )


def describe_snapshot(snapshot: Snapshot) -> str:
    """Return what is told of a snapshot beside it; its data is left out."""
    metadata = snapshot.metadata
    conf_state = describe_conf_state(metadata.conf_state)
    return f"Index:{metadata.index} Term:{metadata.term} ConfState:{conf_state}"


def describe_conf_changes(changes: Iterable[ConfChangeSingle]) -> str:
    return " ".join(f"{CHANGE_LETTERS[change.type]}{change.node_id}" for change in changes)


def describe_entry(entry: Entry) -> str:
    if entry.type is EntryType.EntryNormal:
        content = describe_data(entry.data)
    else:
        try:
            content = describe_conf_changes(decode_conf_change(entry).changes)
        except msgspec.MsgspecError as error:
            content = str(error)
    return f"{entry.term}/{entry.index} {entry.type.name} {content}".rstrip(" ")


def describe_entries(entries: Iterable[Entry]) -> str:
    """Return a line for each."""
    return "".join(f"{describe_entry(entry)}\n" for entry in entries)


def describe_message(message: Message, *, indent: str = "") -> str:
    """Return a message in a line; several entries, a snapshot and responses follow indented in lines of their own."""
    route = f"{_target(message.from_)}->{_target(message.to)}"
    log = f"Log:{message.log_term}/{message.index}"
    parts = [f"{indent}{route} {message.type.name} Term:{message.term} {log}"]
    if message.reject:
        parts.append(f" Rejected (Hint: {message.reject_hint})")
    if message.commit:
        parts.append(f" Commit:{message.commit}")
    if message.vote:
        parts.append(f" Vote:{message.vote}")
    if len(message.entries) == 1:
        parts.append(f" Entries:[{describe_entry(message.entries[0])}]")
    elif message.entries:
        lines = "".join(f"\n{indent}  {describe_entry(entry)}" for entry in message.entries)
        parts.append(f" Entries:[{lines}\n{indent}]")
    if message.snapshot is not None and message.snapshot.metadata.index:
        parts.append(f"\n{indent}  Snapshot: {describe_snapshot(message.snapshot)}")
    if message.responses:
        inner = indent + "  "
        told = "".join(f"\n{describe_message(one, indent=inner)}" for one in message.responses)
        parts.append(f" Responses:[{told}\n{indent}]")
    return "".join(parts)


def describe_ready(ready: Ready) -> str:
    """Return a paragraph of what a Ready asks for."""
    lines: list[str] = []
    if ready.soft_state is not None:
        lines.append(describe_soft_state(ready.soft_state))
    if ready.hard_state is not None and ready.hard_state != HardState():
        lines.append(f"HardState {describe_hard_state(ready.hard_state)}")
    if ready.read_states:
        lines.append(f"ReadStates [{' '.join(map(describe_read_state, ready.read_states))}]")
    if ready.entries:
        lines += ["Entries:", *map(describe_entry, ready.entries)]
    if ready.snapshot is not None and ready.snapshot.metadata.index:
        lines.append(f"Snapshot {describe_snapshot(ready.snapshot)}")
    if ready.committed_entries:
        lines += ["CommittedEntries:", *map(describe_entry, ready.committed_entries)]
    if ready.messages:
        lines += ["Messages:", *map(describe_message, ready.messages)]
    if not lines:
        return "<empty Ready>"
    return "\n".join([f"Ready MustSync={_truth(ready.must_sync)}:", *lines, ""])


def describe_read_state(state: ReadState) -> str:
    """Return the index, and the bytes of the context as numbers."""
    return f"{{{state.index} {_listed(state.context)}}}"


def describe_progress(progress: Progress) -> str:
    parts = [f"{progress.state.name} match={progress.match} next={progress.next}"]
    if progress.is_learner:
        parts.append("learner")
    if progress.is_paused():
        parts.append("paused")
    if progress.pending_snapshot:
        parts.append(f"pendingSnap={progress.pending_snapshot}")
    if not progress.recent_active:
        parts.append("inactive")
    if count := progress.inflights.count():
        full = "[full]" if progress.inflights.is_full() else ""
        parts.append(f"inflight={count}{full}")
    return " ".join(parts)


def describe_all_progress(progress: Mapping[int, Progress]) -> str:
    """Return a line for each member, in order."""
    return "".join(f"{id_}: {describe_progress(progress[id_])}\n" for id_ in sorted(progress))


def describe_membership(membership: Membership) -> str:
    voters = membership.voters
    halves = [_grouped(voters.incoming)]
    if voters.is_joint:
        halves.append(_grouped(voters.outgoing))
    parts = [f"voters={'&&'.join(halves)}"]
    if membership.learners:
        parts.append(f"learners={_grouped(membership.learners)}")
    if membership.learners_next:
        parts.append(f"learners_next={_grouped(membership.learners_next)}")
    if membership.auto_leave:
        parts.append("autoleave")
    return " ".join(parts)


def _target(id_: int) -> str:
    return _NAMED_TARGETS.get(id_) or f"{id_:x}"


def _truth(value: bool) -> str:  # noqa: FBT001 - a truth value to be written is no switch
    return "true" if value else "false"


def _listed(numbers: Sequence[int]) -> str:
    return f"[{' '.join(map(str, numbers))}]"


def _grouped(ids: Iterable[int]) -> str:
    return f"({' '.join(map(str, sorted(ids)))})"
