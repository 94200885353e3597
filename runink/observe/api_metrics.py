"""What the doors of a member's API count: who asks by HTTP and by the wire, what they are answered and how soon, and what they use up.

    counted                     by                              when
    requests                    herd, operation, door, status   the answer begins, a stream's too
    how long that took          door                            the same
    bytes in, out               herd, door                      they are read; they are handed on to be sent
    refusals for a limit        door, code                      the answer begins
    connections and streams     door                            somebody looks

`herd` is the one in the path, and empty where there is none and where the caller may not know of it: names that somebody makes up are no labels.  `status` is a class: `2xx`, `4xx`.  What has no
place any more is counted under `_other` (`tallies.py`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from runink.observe.metrics import Histogram, Reading
from runink.observe.tallies import Tally

LIMITS: Final = frozenset({"rate_limited", "too_many_failures", "too_many_streams", "overloaded", "body_too_large", "body_too_slow"})  # fmt: skip
UNTOLD: Final = frozenset({401, 403, 404, 429})  # the caller may not know of the herd in the path
_CUT: Final = "cut_"
_API: Final = "runink_api_"


class Carrier(StrEnum):
    """What a request came by: the label `door`."""

    HTTP = "http"
    WIRE = "wire"


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that is answered. `herd` is what its path has, `code` is that of a refusal."""

    operation: str
    herd: str
    status: int
    code: str
    seconds: float


class ApiMetrics:
    """The counters of one member, for all of its doors. `clock` returns seconds that only grow."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._requests = Tally((f"{_API}requests_total",), ("herd", "operation", "door", "status"))
        self._bytes = Tally((f"{_API}received_bytes_total", f"{_API}sent_bytes_total"), ("herd", "door"))  # fmt: skip
        self._seconds = {
            door: Histogram(f"{_API}request_seconds", {"door": door}) for door in Carrier
        }
        self._refused: Counter[tuple[Carrier, str]] = Counter()
        self._watched: dict[tuple[Carrier, str], Callable[[], Mapping[str, int]]] = {}

    def answered(self, door: Carrier, one: Answered) -> None:
        """Count a request."""
        herd = "" if one.status in UNTOLD else one.herd
        labels = (herd, one.operation, door, f"{one.status // 100}xx")
        self._requests.add(labels, 1, now_s=self._clock())
        self._seconds[door].observe(one.seconds)
        if one.code in LIMITS:
            self._refused[door, one.code] += 1

    def meter(self, door: Carrier, herd: str = "") -> ByteCounter:
        """Return what counts bytes of a herd that the caller may know of."""
        return ByteCounter(self._bytes, (herd, door), self._clock)

    def watch(self, door: Carrier, part: str, statistics: Callable[[], Mapping[str, int]]) -> None:
        """Ask a part of a door for its `connections`, `streams`, `refused` and `cut_WHY` whenever somebody looks, in place of what this part said before."""
        self._watched[door, part] = statistics

    def leave(self, door: Carrier, part: str) -> None:
        """Ask a part no more."""
        self._watched.pop((door, part), None)

    def readings(self) -> Iterator[Reading]:
        yield from self._requests.readings()
        yield from self._bytes.readings()
        for histogram in self._seconds.values():
            yield histogram.reading()
        for (door, code), count in sorted(self._refused.items()):
            yield _one("refused_total", count, door=door, code=code)
        for (door, _), statistics in sorted(self._watched.items()):
            yield from _of_door(door, statistics())


class ByteCounter:
    """Counts bytes for a herd and a door."""

    __slots__ = ("_bytes", "_clock", "_labels")

    def __init__(self, of: Tally, labels: tuple[str, str], clock: Callable[[], float]) -> None:
        self._bytes = of
        self._labels = labels
        self._clock = clock

    def received(self, size_bytes: int) -> None:
        if size_bytes:
            self._bytes.add(self._labels, size_bytes, 0, now_s=self._clock())

    def sent(self, size_bytes: int) -> None:
        if size_bytes:
            self._bytes.add(self._labels, 0, size_bytes, now_s=self._clock())


def _of_door(door: Carrier, told: Mapping[str, int]) -> Iterator[Reading]:
    for name in ("connections", "streams"):
        if name in told:
            yield _one(name, told[name], door=door)
    if "refused" in told:
        yield _one("connections_refused_total", told["refused"], door=door)
    for name, count in told.items():
        if name.startswith(_CUT):
            yield _one("connections_cut_total", count, door=door, why=name.removeprefix(_CUT))


def _one(name: str, value: float, **labels: str) -> Reading:
    return Reading(_API + name, float(value), labels)
