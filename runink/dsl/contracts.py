"""The contracts that a pipeline names, each loaded once."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Final

from runink.contracts.fields import ContractSpec
from runink.contracts.references import is_document
from runink.dsl.diagnostics import Findings
from runink.dsl.project import Project
from runink.dsl.syntax import Text
from runink.errors import Invalid, Refused
from runink.suggestions import near_or_all

_NAME: Final = re.compile(r"[A-Za-z_]\w*")


@dataclass(slots=True)
class Contracts:
    project: Project
    findings: Findings
    _loaded: dict[str, ContractSpec | None] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)  # a file that does not import is told once

    def load(self, reference: Text) -> ContractSpec | None:
        """Return the contract, or nothing if it cannot be had, which is told where it is first named."""
        if reference.value not in self._loaded:
            whole = self._whole(reference)
            self._loaded[reference.value] = None if whole is None else self._load(whole)
        return self._loaded[reference.value]

    def _whole(self, reference: Text) -> Text | None:
        """Return `FILE:NAME` for a contract's name or a file's alone, looked for below `contracts/`; nothing if there is none or several, which is told."""
        value = reference.value
        is_file = value.endswith(".py")
        if not (is_file or _NAME.fullmatch(value)):
            return reference
        known = self.project.contract_references()
        wanted = posixpath.normpath(value)
        found = [
            one
            for one in known
            if value == one.rpartition(":")[2] or (is_file and wanted == one.rpartition(":")[0])
        ]
        if len(found) == 1:
            return Text(found[0], reference.span)
        if found:
            text = f"{value} {'holds' if is_file else 'is the name of'} {len(found)} contracts"
            self.findings.add("D040", text, reference.span, f"say which: {' or '.join(found)}")
            return None
        if is_file:
            return reference
        names = [one.rpartition(":")[2] for one in known]
        hint = near_or_all(value, names) or "write file and class: contracts/x.py:Name"
        text = f"there is no contract {value} in contracts/"
        self.findings.add("D040", text, reference.span, hint)
        return None

    def _load(self, reference: Text) -> ContractSpec | None:
        path, colon, name = reference.value.partition(":")
        is_class = path.endswith(".py") and name
        is_object = is_document(path) and bool(colon) == bool(name)
        if not is_class and not is_object:
            hint = 'file and class, as in "contracts/flights.py:Flight", or a document, as in "contracts/flights.odcs.yaml" or "contracts/flights.schema.json"'
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
