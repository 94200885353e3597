"""What the core answers with when it does not take a message."""

from __future__ import annotations


class ProposalDropped(Exception):
    """There is no leader to take it, or it takes none at the moment: it was not appended anywhere by us, and may be proposed again."""

    def __init__(self) -> None:
        super().__init__("raft proposal dropped")


class StepLocalMessage(Exception):
    """A message that only this member may send to itself came from outside."""

    def __init__(self) -> None:
        super().__init__("raft: cannot step raft local message")


class StepPeerNotFound(Exception):
    """An answer came from somebody who is no member."""

    def __init__(self) -> None:
        super().__init__("raft: cannot step as peer not found")
