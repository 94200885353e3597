"""Contracts of a project, read in a process of their own and remembered while no Python file beside them changes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
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


class Contracts:
    """The answers by project. One that was asked for before is asked for again when a file changes."""

    def __init__(self) -> None:
        self._answers: dict[Path, dict[str, Answer]] = {}
        self._stamps: dict[Path, Stamp] = {}

    def known(self, root: Path) -> dict[str, Answer]:
        """Return the answers that still hold."""
        answers = self._answers.get(root, {})
        if answers and self._stamps[root] != stamp(root, answers):
            self._answers.pop(root)
            return {}
        return answers

    async def read(self, root: Path, references: Iterable[str]) -> dict[str, Answer]:
        """Read contracts in addition to those that are known, and return all."""
        known = await anyio.to_thread.run_sync(self.known, root)
        wanted = sorted({*references, *known})
        before = await anyio.to_thread.run_sync(stamp, root, wanted)
        found = {one.reference: one for one in await _asked(root, wanted)}
        if len(self._answers) >= PROJECTS_MAX:
            self._answers.pop(next(iter(self._answers)))
        self._answers[root] = found
        self._stamps[root] = before
        return found


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
