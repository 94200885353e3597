"""The contract that a command is about: `FILE:CLASS` or a file of ODCS, with the file as it is seen from here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
import msgspec

from runink.cli.options import Decorator
from runink.contracts.fields import ContractSpec
from runink.projects import contract_told_at

contract_argument: Final[Decorator] = click.argument("reference", metavar="FILE:CLASS")


def contract_of(reference: str) -> ContractSpec:
    """Return the contract. Raises NotFound without such a file or class, Invalid for what is wrong in it."""
    file, colon, name = reference.rpartition(":")
    spec, notes = contract_told_at(Path(file if colon else reference), name if colon else "")
    for note in notes:
        click.echo(f"note: {note}", err=True)
    return spec


def document(spec: ContractSpec) -> dict[str, Any]:
    """Return a contract as programs read it: all of its spec, and its hash."""
    return {**msgspec.to_builtins(spec), "hash": spec.hash}
