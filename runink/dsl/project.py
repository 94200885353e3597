"""What the compiler asks of a project: texts, names and contracts, given in, because the compiler itself touches no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from runink.clearances import ClearancePolicy
from runink.contracts.fields import ContractSpec
from runink.identity.roles import Clearances
from runink.names import HerdName


class Project(Protocol):
    """A project's files, by paths relative to its root with `/` between the parts."""

    def step_files(self) -> tuple[str, ...]:
        """Return where steps are looked for: `steps/*.py`, sorted."""

    def read(self, path: str) -> str | None:
        """Return a file's text, or nothing if there is none. Raises Refused if it is no text that can be read."""

    def exists(self, path: str) -> bool:
        """Say whether there is such a file."""

    def contract(self, reference: str) -> ContractSpec:
        """Return the contract `contracts/x.py:Name`. Raises Invalid or another Refused."""

    def contract_references(self) -> tuple[str, ...]:
        """Return the contracts that Python files below `contracts/` define, `contracts/x.py:Name` each, sorted. No file is imported for that."""

    def check_herd(self, name: HerdName) -> ClearancePolicy:
        """Return what the herd's sinks may hold. Raises Invalid for what is wrong in its file; a herd without one has no limits, and clears no sink."""

    def shown_by_roles(self, name: HerdName) -> Mapping[str, Clearances]:
        """Return what each role of the herd shows of fields, and each built-in one, by name. Raises as `check_herd`, behind which it is asked."""
