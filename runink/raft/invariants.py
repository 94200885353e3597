"""What must hold of every group at every moment, as code that runs after each step in tests and simulations.

    property (Raft, figure 3)     how it is checked
    election safety               of each term, the first leader seen is noted; there is no other
    leader append-only            a leader's log never gets shorter, nor does an entry of its term change
    log matching                  of each (index, term), the entry seen first and the term before it are noted; none differs
    leader completeness           who becomes leader has every entry that was seen committed in an earlier term; a leader of a term that is
                                  past already, elected by answers that were late, need not have what was committed since
    state machine safety          of each index, the entry seen committed first is noted; nobody commits another one

and of each member: term and, while it lives, commit and applied index never fall; a vote is given once in a term, also over a restart; what is
applied is committed, what is committed is there.  The history is that of one group from its beginning; what is compacted stays noted, as term and digest.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final, NoReturn

from runink.errors import InvariantBroken
from runink.raft.core import Raft
from runink.raft.messages import NONE, Entry, HardState
from runink.raft.progress import ProgressState
from runink.raft.storage import Compacted, Unavailable

_ALL: Final = 2**62


@dataclass(frozen=True, slots=True)
class _Seen:
    """A member as it was after its last step."""

    term: int
    vote: int
    commit: int
    applied: int
    is_leader: bool
    last_index: int


class GroupHistory:
    """What was seen of a group. `check` after each step of a member, `restarted` when it lives again from its disk."""

    def __init__(self) -> None:
        self._leaders: dict[int, int] = {}
        self._entries: dict[
            tuple[int, int], tuple[int, int]
        ] = {}  # of (index, term): the term before, and a digest
        self._committed: dict[int, tuple[int, int]] = {}  # of an index: term and digest
        self._committed_in: dict[int, int] = {}  # of an index: the term of who committed it first
        self._members: dict[int, _Seen] = {}

    def check(self, raft: Raft) -> None:
        """Compare a member with all that was seen before. Raises InvariantBroken."""
        _check_bounds(raft)
        _check_progress(raft)
        before = self._members.get(raft.id)
        if before is not None:
            _check_living(raft, before)
        self._check_forward(raft, before)

    def restarted(self, raft: Raft, promised: HardState) -> None:
        """Take a member that lives again. What it only knew may be gone; the term and the vote that it told somebody may not. Raises InvariantBroken."""
        _check_bounds(raft)
        self._members.pop(raft.id, None)
        _check_term_and_vote(raft, promised)
        self._check_forward(raft, None)

    def _check_forward(self, raft: Raft, before: _Seen | None) -> None:
        self._check_log(raft)
        commit = 0 if before is None else before.commit
        self._check_committed(raft, commit)
        is_new_leader = raft.is_leader and not (before and before.is_leader)
        if raft.is_leader:
            leader = self._leaders.setdefault(raft.term, raft.id)
            if leader != raft.id:
                _broken(raft, f"term {raft.term} has two leaders, {leader} and {raft.id}")
        if is_new_leader:
            self._check_completeness(raft)
        log = raft.log
        self._members[raft.id] = _Seen(
            raft.term, raft.vote, log.committed, log.applied, raft.is_leader, log.last_index()
        )

    def _check_log(self, raft: Raft) -> None:
        """New entries come through the unstable ones; older ones were checked when they were that."""
        entries = raft.log.unstable.entries
        if not entries:
            return
        term_before = _term(raft, entries[0].index - 1)
        for entry in entries:
            if term_before is not None:
                seen = self._entries.setdefault(
                    (entry.index, entry.term), (term_before, _digest(entry))
                )
                if seen != (term_before, _digest(entry)):
                    text = f"entry {entry.index} of term {entry.term} is not the same everywhere"
                    _broken(raft, text)
            term_before = entry.term

    def _check_committed(self, raft: Raft, commit: int) -> None:
        log = raft.log
        low = max(commit + 1, log.first_index())
        if low > log.committed:
            return
        for entry in log.slice(low, log.committed + 1, _ALL):
            ours = (entry.term, _digest(entry))
            seen = self._committed.setdefault(entry.index, ours)
            self._committed_in.setdefault(entry.index, raft.term)
            if seen != ours:
                _broken(
                    raft, f"entry {entry.index} was committed as {seen} and is committed as {ours}"
                )

    def _check_completeness(self, raft: Raft) -> None:
        first, last = raft.log.first_index(), raft.log.last_index()
        for index, (term, _) in self._committed.items():
            if index < first or self._committed_in[index] >= raft.term:
                continue
            if index > last or _term(raft, index) != term:
                _broken(
                    raft, f"the new leader lacks entry {index} of term {term}, which is committed"
                )


def _check_bounds(raft: Raft) -> None:
    log = raft.log
    last = log.last_index()
    if not log.applied <= log.applying <= log.committed <= last:
        text = f"applied {log.applied} <= applying {log.applying} <= committed {log.committed} <= last {last} does not hold"
        _broken(raft, text)
    unstable = log.unstable
    in_progress = unstable.offset_in_progress
    if not unstable.offset <= in_progress <= unstable.offset + len(unstable.entries):
        _broken(raft, f"entries up to {in_progress} are in progress, which are not there")
    if raft.log.last_term() > raft.term:
        _broken(
            raft, f"an entry of term {raft.log.last_term()} stands in the log in term {raft.term}"
        )


def _check_progress(raft: Raft) -> None:
    if not raft.is_leader:
        return
    last = raft.log.last_index()
    for member, progress in raft.tracker.progress.items():
        if not progress.match < progress.next or progress.match > last:
            text = (
                f"member {member} matches up to {progress.match}, next {progress.next}, last {last}"
            )
            _broken(raft, text)
        if (progress.state is ProgressState.StateSnapshot) != bool(progress.pending_snapshot):
            _broken(raft, f"member {member} is in {progress.state.value} without its snapshot")


def _check_term_and_vote(raft: Raft, before: _Seen | HardState) -> None:
    if raft.term < before.term:
        _broken(raft, f"its term fell from {before.term} to {raft.term}")
    if raft.term == before.term and before.vote not in (NONE, raft.vote):
        _broken(raft, f"it voted for {before.vote} and {raft.vote} in term {raft.term}")


def _check_living(raft: Raft, before: _Seen) -> None:
    _check_term_and_vote(raft, before)
    log = raft.log
    if log.committed < before.commit:
        _broken(raft, f"its commit index fell from {before.commit} to {log.committed}")
    if log.applied < before.applied:
        _broken(raft, f"its applied index fell from {before.applied} to {log.applied}")
    is_same_reign = raft.is_leader and before.is_leader and raft.term == before.term
    if is_same_reign and log.last_index() < before.last_index:
        _broken(raft, f"a leader's log fell from {before.last_index} to {log.last_index()}")


def _term(raft: Raft, index: int) -> int | None:
    try:
        return raft.log.term(index)
    except (Compacted, Unavailable):
        return None


def _digest(entry: Entry) -> int:
    return zlib.crc32(entry.data, int(entry.type))


def _broken(raft: Raft, text: str) -> NoReturn:
    raise InvariantBroken(f"member {raft.id} in term {raft.term}: {text}", code="raft_invariant")
