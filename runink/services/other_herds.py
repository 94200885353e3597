"""What texts of the control plane say of other herds, taken out: why a run waits may name a run, or a herd, that its reader must not know of.

said                                     told
run ID, GANG of ID, ID/GANG              the same where it is a run of this herd that no rule hides from the reader, else "another run"
NODE is for HERD, HERD only              NODE is for other herds only
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from runink.barn.commands import Range, Want
from runink.barn.keys import RUNS, parse_run
from runink.barn.keyvalue import one_key
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import Select
from runink.identity.vocabulary import Resource
from runink.names import HerdName
from runink.operations.calls import Caller
from runink.services.behind import Behind, Shows, not_hidden

OTHER: Final = "another run"
_ID: Final = r"[0-9A-HJKMNP-TV-Z]{26}"
_NAMED: Final = re.compile(rf"(?:(?:run|\S+ of) )?\b(?P<run>{_ID})\b(?:/[^\s,;]+)?")
_KEPT_FOR: Final = re.compile(r"is for (?!all herds)[^;]*? only")
_ASKED_MAX: Final = 100  # runs of one question to the Barn


class Tell(NamedTuple):
    """How something is told to somebody. `ours` are those runs of the texts that are of the reader's herd."""

    ours: frozenset[str]
    shows_run: Shows

    def __call__(self, text: str) -> str:
        """Return a text as it is told."""
        return _KEPT_FOR.sub("is for other herds only", _NAMED.sub(self._told, text))

    def run(self, run: str | None) -> str | None:
        """Return the id of a run of the herd that another one tells of, nothing where a rule hides it."""
        return run if run is not None and self.shows_run(run) else None

    def _told(self, match: re.Match[str]) -> str:
        is_told = match["run"] in self.ours and self.shows_run(match["run"])
        return match[0] if is_told else OTHER


async def teller(behind: Behind, caller: Caller, herd: HerdName, texts: Iterable[str]) -> Tell:
    """Return how these texts, and runs' ids, are told to a reader of the herd."""
    named = {found["run"] for text in texts for found in _NAMED.finditer(text)}
    return Tell(
        await _ours(behind.barn, herd, sorted(named)),
        not_hidden(behind, caller, Resource.RUNS, herd),
    )


def all_texts(value: Any) -> Iterable[str]:
    """Yield every text in a plain value."""
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from all_texts(inner)
        case list() | tuple():
            for inner in value:
                yield from all_texts(inner)


def retold(value: Any, tell: Tell) -> Any:
    """Return a plain value with its texts as they are told."""
    match value:
        case str():
            return tell(value)
        case dict():
            return {name: retold(inner, tell) for name, inner in value.items()}
        case list() | tuple():
            return [retold(inner, tell) for inner in value]
        case _:
            return value


async def _ours(barn: BarnClient, herd: HerdName, runs: list[str]) -> frozenset[str]:
    found: set[str] = set()
    for at in range(0, len(runs), _ASKED_MAX):
        spans = [one_key(RUNS.key(herd, run)) for run in runs[at : at + _ASKED_MAX]]
        queries = tuple(Range(span.start, span.end, want=Want.KEYS) for span in spans)
        pages = await barn.ask(Select(queries))
        keys = (item.key for page in pages.pages for item in page.items)
        found.update(parts[1] for parts in map(parse_run, keys) if parts is not None)
    return frozenset(found)
