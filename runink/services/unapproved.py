"""What a caller is told of contracts that are not approved: which they are, where no rule hides one of them from it by its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runink.dag import Dag
from runink.errors import Refused
from runink.governance.approvals import NOT_APPROVED, contracts_used, headline
from runink.identity.vocabulary import Resource
from runink.operations.calls import Caller
from runink.services.behind import Behind, not_hidden


@contextmanager
def refusing_shown(behind: Behind, caller: Caller, dag: Dag) -> Iterator[None]:
    """Have a refusal for a pipeline's contracts name none of them where one is hidden from the caller: also who has published it, and why it was rejected, is told by its name alone."""
    try:
        yield
    except Refused as error:
        shows = not_hidden(behind, caller, Resource.CONTRACTS, dag.herd)
        if error.code != NOT_APPROVED or all(shows(one.name) for one in contracts_used(dag)):
            raise
        raise Refused(
            headline(error.text),
            code=NOT_APPROVED,
            hint="ask somebody who may read the herd's contracts",
        ) from None
