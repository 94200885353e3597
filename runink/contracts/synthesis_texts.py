"""Texts that a field takes: of its pattern, from a list of what its name means, or plain words; always by the column.

Texts that need not differ are made once and used again and again, which is what makes a million rows a matter of seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count as numbers
from typing import Any, Final

from runink.contracts.fields import FieldSpec
from runink.contracts.fitting import PATTERN_SHOWN_MAX
from runink.contracts.formats import FORMATS
from runink.contracts.text_patterns import Chance, Unreadable, text_maker
from runink.errors import Invalid

Make = Callable[[int, Chance], list[Any]]  # so many values, by chance
Words = Callable[
    [FieldSpec], Sequence[Any]
]  # what a field's name and tags mean: values that look real, or none

POOL: Final = 1_000  # different texts that are made for a column and used again and again
LENGTH_TRIES: Final = (0, 2, 5, 12, 40, 200)  # how far endless repetitions go, one after the other
TEXT_TRIES: Final = 40  # for one text of a pattern with bounds on its length
_SYLLABLES: Final = [
    "ba",
    "de",
    "fi",
    "go",
    "hu",
    "ka",
    "le",
    "mi",
    "no",
    "pu",
    "ra",
    "se",
    "ti",
    "vo",
    "wa",
    "zu",
]


def no_words(_: FieldSpec) -> Sequence[Any]:
    """Say that no name means anything: all text is plain."""
    return ()


def texts_of(field: FieldSpec, words: Words, *, spread: int = 0) -> Make:
    """Return what makes texts of a field. Raises Invalid (`synth_impossible`) for a pattern that no text is made for."""
    pool = list(words(field))
    if pool:
        return _numbered(pool) if spread else pooled(pool)
    pattern = field.pattern if field.pattern is not None else FORMATS.get(field.format)
    if pattern is not None:
        return _patterned(field, pattern, spread)
    return plain_words(field, spread=spread)


def pooled(pool: Sequence[Any]) -> Make:
    """Return what takes values of the pool by chance."""
    size = len(pool)

    def make(count: int, chance: Chance) -> list[Any]:
        draw = chance.random  # a third of the time of randrange
        return [pool[int(draw() * size)] for _ in range(count)]

    return make


def _again(one: Callable[[Chance], str], spread: int) -> Make:
    """Make each text anew where all must differ, else a pool of them."""
    pool: list[str] = []

    def make(count: int, chance: Chance) -> list[str]:
        if spread:
            return [one(chance) for _ in range(count)]
        while len(pool) < min(POOL, count):
            pool.append(one(chance))
        return pooled(pool)(count, chance)

    return make


def _numbered(pool: Sequence[str]) -> Make:
    """Make more different texts than there are by a number in them: in an address before the @, else behind."""
    every = numbers()

    def make(count: int, _: Chance) -> list[str]:
        return [
            _with_number(pool[at % len(pool)], at // len(pool))
            for at, _ in zip(every, range(count), strict=False)
        ]

    return make


def _with_number(text: str, number: int) -> str:
    name, at, host = text.partition("@")
    return f"{name}{number or ''}{at}{host}"


def _patterned(field: FieldSpec, pattern: str, spread: int) -> Make:
    try:
        one = text_maker(pattern)
    except Unreadable as error:
        raise _impossible(field, pattern, error) from None

    def text(chance: Chance) -> str:
        """Return a text of the pattern, of a length that fits if one is found soon."""
        made = ""
        for attempt in range(TEXT_TRIES):
            more = LENGTH_TRIES[min(attempt // 4 + 1, len(LENGTH_TRIES) - 1)] if attempt else 5
            more = more if field.max_length is None else min(more, field.max_length)
            try:
                made = one(chance, more)
            except Unreadable as error:
                raise _impossible(field, pattern, error) from None
            if (field.min_length or 0) <= len(made) <= (field.max_length or len(made)):
                break
        return made

    return _again(text, spread)


def _impossible(field: FieldSpec, pattern: str, error: Unreadable) -> Invalid:
    shown = pattern if len(pattern) <= PATTERN_SHOWN_MAX else pattern[:PATTERN_SHOWN_MAX] + "…"
    return Invalid(
        f"no text can be made for {field.name} by its pattern {shown!r}: {error}",
        code="synth_impossible",
        hint="give the field choices, or make its rows by hand",
    )


def plain_words(field: FieldSpec, *, spread: int = 0) -> Make:
    """Return what makes plain words of a length that fits."""
    shortest = field.min_length or 0
    longest = field.max_length if field.max_length is not None else max(12, shortest)
    least = min(max(shortest, 8 if spread else 4), max(longest, shortest))
    most = min(max(least, 12), max(longest, least))

    def word(chance: Chance) -> str:
        length = chance.randrange(least, most + 1)
        syllables = [
            _SYLLABLES[chance.randrange(0, len(_SYLLABLES))] for _ in range(length // 2 + 1)
        ]
        return "".join(syllables)[:length]

    return _again(word, spread)
