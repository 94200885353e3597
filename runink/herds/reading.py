"""Reading TOML strictly: values of the types that are wanted, and every slip told with its line and a hint.

A slip is looked for where it was made: in the lines of its table, at the key, so that `cpu` of one table is not shown where another has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from runink.errors import Finding, Invalid, Span
from runink.suggestions import near, near_or_all

MISTAKE: Final = "H001"
TEXT_MAX: Final = 1_000  # characters of a description or a name


class Mistakes:
    """All slips of one file, in the order in which they were found."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._tables = tuple(_tables_of(self._lines))
        self.findings: list[Finding] = []

    def tell(
        self, text: str, key: str, hint: str = "", *, table: str = "", number: int | None = 0
    ) -> None:
        """Take note of a slip, at the key of a table; of several tables of that name at the one of this number, or without a number in the first that has it, with the tables within."""
        at = self._place(key, table, number)
        if at is None:
            self.findings.append(Finding(MISTAKE, text, None, hint))
            return
        line = self._lines[at]
        span = Span(self._file, at + 1, line.index(key) + 1, len(key))
        self.findings.append(Finding(MISTAKE, text, span, hint, line))

    def _place(self, key: str, table: str, number: int | None) -> int | None:
        """Return the line that the key is in: where it is set in its table, else anywhere there, else anywhere."""
        if not key:
            return None
        has = [at for at, line in enumerate(self._lines) if key in line]
        if number is None:
            names = (self._tables[at][0] for at in has)
            within = [
                at
                for at, name in zip(has, names, strict=True)
                if f"{name}.".startswith(f"{table}.")
            ]
        else:
            within = [at for at in has if self._tables[at] == (table, number)]
        sets = [at for at in within if _key_of(self._lines[at]) == key]
        return next(iter((*sets, *within, *has)), None)


def _tables_of(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield the table that each line is in, and how many of that name came before it."""
    counts: dict[str, int] = {}
    at = ("", 0)
    for line in lines:
        text = line.strip()
        if text.startswith("["):
            name = text.partition("#")[0].strip().strip("[]").strip()
            at = (name, counts.get(name, 0))
            counts[name] = at[1] + 1
        yield at


def _key_of(line: str) -> str:
    return line.partition("=")[0].strip().strip("\"'")


class Section:
    """A table of the file. Every method returns what stands there, or the default where it is nothing or wrong, which is told then."""

    def __init__(self, mistakes: Mistakes, name: str, found: Mapping[str, Any], number: int = 0) -> None:  # fmt: skip
        self.mistakes = mistakes
        self.name = name
        self.found = found
        self._number = number

    def tell(self, text: str, key: str, hint: str = "") -> None:
        self.mistakes.tell(text, key, hint, table=self.name, number=self._number)

    def know(self, keys: tuple[str, ...]) -> None:
        """Tell each key that is not among these."""
        for key in self.found:
            if key not in keys:
                where = f"[{self.name}]" if self.name else "a herd's file"
                self.tell(f"{where} has no {key}", key, near(key, keys) or f"it has {', '.join(keys)}")  # fmt: skip

    def table(self, key: str, keys: tuple[str, ...] | None = None) -> Section:
        """Return a table within this one, which has these keys, or any."""
        found = self.found.get(key, {})
        name = f"{self.name}.{key}" if self.name else key
        if not isinstance(found, dict):
            self.tell(f"{key} is a table", key, f"write [{name}]")
            found = {}
        inner = Section(self.mistakes, name, found)
        if keys is not None:
            inner.know(keys)
        return inner

    def tables(self, key: str, keys: tuple[str, ...]) -> Iterator[Section]:
        found = self.found.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            self.tell(f"{key} is a list of tables", key, f"write [[{key}]]")
            return
        for number, one in enumerate(found):
            inner = Section(self.mistakes, key, one, number)
            inner.know(keys)
            yield inner

    def text(self, key: str) -> str:
        found = self.found.get(key, "")
        if not isinstance(found, str):
            self.tell(f"{key} is text", key, f'write {key} = "…"')
        elif len(found) > TEXT_MAX:
            self.tell(f"{key} is longer than {TEXT_MAX:,} characters", key)
        else:
            return found
        return ""

    def flag(self, key: str, *, default: bool) -> bool:
        found = self.found.get(key, default)
        if isinstance(found, bool):
            return found
        self.tell(f"{key} is true or false", key)
        return default

    def number(self, key: str, *, least: int = 0, most: int | None = None, default: int = 0, hint: str = "") -> int:  # fmt: skip
        found = self.found.get(key, default)
        is_whole = isinstance(found, int) and not isinstance(found, bool)
        if is_whole and found >= least and (most is None or found <= most):
            return int(found)
        told = f"a whole number from {least:,} to {most:,}" if most is not None else f"a number, {least} or more"  # fmt: skip
        self.tell(f"{key} is {told}", key, hint)
        return default

    def quantity(self, key: str, parse: Callable[[str], int]) -> int:
        """Return an amount as `parse` reads it, 0 where nothing is said."""
        if key not in self.found:
            return 0
        try:
            return parse(str(self.found[key]))
        except Invalid as error:
            self.tell(f"{key}: {error.text}", key, error.hint)
            return 0

    def zero_or(self, key: str, parse: Callable[[str], int], default: int) -> int:
        """Return an amount, where 0 is said in so many words; `default` where nothing is."""
        if key not in self.found:
            return default
        if self.found[key] in (0, "0") and not isinstance(self.found[key], bool):
            return 0
        return self.quantity(key, parse) or default

    def choice(self, key: str, words: tuple[str, ...]) -> str:
        """Return which of the words it says: the first where it says nothing."""
        said = self.found.get(key, words[0])
        if said in words:
            return str(said)
        self.tell(f"there is no {key} {said}", key, near_or_all(str(said), words))
        return words[0]

    def texts(self, key: str, example: str, what: str = "names") -> tuple[str, ...] | None:
        """Return a list of texts, each once; nothing where it is wrong, and () where it is not there."""
        found = self.found.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.tell(f"{key} is a list of {what}", key, f"as in {example}")
            return None
        return tuple(dict.fromkeys(found))
