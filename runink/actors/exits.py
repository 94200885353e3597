"""How processes ended: the spawner's word, kept for whoever waits for it or will."""

from __future__ import annotations

from collections.abc import Callable

from runink.loops import Bell
from runink.runs.records import Exit
from runink.sandbox.client import Exited, Spawner
from runink.sandbox.protocol import UNCOUNTED


class Exits:
    """One word for each name, told once and taken once, in either order."""

    def __init__(self) -> None:
        self._told: dict[str, Exited] = {}
        self._listeners: dict[str, Callable[[Exit], object]] = {}

    def __len__(self) -> int:
        return len(self._told) + len(self._listeners)

    async def hear(self, spawner: Spawner) -> None:
        """Take what the spawner tells, for as long as this task lives. Raises LinkLost when it is gone."""
        async for event in spawner.events():
            if isinstance(event, Exited):
                self.tell(event)

    def tell(self, event: Exited) -> None:
        listener = self._listeners.pop(event.slice, None)
        if listener is None:
            self._told[event.slice] = event
        else:
            listener(_exit(event))

    def listen(self, name: str, told: Callable[[Exit], object]) -> None:
        """Have the word of the process of that name told when it comes, or at once, and taken with that. One listens at a time."""
        event = self._told.pop(name, None)
        if event is None:
            assert name not in self._listeners, "one listens at a time"
            self._listeners[name] = told
        else:
            told(_exit(event))

    async def wait(self, name: str) -> Exit:
        """Wait until the process of that name has ended, and take the word of it."""
        bell = Bell()
        found: list[Exit] = []

        def told(word: Exit) -> None:
            found.append(word)
            bell.ring()

        self.listen(name, told)
        try:
            await bell.wait()
        finally:
            self._listeners.pop(name, None)
        return found[0]

    def forget(self, name: str) -> None:
        """Drop what was told about a process that nobody asks for any more: the spawner may say it once again."""
        self._told.pop(name, None)


def _exit(event: Exited) -> Exit:
    return Exit(
        cause=event.cause,
        code=event.code,
        signal=event.signal,
        cpu_s=event.utime_s + event.stime_s,
        memory_bytes_max=event.memory_bytes_max,
        wall_s=event.wall_s,
        read_bytes=event.read_bytes,
        written_bytes=event.written_bytes,
        oom_kills=event.oom_kills,
        processes_refused=event.processes_refused,
        throttled_s=event.throttled_s,
        voluntary_switches=_counted(event.voluntary_switches),
        involuntary_switches=_counted(event.involuntary_switches),
        wall_time_s=event.wall_time_s,
    )


def _counted(number: int) -> int | None:
    return None if number == UNCOUNTED else number
