"""`runi contract export` and `import`: contracts in the forms that others read and write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from runink.cli.contract_reference import contract_argument, contract_of
from runink.cli.options import Decorator
from runink.contracts.fields import ContractSpec
from runink.contracts.references import is_document, is_odcs
from runink.contracts.source import class_name, python_source
from runink.errors import Invalid

into_option: Final[Decorator] = click.option(
    "--into",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it there; standard output otherwise.",
)


@click.command()
@contract_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["odcs", "jsonschema", "arrow", "python", "sql"]),
    required=True,
    help="The Open Data Contract Standard, JSON Schema, an Arrow schema, Python, or CREATE TABLE.",
)
@click.option(
    "--dialect",
    type=click.Choice(["duckdb", "postgres"]),
    default="duckdb",
    show_default=True,
    help="Of --format sql.",
)
@into_option
def export(reference: str, form: str, dialect: str, into: Path | None) -> None:
    """Write a contract in a form that others read.

    An ODCS file that is there already keeps all that is not Runink's: its servers, team, prices and whatever else stands in it. An Arrow schema is written as
    JSON, or as Arrow's own bytes if FILE ends in .arrow.
    """
    spec = contract_of(reference)
    if form == "arrow" and into is not None and into.suffix == ".arrow":
        from runink.contracts.arrow_schema import arrow_schema, schema_bytes  # noqa: PLC0415 - Arrow

        into.write_bytes(schema_bytes(arrow_schema(spec)))
        return
    writers: dict[str, Callable[[], str]] = {
        "odcs": lambda: _odcs(reference, spec, into),
        "jsonschema": lambda: _json_schema(spec),
        "arrow": lambda: _arrow(spec),
        "python": lambda: python_source(spec),
        "sql": lambda: _sql(spec, dialect),
    }
    write_or_echo(writers[form](), into)


def write_or_echo(text: str, into: Path | None) -> None:
    """Print a text that ends its last line, or write it to a file."""
    if into is None:
        click.echo(text, nl=False)
    else:
        into.write_text(text)


def _odcs(reference: str, spec: ContractSpec, into: Path | None) -> str:
    from runink.contracts.odcs import written_document  # noqa: PLC0415 - one of several forms
    from runink.contracts.odcs_text import odcs_document  # noqa: PLC0415 - as above
    from runink.contracts.yaml_text import write_yaml  # noqa: PLC0415 - as above

    own = Path(reference.rpartition(":")[0] if ":" in reference else reference)
    over = next((one for one in (into, own) if one and is_odcs(str(one)) and one.is_file()), None)
    document = odcs_document(over.read_text(), file=str(over)) if over else None
    return write_yaml(written_document(spec, over=document))


def _json_schema(spec: ContractSpec) -> str:
    from runink.contracts.json_schema import json_schema  # noqa: PLC0415 - as above

    return json.dumps(json_schema(spec), indent=2, ensure_ascii=False) + "\n"


def _arrow(spec: ContractSpec) -> str:
    from runink.contracts.arrow_schema import arrow_schema, schema_json  # noqa: PLC0415 - Arrow

    return json.dumps(schema_json(arrow_schema(spec)), indent=2, ensure_ascii=False) + "\n"


def _sql(spec: ContractSpec, dialect: str) -> str:
    from runink.contracts.sql_table import Dialect, create_table  # noqa: PLC0415 - as above

    return create_table(spec, Dialect(dialect))


@click.command("import")
@click.argument("reference", metavar="FILE[:NAME]")
@into_option
def import_(reference: str, into: Path | None) -> None:
    """Write the Python class that a document means: one of ODCS (.yaml), or a JSON Schema (.json). What of it is not enforced is told.

    What a class has no place for (servers, team, prices) stays in the file: keep it, and `runi contract export --format odcs --into FILE` writes changes into it.
    """
    path = reference.rpartition(":")[0] or reference
    if not is_document(path):
        raise Invalid(
            f"{path} is no document of a contract",
            code="contract_reference",
            hint="its name ends in .odcs.yaml or .schema.json; a Python file needs no import",
        )
    spec = contract_of(reference)
    name = class_name(spec.name)
    if name != spec.name:
        click.echo(f"note: {spec.name} is no name of a class; it is called {name} here", err=True)
    write_or_echo(python_source(spec), into)
