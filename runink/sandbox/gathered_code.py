"""The code that every copy of a fork server runs, moved to where it lies together.

Python counts who uses a function's code with each call, in the code's own memory, and where that was made depends on what was loaded around it: the hundred functions that a small slice runs lay on 80 pages, each of which
the kernel copies for each slice.  Made again one behind the other they lie on a third of that.

Codes are told from each other by what they are, never by what is in them: two functions that do the same are from different files, and say so when they fail.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType, FunctionType

from runink.sandbox.holes import fill


def codes_run(act: Callable[[], object]) -> list[CodeType]:
    """Return the code of all functions of Python that this runs in this thread."""
    found: dict[int, CodeType] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            found[id(frame.f_code)] = frame.f_code

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return list(found.values())


def gather_code(codes: Iterable[CodeType]) -> int:
    """Give all functions of this code the same code made again, and return how many there are. What Python has noted in it while it ran is lost: it is to be run a few times afterwards."""
    wanted = {id(code): code for code in codes}
    functions = [
        one for one in gc.get_objects() if type(one) is FunctionType and id(one.__code__) in wanted
    ]
    fillers = fill()  # else it would come into holes, wherever these are
    again: dict[int, CodeType] = {}
    for function in functions:
        code = function.__code__  # which `wanted` keeps, so nothing else can be in its place
        if id(code) not in again:
            again[id(code)] = _again(code, wanted)
        function.__code__ = again[id(code)]
    del fillers
    return len(functions)


def _again(code: CodeType, wanted: dict[int, CodeType]) -> CodeType:
    """Return code like this, and so for what is defined in it."""
    constants = tuple(
        _again(one, wanted) if isinstance(one, CodeType) and id(one) in wanted else one
        for one in code.co_consts
    )
    return code.replace(co_consts=constants)
