"""Files of data that a command is given by name: read as a pipeline's source reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from runink.cli.options import Decorator
from runink.contracts.fields import ContractSpec
from runink.dag import Format, Source
from runink.errors import Invalid
from runink.stores import read_stores

if TYPE_CHECKING:
    from runink.pipes.batch import Batch

FORMATS: Final = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSON,
    ".parquet": Format.PARQUET,
    ".arrow": Format.ARROW,
    ".feather": Format.ARROW,
}
_COMPRESSED: Final = (".gz", ".zst")

nulls_option: Final[Decorator] = click.option(
    "--null",
    "nulls",
    multiple=True,
    default=("",),
    metavar="TEXT",
    help="A text that stands for nothing in CSV, as nulls=[…] of a source; may be repeated. The empty text otherwise.",
)
delimiter_option: Final[Decorator] = click.option(
    "--delimiter", default="", metavar="CHARACTER", help="What stands between values of CSV."
)


def format_of(path: str) -> Format:
    """Return the format of a file by the end of its name. Raises Invalid."""
    bare = path
    for end in _COMPRESSED:
        bare = bare.removesuffix(end)
    found = FORMATS.get(Path(bare).suffix.lower())
    if found is None:
        raise Invalid(
            f"{path}: its name does not say what format it has",
            code="data_format",
            hint=f"names end in {', '.join(FORMATS)}, each also with .gz or .zst",
        )
    return found


def read_data(
    path: str,
    *,
    contract: ContractSpec | None = None,
    nulls: tuple[str, ...] = ("",),
    delimiter: str = "",
) -> Iterator[Batch]:
    """Yield the rows of a file, a folder's glob or a remote URI. Raises what a source raises: Invalid, NotFound or Refused, with file and line."""
    from runink.connectors.sources import open_source  # noqa: PLC0415 - Arrow, which few commands need

    form = format_of(path)
    said: dict[str, Any] = {"nulls": nulls, "contract": contract}
    said["delimiter"] = delimiter or ("\t" if ".tsv" in path else ",")
    node = Source("data", "", f"{form.value}://{path}", form, path, **said)
    reader = open_source(
        node, root=Path(), staged=(), stdin_fd=None, stores=read_stores(os.environ)
    )
    try:
        yield from reader.batches()
    finally:
        reader.close()
