"""The descriptors that a relay waits for, and what is called when something happens to one."""

from __future__ import annotations

import select
from collections.abc import Callable
from dataclasses import dataclass

Called = Callable[[int], None]  # with epoll's events


@dataclass(eq=False, slots=True)
class _Watch:
    events: int
    called: Called


class Watches:
    """Errors and the other side's end always happen; a descriptor that is not to be told of them is not watched."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._watches: dict[int, _Watch] = {}

    def watch(self, descriptor: int, events: int, called: Called) -> None:
        """Call when this happens to a descriptor, for as long as it is watched."""
        found = self._watches.get(descriptor)
        if found is None:
            self._poll.register(descriptor, events)
            self._watches[descriptor] = _Watch(events, called)
            return
        if found.events != events:
            self._poll.modify(descriptor, events)
        found.events, found.called = events, called

    def unwatch(self, descriptor: int) -> None:
        if self._watches.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def turn(self, within_s: float) -> None:
        """Wait until something happens, and call for it."""
        happened = [
            (descriptor, events, self._watches.get(descriptor))
            for descriptor, events in self._poll.poll(within_s)
        ]
        for descriptor, events, watch in happened:
            # What happened before it may have closed it, and something else may have its number.
            if watch is not None and self._watches.get(descriptor) is watch:
                watch.called(events)

    def close(self) -> None:
        self._poll.close()
