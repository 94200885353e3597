"""Is there an order in which these operations could have taken effect one after the other, each between its beginning and its end?

The search is that of Wing and Gong, with the memory that Lowe gave it, one key at a time: a history is linearizable if each key's part is.  A
state of the search is the set of operations placed so far (the bits of a number) and what the key then is; a state that was seen is not searched again.

    from a state                         the next operation may be one
    operations with an end               that began before the earliest end among those not placed yet
    operations with an unknown outcome   the same, and only where they change something; they need not be placed at all

An answered operation that leaves the key as it is (a read, a swap that did not hold) is placed as soon as it fits: to place it later is never better.
An unanswered write is not placed where the next operation would overwrite it unseen: the same order without it does as well.

The key is a register with a revision.  What an unanswered write left has a revision that nobody was told: it is known to be at least one more than the
one before, and becomes exact when somebody sees it.  Only one thing is let through that could be found: a swap that did not hold on such a key is
taken as true, whatever revision it compared with.

Clients see only that no order explains what they were answered; the report names the operation at whose end that was certain.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final, NamedTuple, assert_never

from runink.testing.histories import Delete, Get, Operation, Put, Saw, Swap, Wrote

STEPS_MAX: Final = 200_000  # of one key, one or two seconds; a sound history takes some hundreds
OPERATIONS_TOLD: Final = 12  # of the order that was found: what comes before is history


class Verdict(Enum):
    LINEARIZABLE = "linearizable"
    VIOLATION = "violation"
    UNKNOWN = "unknown"  # the steps were spent before the search was over


class Register(NamedTuple):
    """A key between two operations: `revision` is that of its last change or, if it is not exact, the least that it can be."""

    value: bytes | None
    revision: int
    is_exact: bool


ABSENT: Final = Register(None, 0, True)


@dataclass(frozen=True, slots=True)
class Report:
    """What the search found. For a violation: the operation that no order explains, the longest order that was found, and what the key was behind it."""

    verdict: Verdict
    steps: int
    operation: Operation | None = None
    order: tuple[Operation, ...] = ()
    register: Register = ABSENT

    def __str__(self) -> str:
        if self.operation is None:
            return f"{self.verdict.value} after {self.steps} steps"
        told = [f"  {operation}" for operation in self.order[-OPERATIONS_TOLD:]]
        lines = [
            f"no order explains {self.operation}",
            f"the longest order that was found has {len(self.order)} operations, and ends",
            *told,
            f"with the key at {self.register}",
        ]
        return "\n".join(lines)


def check_linearizable(history: Iterable[Operation], *, steps_max: int = STEPS_MAX) -> Report:
    """Judge a history, key by key. A violation of one key outweighs what is unknown of another."""
    by_key: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        by_key[operation.key].append(operation)
    steps = 0
    verdict = Verdict.LINEARIZABLE
    for key in sorted(by_key):
        report = _Search(by_key[key]).run(steps_max)
        steps += report.steps
        if report.verdict is Verdict.VIOLATION:
            return report
        if report.verdict is Verdict.UNKNOWN:
            verdict = Verdict.UNKNOWN
    return Report(verdict, steps)


def successors(register: Register, operation: Operation) -> tuple[Register, ...]:
    """Return what the key can be behind the operation; nothing, if it cannot have been answered so."""
    answer = operation.answer
    if answer is not None and answer.revision < register.revision:
        return ()
    match operation.action, answer:
        case Get(), Saw(value, mod_revision, _):
            return _seen(register, value, mod_revision)
        case Put(value), None | Wrote():
            return _written(register, value, answer)
        case Delete(), None | Wrote():
            is_there = register.value is not None
            if answer is not None and is_there != answer.changed:
                return ()
            return _written(register, None, answer) if is_there else (register,)
        case Swap(expected, value), None | Wrote():
            return tuple(_swapped(register, expected, value, answer))
        case _:
            raise AssertionError(operation)


def _seen(register: Register, value: bytes | None, mod_revision: int) -> tuple[Register, ...]:
    if value != register.value:
        return ()
    if value is None:
        return (register,)
    if register.is_exact:
        return (register,) if mod_revision == register.revision else ()
    return (Register(value, mod_revision, True),) if mod_revision >= register.revision else ()


def _written(register: Register, value: bytes | None, answer: Wrote | None) -> tuple[Register, ...]:
    if answer is None:
        return (Register(value, register.revision + 1, False),)
    if answer.revision <= register.revision:
        return ()  # An answer of before: it was given for something else.
    return (Register(value, answer.revision, True),)


def _swapped(
    register: Register, expected: int | bytes, value: bytes, answer: Wrote | None
) -> Iterator[Register]:
    for holds, before in _compared(register, expected):
        if answer is not None and holds != answer.changed:
            continue
        if holds:
            yield from _written(before, value, answer)
        else:
            yield before


def _compared(register: Register, expected: int | bytes) -> Iterator[tuple[bool, Register]]:
    """Yield whether the comparison holds, and what is known of the key then: both may be, if its revision is not exact."""
    match expected:
        case bytes():
            yield register.value == expected, register
        case int() if register.value is None:
            yield expected == 0, register
        case int() if register.is_exact or expected < register.revision:
            yield expected == register.revision, register
        case int():
            yield True, Register(register.value, expected, True)
            yield False, register
        case _:
            assert_never(expected)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A state of the search, and the operation that led there. All answered operations before `low` are placed."""

    register: Register
    done: int = 0
    low: int = 0
    operation: Operation | None = None
    before: _Place | None = None

    @property
    def is_unseen(self) -> bool:
        """Whether it ends with a write that nobody was told of."""
        return self.operation is not None and self.operation.answer is None

    def order(self) -> tuple[Operation, ...]:
        found: list[Operation] = []
        place: _Place | None = self
        while place is not None and place.operation is not None:  # ends: back to the beginning
            found.append(place.operation)
            place = place.before
        return tuple(reversed(found))


