"""A project in memory, for tests of the compiler: files are text, contracts are values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runink.clearances import NO_CLEARANCES, ClearancePolicy
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dsl.compiler import Compilation, SourceText, compiled
from runink.errors import Invalid, NotFound
from runink.identity.roles import Clearances, Role, shown_by_roles
from runink.names import HerdName


@dataclass
class MemoryProject:
    """Implements `runink.dsl.project.Project`. `contracts` maps a reference to its fields, `name kind` each."""

    files: Mapping[str, str] = field(default_factory=dict)
    contracts: Mapping[str, ContractSpec] = field(default_factory=dict)
    wrong_herds: Mapping[str, Invalid] = field(default_factory=dict)
    clearances: ClearancePolicy = NO_CLEARANCES
    roles: tuple[Role, ...] = ()

    def step_files(self) -> tuple[str, ...]:
        return tuple(
            sorted(
                path for path in self.files if path.startswith("steps/") and path.endswith(".py")
            )
        )

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        return path in self.files

    def contract_references(self) -> tuple[str, ...]:
        return tuple(sorted(self.contracts))

    def contract(self, reference: str) -> ContractSpec:
        if reference not in self.contracts:
            raise NotFound(f"there is no contract {reference}", code="contract_missing")
        return self.contracts[reference]

    def check_herd(self, name: HerdName) -> ClearancePolicy:
        if name in self.wrong_herds:
            raise self.wrong_herds[name]
        return self.clearances

    def shown_by_roles(self, _name: HerdName) -> Mapping[str, Clearances]:
        return shown_by_roles(self.roles)


def contract_of(reference: str, fields: Mapping[str, str]) -> ContractSpec:
    """Return a contract with these fields, name to kind (`int`, `str`, …)."""
    path, _, name = reference.partition(":")
    made = tuple(FieldSpec(field, Kind(kind)) for field, kind in fields.items())
    return ContractSpec(name, "1.0.0", made, where=path)


def compile_text(
    text: str,
    *,
    project: MemoryProject | None = None,
    parameters: Mapping[str, str] | None = None,
    file: str = "features/x.dsl",
) -> Compilation:
    """Compile a text as if it were a file of the project. Raises Invalid."""
    return compiled(SourceText(text, file, file), parameters or {}, project or MemoryProject())
