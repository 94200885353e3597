"""A machine for classic BPF as seccomp uses it: says what a filter answers, without a kernel.

It knows the operations that `runink/sandbox/bpf.py` and libseccomp write, checks what the kernel's verifier checks (jumps stay inside, the end is a
return) and nothing else.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import NamedTuple

_OPERATION = struct.Struct("=HBBI")
_DATA = struct.Struct("=IIQ6Q")  # struct seccomp_data


class Called(NamedTuple):
    """A system call as a filter sees it."""

    architecture: int
    number: int
    arguments: tuple[int, ...] = ()


class Answered(NamedTuple):
    """What the filter returned, and after how many operations."""

    action: int
    operations: int


def answer(program: bytes, called: Called) -> Answered:
    """Run the filter. Raises ValueError for an operation that it does not know, IndexError for a jump out of the program."""
    arguments = (*called.arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = _DATA.pack(called.number, called.architecture, 0, *arguments)
    operations = _read(program)
    accumulator = place = done = 0
    while True:
        code, then, otherwise, k = operations[place]
        place += 1
        done += 1
        match code:
            case 0x20:  # load a word
                accumulator = int.from_bytes(data[k : k + 4], "little")
            case 0x54:  # and
                accumulator &= k
            case 0x05:  # go on
                place += k
            case 0x06:  # return
                return Answered(k, done)
            case _:
                place += then if _holds(code, accumulator, k) else otherwise


@cache
def _read(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(_OPERATION.iter_unpack(program))


def _holds(code: int, accumulator: int, k: int) -> bool:
    match code:
        case 0x15:
            return accumulator == k
        case 0x25:
            return accumulator > k
        case 0x35:
            return accumulator >= k
        case 0x45:
            return accumulator & k != 0
        case _:
            raise ValueError(f"operation {code:#x} is not known")
