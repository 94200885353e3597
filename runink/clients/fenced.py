"""A client of the Barn for who acts for the cluster: every change depends on one key standing as it stood when the office was taken.

Nothing else is needed for that two who both believe to act never undo each other's work: the one whose office is over finds that nothing of his commits.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from runink.barn.commands import Applied, Command, Compare, Txn
from runink.clients.barn import BarnClient, new_client_id
from runink.clients.barn_requests import BarnRequest
from runink.errors import Unavailable
from runink.runtime.ref import Ref

DEPOSED = "deposed"


class FencedBarn(BarnClient):
    """Commits if `fence` holds beside the transaction's own conditions. Raises Unavailable (`deposed`) where it does not."""

    def __init__(
        self,
        barn: Ref[BarnRequest],
        fence: Compare,
        *,
        new_id: Callable[[], str] = new_client_id,
    ) -> None:
        super().__init__(barn, new_id=new_id)
        self._fence = fence

    async def propose(self, command: Command) -> Applied:
        """Propose a transaction; who acts changes nothing by any other command."""
        assert isinstance(command, Txn), "a change without conditions cannot be fenced"
        fenced = replace(command, compares=(self._fence, *command.compares))
        answer = await super().propose(fenced)
        if 0 in answer.failed:
            raise Unavailable(
                "another member acts for the cluster by now", code=DEPOSED, hint="try again"
            )
        return replace(answer, failed=tuple(place - 1 for place in answer.failed))
