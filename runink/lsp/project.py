"""What a page's project offers: its steps, contracts, herds and files, read when asked, with limits.

`Offers` is what the compiler knows as a project (`runink.dsl.project.Project`): contracts in Python come from the answers of
`contract_reader.py`, and what was asked for and not answered yet is in `asked`: then it is read, and the page looked at again.
A compiler that nobody waits for any more finds that out when it asks for the next thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final

from runink.clearances import ClearancePolicy
from runink.contracts.fields import ContractSpec
from runink.contracts.references import is_document
from runink.errors import Refused, RuninkError
from runink.identity.roles import Clearances
from runink.lsp.contract_reader import Answer
from runink.lsp.python_files import ClassCode, StepCode, contracts_of, steps_of
from runink.names import HerdName
from runink.projects import Files, find_root

ENTRIES_MAX: Final = 500  # of a folder that are offered
FILES_MAX: Final = 1_000  # that are looked through for contracts
NOT_READ: Final = "contract_not_read"
HIDDEN: Final = frozenset({".git", ".runink", ".venv", "__pycache__", "node_modules"})


class Superseded(Exception):
    """The page has changed: nobody wants to know any more."""


@dataclass
class Offers:
    """A project at a moment; a new one is made for each look at it, so that nothing is remembered too long."""

    root: Path
    answers: Mapping[str, Answer] = field(default_factory=dict)
    is_stale: Callable[[], bool] = lambda: False
    asked: set[str] = field(default_factory=set)  # contracts in Python that the compiler wanted

    @classmethod
    def of(cls, file: Path, answers: Mapping[str, Answer]) -> Offers:
        """Return the project of a pipeline file."""
        return cls(find_root(file), answers)

    def check_wanted(self) -> None:
        """Raise Superseded if nobody waits any more."""
        if self.is_stale():
            raise Superseded

    @cached_property
    def _files(self) -> Files:
        return Files(self.root)

    # As the compiler asks.

    def step_files(self) -> tuple[str, ...]:
        self.check_wanted()
        return self._step_files

    @cached_property
    def _step_files(self) -> tuple[str, ...]:
        return self._files.step_files()

    def read(self, path: str) -> str | None:
        self.check_wanted()
        return self._files.read(path)

    def exists(self, path: str) -> bool:
        return self._files.exists(path)

    def contract_references(self) -> tuple[str, ...]:
        return self._files.contract_references()

    def contract(self, reference: str) -> ContractSpec:
        self.check_wanted()
        if is_document(reference.partition(":")[0]):
            return self._files.contract(reference)  # a text, which runs nothing
        self.asked.add(reference)
        answer = self.answers.get(reference)
        if answer is None:
            raise Refused(f"{reference} is not read yet", code=NOT_READ)
        return answer.raised()

    def check_herd(self, name: HerdName) -> ClearancePolicy:
        return self._files.check_herd(name)

    def shown_by_roles(self, name: HerdName) -> Mapping[str, Clearances]:
        return self._files.shown_by_roles(name)

    # As an editor asks.

    def spec(self, reference: str) -> ContractSpec | None:
        """Return a contract if it can be had; also by its class alone, where there is one of that name."""
        if is_document(reference.partition(":")[0]):
            return self._odcs(reference)
        answer = self.answers.get(self._whole(reference))
        return answer.spec if answer is not None else None

    def _odcs(self, reference: str) -> ContractSpec | None:
        try:
            return self._files.contract(reference) if _is_inside(reference) else None
        except RuninkError:
            return None  # the compiler says what is wrong with it

    @cached_property
    def steps(self) -> tuple[StepCode, ...]:
        """All steps of `steps/*.py`, by file and line."""
        return tuple(step for path in self.step_files() for step in self.steps_of(path))

    def steps_of(self, path: str) -> tuple[StepCode, ...]:
        text = self._text(path)
        return steps_of(text, path) if text is not None else ()

    @cached_property
    def classes(self) -> tuple[ClassCode, ...]:
        """All contracts of `contracts/**/*.py`."""
        paths = [
            path.relative_to(self.root).as_posix() for path in _python(self.root, ["contracts"])
        ]
        return tuple(one for path in paths for one in self.classes_of(path))

    def classes_of(self, path: str) -> tuple[ClassCode, ...]:
        text = self._text(path)
        return contracts_of(text, path) if text is not None else ()

    def class_of(self, reference: str) -> ClassCode | None:
        """Return where a contract is written, by `FILE:CLASS` or its class alone."""
        path, _, name = self._whole(reference).partition(":")
        if not _is_inside(path):
            return None
        return next((one for one in self.classes_of(path) if one.name == name), None)

    def _whole(self, reference: str) -> str:
        """Return `FILE:CLASS` for a class alone."""
        if ":" in reference or not reference:
            return reference
        found = [f"{one.file}:{one.name}" for one in self.classes if one.name == reference]
        return found[0] if len(found) == 1 else reference

    def herds(self) -> list[str]:
        return sorted(path.stem for path in _listed(self.root / "herds") if path.suffix == ".toml")

    def entries(self, folder: str) -> list[str]:
        """Return what is in a folder of the project, folders with a slash behind them."""
        if folder and not _is_inside(folder):
            return []
        found = _listed(self.root / folder)
        return [f"{one.name}/" if one.is_dir() else one.name for one in found]

    def _text(self, path: str) -> str | None:
        try:
            return self.read(path) if _is_inside(path) else None
        except RuninkError:
            return None  # not UTF-8, or no file: the compiler says so


def stamp(root: Path, references: Iterable[str]) -> tuple[tuple[str, int, int], ...]:
    """Return what changes when a Python file beside these contracts does: they are read anew then."""
    folders = {reference.partition("/")[0] for reference in references if "/" in reference}
    found = []
    for path in (*root.glob("*.py"), *_python(root, sorted(folders))):
        try:
            status = path.stat()
        except OSError:
            continue  # it is gone already
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(sorted(found))


def _python(root: Path, folders: Iterable[str]) -> list[Path]:
    found = (
        path for folder in folders if _is_inside(folder) for path in (root / folder).rglob("*.py")
    )
    return sorted(islice(found, FILES_MAX))


def _listed(folder: Path) -> list[Path]:
    try:
        found = sorted(one for one in folder.iterdir() if one.name not in HIDDEN)
    except OSError:
        return []
    return found[:ENTRIES_MAX]


def _is_inside(path: str) -> bool:
    return not path.startswith(("/", "~")) and ".." not in path.split("/")
