"""The contract that a command is about: `FILE:CLASS` or a file of ODCS, with the file as it is seen from here; or a published version, `HERD/NAME@1.2.0`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from runink.cli.options import STATE, Decorator
from runink.contracts.fields import ContractSpec
from runink.projects import contract_told_at

contract_argument: Final[Decorator] = click.argument("reference", metavar="FILE:CLASS")


def contract_of(reference: str) -> ContractSpec:
    """Return the contract, of a file or published. Raises NotFound without such a file, class or version, Invalid for what is wrong in it."""
    from runink.cli.contract_versions import published, published_name  # noqa: PLC0415 - the Barn, which a file does not need

    known = published_name(reference)
    if known is not None:
        state = os.environ.get(STATE)
        return published(known, Path(state) if state else None).spec
    file, colon, name = reference.rpartition(":")
    spec, notes = contract_told_at(Path(file if colon else reference), name if colon else "")
    for note in notes:
        click.echo(f"note: {note}", err=True)
    return spec


def document(spec: ContractSpec) -> dict[str, Any]:
    """Return a contract as programs read it: all of its spec, and its hash."""
    return {**msgspec.to_builtins(spec), "hash": spec.hash}
