"""`runi contract infer`: a first contract for data that has none."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runink.cli.contract_export import into_option, write_or_echo
from runink.cli.data_files import delimiter_option, format_of, nulls_option, read_data
from runink.cli.options import COUNT
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.source import camel, class_name, python_source
from runink.dag import Format
from runink.errors import Invalid

if TYPE_CHECKING:
    import pyarrow as pa

    from runink.contracts.inference import Inferred

SAMPLE: Final = 100_000  # rows: a second of looking


@click.command()
@click.argument("data", metavar="DATA")
@click.option(
    "--name", default="", help="What the contract is called; made of the file's name otherwise."
)
@click.option(
    "--sample",
    type=COUNT,
    default=SAMPLE,
    show_default=True,
    metavar="ROWS",
    help="How many of the first rows are looked at; 0 for all.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["python", "odcs"]),
    default="python",
    show_default=True,
    help="What to write.",
)
@click.option(
    "--tight", is_flag=True, help="Take few different texts as the only ones there may be."
)
@nulls_option
@delimiter_option
@into_option
def infer(  # noqa: PLR0913, PLR0917 - click gives each option by name
    data: str,
    name: str,
    sample: int,
    form: str,
    tight: bool,  # noqa: FBT001 - as above
    nulls: tuple[str, ...],
    delimiter: str,
    into: Path | None,
) -> None:
    """Write a contract that the rows of DATA keep, to be read and tightened by a person.

    Types and missing values are taken from the rows; what rows cannot prove stands beside the fields as comments.
    """
    table, is_whole = _table(data, sample, nulls, delimiter)
    from runink.contracts.inference import infer as inferred  # noqa: PLC0415 - Arrow

    stem = Path(data).name.partition(".")[0]
    called = class_name(name or camel(stem))
    found = inferred(table, called, is_text=format_of(data) is Format.CSV, tight=tight)
    if not found.spec.fields:
        raise Invalid(f"{data} has no column that a contract can hold", code="nothing_to_infer")
    head = _head(found, data, table.num_rows, nulls, is_whole=is_whole)
    if form == "odcs":
        from runink.contracts.odcs import written_document  # noqa: PLC0415 - one of two forms
        from runink.contracts.yaml_text import write_yaml  # noqa: PLC0415 - as above

        lines = [f"# {line}\n" for line in (*head, *_listed(found))]
        text = "".join(lines) + write_yaml(written_document(found.spec))
    else:
        text = python_source(found.spec, comments=found.hints, head=head)
    write_or_echo(text, into)


def _table(data: str, sample: int, nulls: tuple[str, ...], delimiter: str) -> tuple[pa.Table, bool]:
    """Return the first rows, and whether they are all. Raises what a source raises."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    contract = None
    if format_of(data) is Format.CSV:
        # As text, whatever it looks like: what the values are is for the contract to say.
        first = next(read_data(data, nulls=nulls, delimiter=delimiter), None)
        names = first.data.schema.names if first is not None else []
        fields = tuple(FieldSpec(one, Kind.STR, nullable=True) for one in names)
        contract = ContractSpec("Text", "1.0.0", fields)
    batches: list[pa.RecordBatch] = []
    rows = 0
    for batch in read_data(data, contract=contract, nulls=nulls, delimiter=delimiter):
        batches.append(batch.data)
        rows += batch.data.num_rows
        if sample and rows > sample:
            break
    if not batches:
        raise Invalid(f"{data} is empty", code="nothing_to_infer")
    table = pa.concat_tables(
        [pa.Table.from_batches([one]) for one in batches], promote_options="permissive"
    )
    return (table.slice(0, sample), False) if sample and rows > sample else (table, True)


def _head(
    found: Inferred, data: str, rows: int, nulls: tuple[str, ...], *, is_whole: bool
) -> list[str]:
    which = f"all {rows:,} rows" if is_whole else f"the first {rows:,} rows"
    lines = [
        f"What {which} of {Path(data).name} keep. Comments are guesses: take what is true, and take them out."
    ]
    if found.nulls:
        listed = ", ".join(f'"{one}"' for one in (*nulls, *found.nulls))
        lines.append(
            f"Some texts stand for nothing; say so at the source: nulls=[{listed}]".replace(
                "\\", "\\\\"
            )
        )
    from runink.contracts.hints import one_line  # noqa: PLC0415 - Arrow

    return [one_line(line) for line in (*lines, *found.left_out)]


def _listed(found: Inferred) -> list[str]:
    from runink.contracts.hints import one_line  # noqa: PLC0415 - Arrow

    return [
        one_line(f"{name}: {hint}")
        for name, hints in found.hints.items()
        for hint in islice(hints, 3)
    ]
