"""`runi contract show` and `hash`: what a contract says, and what it is known by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from runink.cli.contract_reference import contract_argument, contract_of, document
from runink.cli.options import output_option
from runink.cli.wording import columns, echo_json, harmless
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, OnDrift
from runink.contracts.wording import note_texts, rule_texts, type_text

HASH_SHOWN: Final = 12  # characters, as for pipelines


@click.command()
@contract_argument
@output_option
def show(reference: str, output: str) -> None:
    """Print the contract's fields and rules. CLASS may be left away where the file has one contract only."""
    spec = contract_of(reference)
    if output == "json":
        echo_json(document(spec))
        return
    for line in _lines(spec):
        click.echo(harmless(line))


@click.command("hash")
@contract_argument
@output_option
def hash_(reference: str, output: str) -> None:
    """Print the contract's hash: the same for the same meaning, however its file is laid out and whatever the prose says."""
    spec = contract_of(reference)
    if output == "json":
        echo_json({"name": spec.name, "version": spec.version, "hash": spec.hash})
    else:
        click.echo(spec.hash)


def _lines(spec: ContractSpec) -> Iterator[str]:
    key = f", key {', '.join(spec.key)}" if spec.key else ""
    coercion = "" if spec.coercion is Coercion.SAFE else f", coercion {spec.coercion.value}"
    drift = "" if spec.on_drift is OnDrift.NOTE else f", on_drift {spec.on_drift.value}"
    yield f"{spec.name} {spec.version} {spec.hash[:HASH_SHOWN]}{key}{coercion}{drift}"
    if spec.description:
        yield from spec.description.splitlines()
    yield ""
    yield from columns([("field", "type", "rules", ""), *_rows(spec.fields)])
    if spec.rules:
        yield ""
        yield from columns(
            [
                ("rule", "keeps rows where", ""),
                *((r.name, r.text, r.description) for r in spec.rules),
            ]
        )


def _rows(fields: tuple[FieldSpec, ...], indent: str = "") -> Iterator[tuple[str, ...]]:
    """Yield a row a field; the fields of a record stand below it, further in."""
    for field in fields:
        notes = " · ".join(
            (*note_texts(field), *([field.description] if field.description else []))
        )
        yield indent + field.name, type_text(field), " · ".join(rule_texts(field)), notes
        inner = field
        while inner.kind is Kind.LIST and inner.items is not None:  # ends: a spec is finite
            inner = inner.items
        yield from _rows(inner.fields, indent + "  ")
