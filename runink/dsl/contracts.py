"""The contracts that a pipeline names, each loaded once."""

from __future__ import annotations

from dataclasses import dataclass, field

from runink.contracts.fields import ContractSpec
from runink.dsl.diagnostics import Findings
from runink.dsl.project import Project
from runink.dsl.syntax import Text
from runink.errors import Invalid, Refused


@dataclass(slots=True)
class Contracts:
    project: Project
    findings: Findings
    _loaded: dict[str, ContractSpec | None] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)  # a file that does not import is told once

    def load(self, reference: Text) -> ContractSpec | None:
        """Return the contract, or nothing if it cannot be had, which is told where it is first named."""
        if reference.value not in self._loaded:
            self._loaded[reference.value] = self._load(reference)
        return self._loaded[reference.value]

    def _load(self, reference: Text) -> ContractSpec | None:
        path, colon, name = reference.value.partition(":")
        if not path.endswith(".py") or not colon or not name:
            hint = 'file and class, as in "contracts/flights.py:Flight"'
            self.findings.add(
                "D040", f"{reference.value!r} names no contract", reference.span, hint
            )
            return None
        if path.startswith(("/", "~")) or ".." in path.split("/"):
            hint = "contracts are a part of the project"
            self.findings.add("D031", f"{path} leaves the project", reference.span, hint)
            return None
        try:
            return self.project.contract(reference.value)
        except Refused as error:
            if error.text in self._told:
                return None
            self._told.add(error.text)
            mistakes = error.findings if isinstance(error, Invalid) else ()
            # Mistakes that are told one by one need no summary as well.
            told = error.text.partition("\n")[0] if mistakes else error.text
            self.findings.add("D040", told, reference.span, error.hint)
            self.findings.take(mistakes)
            return None
