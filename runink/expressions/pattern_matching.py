"""Whether a pattern is found in a text: all its ways are gone at once (Thompson 1968), so the time is the text's length by the pattern's, whatever both are."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from runink.expressions.pattern_characters import WORD
from runink.expressions.patterns import Fork, Found, Instruction, One, Place, Where, program

PROGRAMS_MAX: Final = 64  # patterns of one pipeline that are kept ready


@lru_cache(PROGRAMS_MAX)
def _program(pattern: str) -> list[Instruction]:
    return program(pattern)


def matches(text: str, pattern: str) -> bool:
    """Say whether the pattern is found anywhere in the text, as RE2 does. Raises PatternError."""
    instructions = _program(pattern)
    waiting: set[int] = {0}
    for at in range(len(text) + 1):
        before = text[at - 1] if at else ""
        character = text[at : at + 1]
        ready = _reached(instructions, waiting, before, character)
        if ready is None:
            return True
        waiting = {0}
        waiting.update(one.next_at for one in ready if character and one.test(character))
    return False


def _reached(
    instructions: list[Instruction], waiting: set[int], before: str, behind: str
) -> list[One] | None:
    """Return the characters that may come next, or nothing if the match is complete."""
    stack = list(waiting)
    seen = set(stack)
    ready: list[One] = []
    following: tuple[int, ...]
    while stack:
        match instructions[stack.pop()]:
            case Found():
                return None
            case One() as one:
                ready.append(one)
                continue
            case Fork(first, second):
                following = (first, second)
            case Where(place, next_at):
                following = (next_at,) if _is_at(place, before, behind) else ()
        for onward in following:
            if onward not in seen:
                seen.add(onward)
                stack.append(onward)
    return ready


def _is_at(place: Place, before: str, behind: str) -> bool:
    match place:
        case Place.TEXT_BEGIN:
            return not before
        case Place.TEXT_END:
            return not behind
        case Place.LINE_BEGIN:
            return before in {"", "\n"}
        case Place.LINE_END:
            return behind in {"", "\n"}
        case Place.EDGE | Place.NO_EDGE:
            is_edge = (before in WORD) != (behind in WORD)
            return is_edge is (place is Place.EDGE)
