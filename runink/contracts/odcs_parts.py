"""Parts of an ODCS document, read with care: each value of the type that the standard gives it, and what is not is told with its place.

code   what is wrong
O005   a value of another type than the standard's
O006   a key that the standard does not know
O007   something that must be there is not, or there are several
O008   a version of the standard, a kind or a type that is not known
O009   an option that its type does not have, or that cannot be kept
O010   a custom property of ours that cannot be read, or that disagrees with what stands beside it
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeVar

from runink.contracts.yaml_text import Path
from runink.suggestions import near

HINTS_MAX: Final = 100  # mistakes that are told with what may have been meant
AMONG_MAX: Final = 300  # names that are looked at for that

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake and where it stands."""

    path: Path
    code: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something of a document that Runink reads and does not enforce."""

    path: Path
    text: str


@dataclass(slots=True)
class Told:
    """What is to be said about a document."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def near(self, word: str, among: Iterable[str], otherwise: str = "") -> str:
        """Return what may have been meant; not for the many mistakes of a document that somebody made to cost time."""
        if len(self.problems) > HINTS_MAX:
            return otherwise
        return near(word, islice(among, AMONG_MAX)) or otherwise


@dataclass(frozen=True, slots=True)
class Part:
    """A mapping of the document. What stands there as nothing counts as not there."""

    value: dict[str, Any]
    path: Path
    told: Told

    def wrong(self, code: str, text: str, *keys: str | int, hint: str = "") -> None:
        self.told.problems.append(Problem((*self.path, *keys), code, text, hint))

    def note(self, text: str, *keys: str | int) -> None:
        self.told.notes.append(Note((*self.path, *keys), text))

    def known(self, keys: Collection[str], what: str) -> None:
        """Tell every key that is none of these."""
        for key in self.value:
            if key not in keys:
                hint = self.told.near(key, keys, "what is your own goes into customProperties")
                self.wrong("O006", f"{key} is no key of {what}", key, hint=hint)

    def text(self, key: str) -> str:
        return self._typed(key, str, "a text", hint="write it in quotes") or ""

    def flag(self, key: str) -> bool:
        return self._typed(key, bool, "true or false") or False

    def whole(self, key: str) -> int | None:
        value = self.value.get(key)
        if value is None or (type(value) is int and value >= 0):
            return value
        self.wrong("O005", f"{key} is {value!r}, not a whole number from 0 on", key)
        return None

    def listed(self, key: str) -> list[Any]:
        return self._typed(key, list, "a list") or []

    def texts(self, key: str) -> list[str]:
        found = self.listed(key)
        for place, value in enumerate(found):
            if not isinstance(value, str):
                self.wrong("O005", f"{value!r} is no text", key, place, hint="write it in quotes")
        return [value for value in found if isinstance(value, str)]

    def part(self, key: str) -> Part | None:
        """Return the mapping below a key, or nothing."""
        found = self._typed(key, dict, "a mapping")
        return None if found is None else Part(found, (*self.path, key), self.told)

    def parts(self, key: str) -> Iterator[Part]:
        """Yield the mappings of a list."""
        for place, value in enumerate(self.listed(key)):
            if isinstance(value, dict):
                yield Part(value, (*self.path, key, place), self.told)
            else:
                self.wrong("O005", f"{value!r} is no mapping", key, place)

    def _typed(self, key: str, kind: type[Value], called: str, *, hint: str = "") -> Value | None:
        value = self.value.get(key)
        if value is None or isinstance(value, kind):
            return value
        self.wrong("O005", f"{key} is {value!r}, not {called}", key, hint=hint)
        return None
