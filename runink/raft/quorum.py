"""Quorums: how far a group has committed, and whether an election is decided. Values in, values out.

rule                                                             why
an index is committed when a majority of the voters holds it     any two majorities share a voter (Raft, section 5)
a joint membership needs a majority of both its halves           neither the old nor the new group can decide alone (section 6)
an empty half agrees to everything                               so a membership that is not joint is one whose outgoing half is empty
a voter that has not been heard holds nothing, and has not voted
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

INDEX_MAX: Final = 2**64 - 1  # what nobody holds back; an index on the wire has 64 bits


class VoteResult(Enum):
    """How an election stands. Pending: neither a majority said yes, nor has enough of it said no."""

    VotePending = "VotePending"
    VoteLost = "VoteLost"
    VoteWon = "VoteWon"


def majority_committed(voters: frozenset[int], match_of: Mapping[int, int]) -> int:
    """Return the highest index that a majority of the voters holds, INDEX_MAX if there are no voters."""
    if not voters:
        return INDEX_MAX
    matches = sorted([match_of.get(voter, 0) for voter in voters])
    return matches[(len(matches) - 1) // 2]  # it and those above it are a majority


def majority_vote(voters: frozenset[int], votes: Mapping[int, bool]) -> VoteResult:
    """Return how the election stands among the voters; it is won if there are none."""
    needed = len(voters) // 2 + 1 if voters else 0
    granted = rejected = 0
    for voter in voters:
        if (vote := votes.get(voter)) is not None:
            granted += vote
            rejected += not vote
    if granted >= needed:
        return VoteResult.VoteWon
    if len(voters) - rejected >= needed:
        return VoteResult.VotePending
    return VoteResult.VoteLost


@dataclass(frozen=True, slots=True)
class JointConfig:
    """The voters. While a joint change is under way there are two groups of them: who will decide, and who decided before."""

    incoming: frozenset[int] = frozenset()
    outgoing: frozenset[int] = frozenset()

    @property
    def is_joint(self) -> bool:
        return bool(self.outgoing)

    def ids(self) -> frozenset[int]:
        """Return who votes in either half."""
        return self.incoming | self.outgoing

    def committed_index(self, match_of: Mapping[int, int]) -> int:
        """Return the highest index that a majority of each half holds."""
        return min(
            majority_committed(self.incoming, match_of), majority_committed(self.outgoing, match_of)
        )

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        """Return how the election stands: won if both halves elect, lost if one of them cannot any more."""
        results = majority_vote(self.incoming, votes), majority_vote(self.outgoing, votes)
        for result in (VoteResult.VoteLost, VoteResult.VotePending):
            if result in results:
                return result
        return VoteResult.VoteWon
