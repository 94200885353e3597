"""How processes ended: the spawner's word, kept for whoever waits for it or will."""

from __future__ import annotations

from runink.loops import Bell
from runink.runs.records import Exit
from runink.sandbox.client import Exited, Spawner
from runink.sandbox.protocol import UNCOUNTED


class Exits:
    """One word for each name, told once and taken once, in either order."""

    def __init__(self) -> None:
        self._words: dict[str, _Word] = {}

    def __len__(self) -> int:
        return len(self._words)

    async def hear(self, spawner: Spawner) -> None:
        """Take what the spawner tells, for as long as this task lives. Raises LinkLost when it is gone."""
        async for event in spawner.events():
            if isinstance(event, Exited):
                self.tell(event)

    def tell(self, event: Exited) -> None:
        self._word(event.slice).tell(event)

    async def wait(self, name: str) -> Exit:
        """Wait until the process of that name has ended, and take the word of it."""
        event = await self._word(name).wait()
        self.forget(name)
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

    def forget(self, name: str) -> None:
        """Drop what was told about a process that nobody asks for any more: the spawner may say it once again."""
        self._words.pop(name, None)

    def _word(self, name: str) -> _Word:
        word = self._words.get(name)
        if word is None:
            word = self._words[name] = _Word()
        return word


def _counted(number: int) -> int | None:
    return None if number == UNCOUNTED else number


class _Word:
    def __init__(self) -> None:
        self._come = Bell()
        self._event: Exited | None = None

    def tell(self, event: Exited) -> None:
        self._event = event
        self._come.ring()

    async def wait(self) -> Exited:
        if self._event is None:
            await self._come.wait()
        assert self._event is not None
        return self._event
