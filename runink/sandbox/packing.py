"""Has what a cell's calls are made of lie together: a cell copies each page that holds something of it (`calls.py`), and what Python makes lies wherever something else was freed before."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Final

from runink.sandbox.calls import Ready

_TUPLES_KEPT: Final = 2100  # of each length Python keeps 2000 that were freed, for the next ones
_LENGTHS: Final = range(2, 9)
_HOLES: Final = 1000  # of each size, about
_SIZES: Final = range(48, 145, 16)
_BYTES_HEAD: Final = 33


def packed(prepared: Iterable[Ready]) -> list[Ready]:
    """Return these calls again, made of new objects that lie together. They are told of as before."""
    every = list(prepared)
    holes: list[object] = [bytes(size - _BYTES_HEAD) for size in _SIZES for _ in range(_HOLES)]
    holes += [tuple([None] * length) for length in _LENGTHS for _ in range(_TUPLES_KEPT)]
    found = [
        Ready(
            tuple(
                (function, tuple(map(_again, arguments)), least, most, forgiven)
                for function, arguments, least, most, forgiven in one.bare
            ),
            one.calls,
        )
        for one in every
    ]
    del holes
    return found


def _again(argument: object) -> object:
    """Return an argument like this one. What it leads to stays where it is."""
    match argument:
        case int():
            return argument << 1 >> 1
        case bytes():
            return bytes(bytearray(argument))
        case ctypes.c_void_p():
            return ctypes.c_void_p(argument.value)
        case None:
            return None
        case _:
            return ctypes.byref(argument._obj)  # type: ignore[attr-defined] # noqa: SLF001 - what byref returns has no name, and no other way to what it leads to
