"""Transcripts of the membership arithmetic.

    simple | enter-joint autoleave=BOOL      (input: v1 l2 r3 u4)
    leave-joint

They print the members and the progress of each.  The log grows by an entry with every command, also with one that is refused: so `next` tells in which one a
member was added.
"""

from __future__ import annotations

from typing import Final

from runink.raft.describe import describe_all_progress, describe_membership
from runink.raft.membership import ConfChangeError, enter_joint, leave_joint, simple
from runink.raft.progress import Membership, Progress, Tracker
from runink.testing.raft_interaction import conf_changes
from runink.testing.raft_nodes import GroupError
from runink.testing.transcript import Directive

COMMANDS: Final = frozenset({"simple", "enter-joint", "leave-joint"})
WINDOW_MESSAGES: Final = 10  # nothing is sent here


class MembershipArithmetic:
    """One transcript's members."""

    def __init__(self) -> None:
        self._tracker = Tracker(WINDOW_MESSAGES)
        self._last_index = 0

    def run(self, asked: Directive) -> str:
        """Return what a command prints."""
        tracker = self._tracker
        try:
            tracker.membership, tracker.progress = self._changed(asked)
        except (ConfChangeError, GroupError) as error:
            return str(error)
        finally:
            self._last_index += 1
        return (
            f"{describe_membership(tracker.membership)}\n{describe_all_progress(tracker.progress)}"
        )

    def _changed(self, asked: Directive) -> tuple[Membership, dict[int, Progress]]:
        changes = conf_changes(asked.input)
        match asked.command:
            case "simple":
                return simple(self._tracker, self._last_index, changes)
            case "enter-joint":
                auto_leave = asked.values("autoleave") == ("true",)
                return enter_joint(self._tracker, self._last_index, changes, auto_leave=auto_leave)
            case "leave-joint" if changes:
                raise GroupError("this command takes no input")
            case "leave-joint":
                return leave_joint(self._tracker)
            case _:
                raise GroupError("unknown command")
