"""What carries the operations of the catalog out: a handler for each, found by the operation's name. HTTP and the wire call it alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from runink.errors import InvariantBroken
from runink.operations.calls import Caller, Context
from runink.operations.declarations import Asked, Operation

# Of one operation: it is given the struct that the operation asks with.
Handler = Callable[[Any, Caller, Context], Awaitable[Any]]
Handlers = Mapping[Operation, Handler]


class Services:
    """Handlers of several parts together. Raises InvariantBroken unless each operation has one."""

    def __init__(self, operations: Iterable[Operation], *parts: Handlers) -> None:
        self._handlers = {one.name: handler for part in parts for one, handler in part.items()}
        wanted = {one.name for one in operations}
        if wrong := sorted(wanted ^ self._handlers.keys()):
            raise InvariantBroken(f"operations without a handler, or the other way round: {', '.join(wrong)}")  # fmt: skip

    async def call(
        self, operation: Operation, request: Asked, caller: Caller, context: Context
    ) -> Any:
        """Return what the operation's kind says. Raises Refused and Unavailable."""
        return await self._handlers[operation.name](request, caller, context)
