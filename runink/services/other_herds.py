"""What texts of the control plane say of other herds, taken out: why a run waits may name a run, or a herd, that its reader must not know of.

said                                     told
run ID, GANG of ID, ID/GANG              the same where it is a run of this herd, else "a run of another herd"
NODE is for HERD, HERD only              NODE is for other herds only
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from runink.barn.commands import Range, Want
from runink.barn.keys import RUNS, parse_run
from runink.barn.keyvalue import one_key
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import Select
from runink.names import HerdName

OTHER: Final = "a run of another herd"
_ID: Final = r"[0-9A-HJKMNP-TV-Z]{26}"
_NAMED: Final = re.compile(rf"(?:(?:run|\S+ of) )?\b(?P<run>{_ID})\b(?:/[^\s,;]+)?")
_KEPT_FOR: Final = re.compile(r"is for (?!all herds)[^;]*? only")
_ASKED_MAX: Final = 100  # runs of one question to the Barn

Tell = Callable[[str], str]


async def teller(barn: BarnClient, herd: HerdName, texts: Iterable[str]) -> Tell:
    """Return what tells these texts to who may read the herd."""
    named = {found["run"] for text in texts for found in _NAMED.finditer(text)}
    ours = await _ours(barn, herd, sorted(named))

    def told(match: re.Match[str]) -> str:
        return match[0] if match["run"] in ours else OTHER

    def tell(text: str) -> str:
        return _KEPT_FOR.sub("is for other herds only", _NAMED.sub(told, text))

    return tell


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
