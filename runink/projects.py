"""A project on disk: where it begins, its pipeline files compiled, its herds' limits.

The root is the nearest folder above a pipeline file that holds `runink.toml`, or else one of `contracts/`, `steps/`, `features/`,
`herds/`; or else the file's own.  All relative paths of a pipeline start there.
Compiling imports the contracts' files, which are the project's own code; steps' files are read, not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runink.calendars import next_tick
from runink.clearances import ClearancePolicy
from runink.contracts.fields import ContractSpec
from runink.contracts.references import DOCUMENT_SUFFIXES, is_document
from runink.dag import Dag
from runink.environments.lock import read_lock
from runink.errors import Finding, Invalid, NotFound, Refused, Span
from runink.herds.file import read_herd
from runink.herds.record import HerdRecord, unenforced
from runink.identity.roles import Clearances, shown_by_roles
from runink.names import HerdName, herd_name
from runink.runs.schedules import filled_in, occasion_of
from runink.textfiles import read_text

if TYPE_CHECKING:
    from runink.dsl.compiler import Compilation, SourceText
    from runink.dsl.recipes import Recipe

MARK: Final = "runink.toml"
FOLDERS: Final = ("contracts", "steps", "features", "herds")
CONTRACT_FILES_MAX: Final = (
    1_000  # looked through for a list of them, or for one that is named without its file
)
STEP_FILES_MAX: Final = 1_000  # looked through for a step that does not say its file


@dataclass(frozen=True, slots=True)
class Compiled:
    """A pipeline ready to run: its Dag, the project's root, its herd's limits, and what a person should know beside."""

    dag: Dag
    root: Path
    herd: HerdRecord
    notes: tuple[str, ...]


def find_root(file: Path) -> Path:
    """Return the project's root of a pipeline file, absolute."""
    folder = file.absolute().parent
    for candidate in (folder, *folder.parents):
        if (candidate / MARK).is_file():
            return candidate
    for candidate in (folder, *folder.parents):
        if any((candidate / name).is_dir() for name in FOLDERS):
            return candidate
    return folder


def compile_file(file: Path, *, parameters: Mapping[str, str], text: str | None = None) -> Compiled:
    """Compile a pipeline file, or a `text` as if it stood there.

    Raises Invalid with all findings: of the file, its contracts, its steps and its herd, or of its lock; NotFound without the file.
    """
    from runink.dsl.compiler import compiled  # noqa: PLC0415 - a fifth of a second that questions about runs do without

    source, files = _opened(file, text)
    return _whole(compiled(source, parameters, files), files)


def compile_scheduled(
    file: Path, *, given: Mapping[str, str], now_ms: int
) -> tuple[Compiled, Recipe | None]:
    """Compile a pipeline as its next tick would run it, and return what the others are compiled from; nothing where all are the same.

    Raises as `compile_file`, and Invalid (`no_schedule`) for a pipeline that is never due any more.
    """
    from runink.dsl.recorded import compiled_and_recorded, looked_through  # noqa: PLC0415 - as above

    source, files = _opened(file, None)
    schedule, names = looked_through(source, given)
    tick_ms = next_tick(schedule, now_ms) if schedule is not None else None
    filled: dict[str, str] = {}
    if schedule is not None and tick_ms is not None:
        values = filled_in(schedule, occasion_of(schedule, tick_ms))
        filled = {name: values[name] for name in values if name in names and name not in given}
    compilation, recipe = compiled_and_recorded(source, given, filled, files)
    if tick_ms is None:
        lacks = "is over: its end has come" if schedule is not None else "has no @schedule"
        hint = 'write one above Feature:, as in @schedule("0 6 * * *", tz="Europe/Berlin")'
        raise Invalid(f"{file} {lacks}", code="no_schedule", hint=hint)
    return _whole(compilation, files), recipe if filled else None


def _opened(file: Path, text: str | None) -> tuple[SourceText, Files]:
    from runink.dsl.compiler import SourceText  # noqa: PLC0415 - as above

    if text is None:
        text = read_text(file, str(file))
    root = find_root(file)
    path = file.absolute().relative_to(root).as_posix()
    read_lock(root)  # what is wrong there is told before anything runs
    return SourceText(text, str(file), path, str(root)), Files(root)


def _whole(compilation: Compilation, files: Files) -> Compiled:
    herd, notes = files.herd(compilation.dag.herd)
    return Compiled(compilation.dag, files.root, herd, (*compilation.notes, *files.notes, *notes))


def contract_at(file: Path, name: str) -> ContractSpec:
    """Return the contract `name` of a file, wherever in a project it is; without a name, the only one of that file.

    Raises NotFound if there is no such file or contract, Invalid for what is wrong in it or where the file has several and none is named.
    """
    return contract_told_at(file, name)[0]


