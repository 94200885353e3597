"""A small assembler for classic BPF, the language of seccomp filters.

A program is a list of operations and labels.  A jump names labels; no name is the operation that follows.  Jumps only go forward, and a
conditional one at most JUMP_MAX operations: the kernel has eight bits for it.

    offset  size  one operation (`struct sock_filter` of linux/filter.h)
    0       2     code
    2       1     how many operations to skip when the condition holds
    3       1     how many otherwise
    4       4     k: the number that it works with
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

LOAD: Final = 0x20  # the accumulator becomes the 32 bits at offset k of what is looked at
AND: Final = 0x54  # the accumulator keeps only the bits of k
IF_EQUAL: Final = 0x15
IF_AT_LEAST: Final = 0x35
IF_ANY_BIT: Final = 0x45
RETURN: Final = 0x06
JUMP_MAX: Final = 255
OPERATIONS_MAX: Final = 4096  # BPF_MAXINSNS
OPERATION: Final = struct.Struct("=HBBI")


class Operation(NamedTuple):
    """One step. `then` and `otherwise` are labels, for conditions only."""

    code: int
    k: int
    then: str = ""
    otherwise: str = ""


Line = Operation | str  # a str is a label


def assembled(lines: Sequence[Line]) -> bytes:
    """Return the program as the kernel reads it. Raises ValueError for a jump that is too long or goes back."""
    places: dict[str, int] = {}
    operations: list[Operation] = []
    for line in lines:
        if isinstance(line, str):
            places[line] = len(operations)
        else:
            operations.append(line)
    if len(operations) > OPERATIONS_MAX:
        raise ValueError(f"a program of {len(operations)} operations; the kernel takes {OPERATIONS_MAX}")  # fmt: skip
    return b"".join(
        OPERATION.pack(
            operation.code,
            _distance(operation.then, place, places),
            _distance(operation.otherwise, place, places),
            operation.k,
        )
        for place, operation in enumerate(operations)
    )


def by_range(starts: Sequence[tuple[int, str]]) -> list[Line]:
    """Return a balanced search for the range in which the accumulator lies.

    `starts` are where the ranges begin, in ascending order from 0, and the labels to go to. The search ends after at most
    log2 of their number, rounded up, comparisons.
    """
    assert starts[0][0] == 0, "every number must lie in a range"
    assert len(starts) > 1, "one range needs no search"
    return _search(starts, 0, len(starts))


def _search(starts: Sequence[tuple[int, str]], low: int, high: int) -> list[Line]:
    """Compare with the middle of these ranges; the search in the lower half follows, then that in the upper half."""
    middle = (low + high) // 2
    lines: list[Line] = []
    targets = []
    for half_low, half_high in ((middle, high), (low, middle)):
        if half_high - half_low == 1:
            targets.append(starts[half_low][1])
        else:
            label = f"ranges {half_low} to {half_high}"
            targets.append(label)
            lines = [label, *_search(starts, half_low, half_high), *lines]
    return [Operation(IF_AT_LEAST, starts[middle][0], *targets), *lines]


def _distance(label: str, place: int, places: dict[str, int]) -> int:
    if not label:
        return 0
    distance = places[label] - place - 1
    if not 0 <= distance <= JUMP_MAX:
        raise ValueError(f"{label!r} is {distance} operations away from operation {place}")
    return distance
