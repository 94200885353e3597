"""Contracts of a project, read in a process of their own and remembered while no Python file beside them changes.

Of what has changed the last answers are kept too: a question that cannot wait is answered by them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from runink.errors import Refused, to_wire
from runink.lsp.contract_reader import Answer
from runink.lsp.project import stamp

WITHIN_S: Final = 20.0  # a contract that takes longer to import hangs
COMPLAINT_CHARACTERS_MAX: Final = 500  # of what the process said before it ended
PROJECTS_MAX: Final = 20  # that are remembered

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(slots=True)
class _Shelf:
    """What is known of one project, and how its files stood when it was asked for. One asks at a time."""

    answers: dict[str, Answer] = field(default_factory=dict)
    stamp: Stamp = ()
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Contracts:
    """The answers by project. One that was asked for before is asked for again when a file changes."""

    def __init__(self) -> None:
        self._shelves: dict[Path, _Shelf] = {}

    def last(self, root: Path) -> dict[str, Answer]:
        """Return the last answers, without a look at any file."""
        shelf = self._shelves.get(root)
        return shelf.answers if shelf is not None else {}

    def known(self, root: Path) -> dict[str, Answer]:
        """Return the answers that still hold."""
        answers = self.last(root)
        return answers if answers and self._shelves[root].stamp == stamp(root, answers) else {}

    async def read(self, root: Path, references: Iterable[str]) -> dict[str, Answer]:
        """Read contracts in addition to those that are known, and return all."""
        shelf = self._shelf(root)
        async with shelf.lock:
            known = await anyio.to_thread.run_sync(self.known, root)
            wanted = sorted({*references, *known})
            if known.keys() >= set(wanted):
                return known  # another page wanted them, too
            before = await anyio.to_thread.run_sync(stamp, root, wanted)
            found = {one.reference: one for one in await _asked(root, wanted)}
            shelf.answers, shelf.stamp = found, before
            return found

    def _shelf(self, root: Path) -> _Shelf:
        shelf = self._shelves.get(root)
        if shelf is None:
            if len(self._shelves) >= PROJECTS_MAX:
                self._shelves.pop(next(iter(self._shelves)))
            shelf = self._shelves[root] = _Shelf()
        return shelf


async def _asked(root: Path, references: list[str]) -> list[Answer]:
    """Ask the process; what it cannot answer, because it hangs or ends, it answers for none."""
    # -P: what the project calls its files hides nothing of ours.
    command = [sys.executable, "-P", "-m", "runink.lsp.contract_reader", str(root)]
    if not await anyio.Path(root).is_dir():
        return [_failed(one, f"there is no folder {root}") for one in references]
    try:
        with anyio.fail_after(WITHIN_S):
            done = await anyio.run_process(
                command, input=msgspec.json.encode(references), check=False, cwd=root
            )
    except TimeoutError:
        told = f"it takes more than {WITHIN_S:.0f} s to import"
        return [_failed(one, told) for one in references]
    if done.returncode == 0:
        return msgspec.json.decode(done.stdout, type=list[Answer])
    if len(references) > 1:
        return [answer for one in references for answer in await _asked(root, [one])]
    complaint = done.stderr.decode(errors="replace").strip()[-COMPLAINT_CHARACTERS_MAX:]
    told = f"the process that imports it ended with {done.returncode}"
    return [_failed(one, f"{told}\n{complaint}".strip()) for one in references]


def _failed(reference: str, told: str) -> Answer:
    error = Refused(f"{reference} cannot be read: {told}", code="contract_import_failed")
    return Answer(reference, error=to_wire(error))
