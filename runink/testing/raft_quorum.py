"""Transcripts of the quorum arithmetic.

    committed cfg=(1,2,3) cfgj=(2,3,4) idx=(100,_,99,101)
    vote cfg=(1,2,3) cfgj=(2,3,4) votes=(y,n,_,y)

`cfg` are the voters, `cfgj` those of the outgoing half (`zero`: a joint group whose outgoing half is empty).  Indexes and votes go to the voters in the order
in which they are named, once each; `_` is a voter that was not heard.  `committed` prints what each voter holds, as bars as long as there are voters that
hold less, and the index.  Every answer is computed in other ways too; a difference is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from runink.raft.quorum import (
    INDEX_MAX,
    JointConfig,
    majority_committed,
    majority_vote,
)
from runink.testing.transcript import Directive, TranscriptError

COMMANDS: Final = frozenset({"committed", "vote"})
_VOTES: Final = {"y": True, "n": False}
_KEYS: Final = frozenset({"cfg", "cfgj", "idx", "votes"})
_UNHEARD: Final = "_"


class QuorumArithmetic:
    """Answers commands; nothing is kept between them."""

    def run(self, asked: Directive) -> str:
        """Return what a command prints. Raises TranscriptError for one that is written wrongly."""
        if unknown := {argument.key for argument in asked.arguments} - _KEYS:
            raise TranscriptError(f"unknown arguments: {', '.join(sorted(unknown))}")
        halves = asked.values("cfgj")
        is_joint = bool(halves)
        voters = [int(one) for one in asked.values("cfg")]
        outgoing = [] if halves == ("zero",) else [int(one) for one in halves]
        config = JointConfig(frozenset(voters), frozenset(outgoing))
        given = asked.values("votes" if asked.command == "vote" else "idx")
        named = list(dict.fromkeys([*voters, *outgoing]))
        if len(named) != len(given):
            return _mismatched(named, given)
        heard = {
            voter: value for voter, value in zip(named, given, strict=True) if value != _UNHEARD
        }
        match asked.command:
            case "committed":
                matches = {voter: int(value) for voter, value in heard.items()}
                return committed_told(config, matches, is_joint=is_joint)
            case "vote":
                votes = {voter: _VOTES[value] for voter, value in heard.items()}
                return vote_told(config, votes, is_joint=is_joint)
            case _:
                raise TranscriptError(f"unknown command: {asked.command}")


def _mismatched(voters: Sequence[int], given: Sequence[str]) -> str:
    ids = " ".join(f"{voter}:{{}}" for voter in sorted(voters))
    values = {"y": "2", "n": "1", _UNHEARD: "0"}
    told = " ".join(values.get(value, value) for value in given)
    return f"error: mismatched input (explicit or _) for voters map[{ids}]: [{told}]"


def committed_told(config: JointConfig, matches: Mapping[int, int], *, is_joint: bool) -> str:
    """Return the bars, what other computations give if it differs, and the index."""
    if is_joint:
        index = config.committed_index(matches)
        swapped = JointConfig(config.outgoing, config.incoming).committed_index(matches)
        others = [f"{_index(swapped)} <-- via symmetry"] if swapped != index else []
    else:
        index = majority_committed(config.incoming, matches)
        others = list(_majority_differences(config.incoming, matches, index))
    lines = [_bars(config.ids(), matches), *(f"{line}\n" for line in others)]
    return f"{''.join(lines)}{_index(index)}"


def vote_told(config: JointConfig, votes: Mapping[int, bool], *, is_joint: bool) -> str:
    if not is_joint:
        return majority_vote(config.incoming, votes).value
    result = config.vote_result(votes)
    swapped = JointConfig(config.outgoing, config.incoming).vote_result(votes)
    difference = f"{swapped.value} <-- via symmetry\n" if swapped is not result else ""
    return f"{difference}{result.value}"


def _majority_differences(
    voters: frozenset[int], matches: Mapping[int, int], index: int
) -> Iterator[str]:
    """Yield what does not come out the same: by counting, as half of a joint group, and with voters that hold less but do not matter."""
    others = {
        "alternative computation": _counted(voters, matches),
        "zero-joint quorum": JointConfig(voters).committed_index(matches),
        "self-joint quorum": JointConfig(voters, voters).committed_index(matches),
    }
    for way, other in others.items():
        if other != index:
            yield f"{_index(other)} <-- via {way}"
    for voter in sorted(voters):
        match = matches.get(voter, 0)
        if not 0 < match < index:
            continue
        for less in (match - 1, 0):
            other = majority_committed(voters, {**matches, voter: less})
            if other != index:
                yield f"{_index(other)} <-- overlaying {voter}->{less}"


def _counted(voters: frozenset[int], matches: Mapping[int, int]) -> int:
    """Return the committed index as its definition says it: the highest that more than half of the voters hold."""
    if not voters:
        return INDEX_MAX
    held = [matches.get(voter, 0) for voter in voters]
    return max(
        index for index in (0, *held) if 2 * sum(other >= index for other in held) > len(held)
    )


def _bars(voters: frozenset[int], matches: Mapping[int, int]) -> str:
    if not voters:
        return "<empty majority quorum>"
    width = len(voters)
    lines = [f"{' ' * width}    idx"]
    for voter in sorted(voters):
        index = matches.get(voter, 0)
        length = sum(matches.get(other, 0) < index for other in voters)
        bar = f"{'x' * length}>" if voter in matches else "?"
        lines.append(f"{bar:<{width + 1}} {index:5d}    (id={voter})")
    return "".join(f"{line}\n" for line in lines)


def _index(index: int) -> str:
    return "∞" if index == INDEX_MAX else str(index)