def contract_told_at(file: Path, name: str) -> tuple[ContractSpec, tuple[str, ...]]:
    """Return the contract as `contract_at` does, and what a person should know of it."""
    root = find_root(file)
    path = file.absolute().relative_to(root).as_posix()
    files = Files(root)
    if not name and not is_document(path):
        names = files.contract_names(path)
        if len(names) != 1:
            has = f"has {', '.join(names)}" if names else "has none"
            raise Invalid(
                f"{file} names no contract; it {has}",
                code="contract_reference",
                hint=f"write {file}:{names[0] if names else 'NAME'}",
            )
        name = names[0]
    spec = files.contract(f"{path}:{name}" if name else path)
    return spec, files.notes


def project_contracts(root: Path) -> tuple[list[ContractSpec], list[str]]:
    """Return the contracts in the project's `contracts/`, and what is wrong with the files that cannot be read."""
    files = Files(root)
    specs, broken = [], []
    for path in files.contract_files():
        try:
            specs += [files.contract(f"{path}:{name}") for name in files.contract_names(path)]
        except Refused as error:
            broken.append(error.text)
    return specs, broken


class Files:
    """The project's files, as the compiler asks for them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the files that were asked for."""
        return tuple(self._notes)

    def step_files(self) -> tuple[str, ...]:
        found = sorted((self.root / "steps").glob("*.py"))
        return tuple(path.relative_to(self.root).as_posix() for path in found[:STEP_FILES_MAX])

    def read(self, path: str) -> str | None:
        try:
            return read_text(self.root / path, path)
        except NotFound:
            return None

    def exists(self, path: str) -> bool:
        return (self.root / path).is_file()

    def contract_files(self) -> tuple[str, ...]:
        """Return the files below `contracts/` that may hold some, by their paths."""
        found = sorted(
            path
            for suffix in (".py", *DOCUMENT_SUFFIXES)
            for path in (self.root / "contracts").rglob(f"*{suffix}")
        )
        return tuple(path.relative_to(self.root).as_posix() for path in found[:CONTRACT_FILES_MAX])

    def contract_references(self) -> tuple[str, ...]:
        from runink.dsl.contractfiles import contract_classes  # noqa: PLC0415 - not every pipeline asks

        found: list[str] = []
        for path in self.contract_files():
            try:
                names: Iterable[str] = (
                    self.contract_names(path)
                    if is_document(path)
                    else contract_classes(self.read(path) or "")
                )
            except Invalid:
                continue  # told by whoever names it
            found += [f"{path}:{name}" for name in names]
        return tuple(found)

    def contract(self, reference: str) -> ContractSpec:
        path, _, name = reference.partition(":")
        if not is_document(path):
            from runink.contracts.loading import load_contract  # noqa: PLC0415 - not every pipeline has one

            return load_contract(self.root, reference)
        from runink.contracts.document_text import read_document  # noqa: PLC0415 - as above

        found = read_document(read_text(self.root / path, path), file=path, name=name)
        self._notes += [
            f"{path}:{note.span.line if note.span else 1}: {note.text}" for note in found.notes
        ]
        return found.spec

    def contract_names(self, path: str) -> tuple[str, ...]:
        """Return the contracts of a file. Raises NotFound without the file, Invalid for what is wrong in it."""
        if is_document(path):
            from runink.contracts.document_text import document_names  # noqa: PLC0415 - as above

            return document_names(read_text(self.root / path, path), file=path)
        from runink.contracts.loading import contract_names  # noqa: PLC0415 - as above

        return contract_names(self.root, path)

    def check_herd(self, name: HerdName) -> ClearancePolicy:
        return self.herd(name)[0].clearances

    def shown_by_roles(self, name: HerdName) -> Mapping[str, Clearances]:
        return shown_by_roles(self.herd(name)[0].roles)

    def herd(self, name: HerdName) -> tuple[HerdRecord, tuple[str, ...]]:
        """Return the herd's limits and what is to be told of them. Raises Invalid for what is wrong in its file."""
        path = f"herds/{name}.toml"
        found = self.herd_file(name)
        if found is None:
            return HerdRecord(name), (
                f"herd {name} has no file {path}: this project sets it no limits",
            )
        notes = tuple(f"{path}: nothing enforces {part} yet" for part in unenforced(found))
        return found, notes

    def herd_file(self, name: HerdName) -> HerdRecord | None:
        """Return what the herd's file says, nothing if it has none. Raises Invalid for what is wrong in it."""
        path = f"herds/{name}.toml"
        text = self.read(path)
        if text is None:
            return None
        found = read_herd(text, file=path)
        if found.herd != name:
            finding = _misnamed(found.herd, name, text, path)
            raise Invalid(f"{path}: 1 mistake", findings=(finding,), code="herd_invalid")
        return found

    def herds(self) -> tuple[HerdName, ...]:
        """Return the herds that have a file, by name."""
        files = sorted((self.root / "herds").glob("*.toml"))
        return tuple(herd_name(path.stem) for path in files)


def _misnamed(found: HerdName, name: HerdName, text: str, path: str) -> Finding:
    for number, line in enumerate(text.splitlines(), 1):
        if found in line:
            span = Span(path, number, line.index(found) + 1, len(found))
            return Finding(
                "H001", f"the file of herd {name} says {found}", span, f'write id = "{name}"', line
            )
    return Finding("H001", f"the file of herd {name} says {found}", None, f'write id = "{name}"')
