"""What is to be said about a JSON Schema: mistakes, what is not enforced, and what is left out; as much as anybody reads, and at a bounded cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from runink.contracts.json_schema_parts import TooMuch
from runink.contracts.json_schema_words import KNOWN, NARROWING
from runink.contracts.odcs_parts import Note, Problem, Told
from runink.contracts.yaml_text import Path
from runink.suggestions import nearest

MISTAKES_MAX: Final = 1_000  # nobody reads on
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
        """Return what may have been meant."""
        return self.told.near(word, among, otherwise)

    def note(self, text: str, path: Path) -> None:
        self.told.notes.append(Note(path, text))

    def leave_out(self, keyword: str, path: Path) -> None:
        """Count a keyword that says nothing of values; one that is nearly one that does is a mistake."""
        if keyword not in self.left_out:
            is_foreign = keyword in KNOWN or keyword.startswith("x-")
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
