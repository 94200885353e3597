"""What is to be said about a JSON Schema: mistakes, what is not enforced, and what is left out; as much as anybody reads, and at a bounded cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from runink.contracts.json_schema_parts import TooMuch
from runink.contracts.json_schema_words import KNOWN, NARROWING
from runink.contracts.odcs_parts import Note, Problem, Told
from runink.contracts.yaml_text import Path
from runink.suggestions import near, nearest

MISTAKES_MAX: Final = 1_000  # nobody reads on
HINTS_MAX: Final = 100  # mistakes that are told with what may have been meant
AMONG_MAX: Final = 300  # names that are looked at for that
WORD_MAX: Final = 100  # characters of a word that may be misspelt
FOREIGN_MAX: Final = 1_000  # words of others that are told as left out
MISSPELT_RATIO: Final = 0.8  # how like a keyword a word must be to be one that is written wrong


@dataclass(slots=True)
class Telling:
    """`mistakes` counts all, with those that are told already; `left_out` has the places of words that say nothing of values, the first one beside."""

    told: Told = field(default_factory=Told)
    left_out: dict[str, tuple[Path, set[Path]]] = field(default_factory=dict)
    mistakes: int = 0
    _known: set[Problem] = field(default_factory=set)

    def wrong(self, code: str, text: str, path: Path, hint: str = "") -> None:
        """Tell a mistake, once for a place that several references lead to. Raises TooMuch where there are more than anybody reads."""
        self.mistakes += 1
        problem = Problem(path, code, text, hint)
        if problem in self._known:
            return
        self._known.add(problem)
        self.told.problems.append(problem)
        if len(self._known) > MISTAKES_MAX:
            raise TooMuch

    def near(self, word: str, among: Iterable[str], otherwise: str = "") -> str:
        """Return what may have been meant; not for the many mistakes of a document that somebody made to cost time."""
        if len(self._known) > HINTS_MAX or len(word) > WORD_MAX:
            return otherwise
        return near(word, islice(among, AMONG_MAX)) or otherwise

    def note(self, text: str, path: Path) -> None:
        self.told.notes.append(Note(path, text))

    def leave_out(self, keyword: str, path: Path) -> None:
        """Count a keyword that says nothing of values; one that is nearly one that does is a mistake."""
        if keyword not in self.left_out:
            is_foreign = keyword in KNOWN or keyword.startswith("x-") or len(keyword) > WORD_MAX
            meant = "" if is_foreign else nearest(keyword, NARROWING, ratio=MISSPELT_RATIO)
            if meant:
                text = f"{keyword} is no keyword of JSON Schema"
                self.wrong("O006", text, path, f"did you mean {meant}?")
                return
            if len(self.left_out) >= FOREIGN_MAX:
                text = f"more than {FOREIGN_MAX:,} words that are no keywords of JSON Schema"
                self.wrong("O002", text, path)
                raise TooMuch
            self.left_out[keyword] = (path, set())
        self.left_out[keyword][1].add(path)