class _Search:
    """The search over one key. The operations with an end come first, each part by its beginning; their numbers are the bits of `done`."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        by_beginning = sorted(operations, key=lambda operation: operation.began)
        self._answered = [one for one in by_beginning if one.ended is not None]
        self._unknown = [one for one in by_beginning if one.ended is None]
        self._unknown_began = [one.began for one in self._unknown]
        self._furthest: tuple[float, Operation | None, _Place] = (-inf, None, _Place(ABSENT))

    def run(self, steps_max: int) -> Report:
        begin = _Place(ABSENT)
        seen = {(begin.done, begin.register, begin.is_unseen)}
        steps = 0
        if not self._answered:
            return Report(Verdict.LINEARIZABLE, steps)
        paths = [self._next(begin)]
        while paths:  # ends: at steps_max, and no state is taken twice
            place = next(paths[-1], None)
            if place is None:
                paths.pop()
                continue
            steps += 1
            if place.low == len(self._answered):
                return Report(Verdict.LINEARIZABLE, steps)
            if steps >= steps_max:
                return Report(Verdict.UNKNOWN, steps)
            state = (place.done, place.register, place.is_unseen)
            if state not in seen:
                seen.add(state)
                paths.append(self._next(place))
        _, operation, place = self._furthest
        return Report(Verdict.VIOLATION, steps, operation, place.order(), place.register)

    def _next(self, place: _Place) -> Iterator[_Place]:
        """Return the places that one more operation leads to, the likelier ones first."""
        candidates, horizon = self._candidates(place)
        moves: list[_Place] = []
        for number in candidates:
            if place.is_unseen and isinstance(self._answered[number].action, Put):
                continue
            registers = successors(place.register, self._answered[number])
            if registers == (place.register,):
                return iter([self._moved(place, number, place.register)])
            moves += [self._moved(place, number, register) for register in registers]
        for number in range(bisect_right(self._unknown_began, horizon)):
            operation = self._unknown[number]
            is_placed = place.done >> len(self._answered) + number & 1
            if is_placed or (place.is_unseen and isinstance(operation.action, Put)):
                continue
            for register in successors(place.register, operation):
                if register != place.register:
                    moves.append(self._moved(place, len(self._answered) + number, register))
        return iter(moves)

    def _candidates(self, place: _Place) -> tuple[list[int], float]:
        """Return which answered operations may be next, and until when what is next must have begun."""
        candidates: list[int] = []
        horizon = inf
        first_to_end: Operation | None = None
        for number in range(place.low, len(self._answered)):
            operation = self._answered[number]
            if operation.began > horizon:
                break
            if place.done >> number & 1:
                continue
            candidates.append(number)
            assert operation.ended is not None
            if operation.ended < horizon:
                horizon = operation.ended
                first_to_end = operation
        if horizon > self._furthest[0]:
            self._furthest = (horizon, first_to_end, place)
        return candidates, horizon

    def _moved(self, place: _Place, number: int, register: Register) -> _Place:
        done = place.done | 1 << number
        low = place.low
        while done >> low & 1 and low < len(self._answered):  # ends: at the last operation
            low += 1
        answered = len(self._answered)
        operation = (
            self._answered[number] if number < answered else self._unknown[number - answered]
        )
        return _Place(register, done, low, operation, place)
