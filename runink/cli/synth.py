"""`runi synth`: data made from a contract, to try pipelines on before there is any, or on what never comes until it does."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Final

import click
import msgspec
import pyarrow as pa

from runink.cli.contract_reference import contract_argument, contract_of
from runink.cli.exits import told
from runink.connectors.encoders import encoder_of
from runink.contracts.fields import ContractSpec
from runink.contracts.physical import wide_type
from runink.contracts.synthesis import Chunk, Mistake, Synthesis, Wish
from runink.contracts.synthesis_mistakes import Form
from runink.contracts.synthesis_texts import Words, no_words
from runink.dag import Format
from runink.errors import Invalid

ROWS: Final = 100
ROWS_MAX: Final = 1_000_000_000
ENDINGS: Final = {
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".parquet": Format.PARQUET,
}
FORMS: Final = {
    Format.CSV: Form.TEXT,
    Format.JSONL: Form.VALUES,
    Format.PARQUET: Form.TYPED,
}
REASONS: Final = ".reasons.jsonl"  # behind the name of the data's file


@click.command()
@contract_argument
@click.option("--rows", type=click.IntRange(0, ROWS_MAX), default=ROWS, show_default=True)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The same seed gives the same bytes."
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice([one.value for one in FORMS]),
    help="As the file's name ends otherwise, or csv.",
)
@click.option(
    "--invalid",
    "broken_ratio",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="RATIO",
    help="Which part of the rows is to break the contract, as in 0.05.",
)
@click.option(
    "--edge", "edges", is_flag=True, help="Begin with rows at the edges of what it takes."
)
@click.option(
    "--null",
    "nulls",
    multiple=True,
    metavar="TEXT",
    help="A text that means nothing where CSV is read (nulls=… of a @source): none is made. May be repeated.",
)
@click.option(
    "--plain", is_flag=True, help="Make plain words, also of fields whose meaning is known."
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write; standard output otherwise.",
)
@click.option(
    "--reasons",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Where to say which rows break which rule; FILE{REASONS} otherwise.",
)
def synth(  # noqa: PLR0913 - what may be asked for
    reference: str,
    *,
    rows: int,
    seed: int,
    format_name: str | None,
    broken_ratio: float,
    edges: bool,
    nulls: tuple[str, ...],
    plain: bool,
    target: Path | None,
    reasons: Path | None,
) -> None:
    """Make rows that keep a contract; and, if asked for, some at its edges and some that break it, with a file that says which and why.

    CLASS may be left away where the file has one contract only.
    """
    spec = contract_of(reference)
    kind = _format(format_name, target)
    reasons = _reasons_file(broken_ratio, target, reasons)
    wish = Wish(rows, broken_ratio, edges=edges, form=FORMS[kind], nulls=frozenset(nulls))
    words = no_words if plain else _words(spec, seed)
    chunks = Synthesis(spec, wish, random.Random(seed), words).chunks()  # noqa: S311 - chance that can be had again
    try:
        with _opened(target) as file, _opened(reasons) if reasons else nullcontext() as manifest:
            Writer(spec, kind, file, manifest).write(chunks)
    except OSError as error:
        raise told(error, where=error.filename or target or "standard output") from error


def _format(name: str | None, target: Path | None) -> Format:
    if name is not None:
        return Format(name)
    if target is None:
        return Format.CSV
    found = ENDINGS.get(target.suffix.lower())
    if found is None:
        raise Invalid(
            f"{target}: its name does not say what it is",
            code="synth_format",
            hint=f"let it end in {', '.join(ENDINGS)}, or say --format",
        )
    return found


def _reasons_file(broken_ratio: float, target: Path | None, reasons: Path | None) -> Path | None:
    if not broken_ratio:
        return None
    if reasons is None and target is None:
        raise Invalid(
            "rows that break the contract go to standard output, and nobody would know which",
            code="synth_reasons",
            hint="say where that is to stand: --reasons FILE; or write the rows to a file: -o FILE",
        )
    return reasons or (target.with_name(target.name + REASONS) if target else None)


def _words(spec: ContractSpec, seed: int) -> Words:
    from runink.cli.synth_words import faker_words  # noqa: PLC0415 - not with --plain

    try:
        return faker_words(spec, seed)
    except ImportError:
        click.echo(
            'note: Faker is not installed, so all text is plain: pip install "runink[synth]"',
            err=True,
        )
        return no_words


@contextmanager
def _opened(target: Path | None) -> Iterator[IO[bytes]]:
    """Yield a file that is renamed to its name when it is whole, or standard output."""
    if target is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if target.exists() and not target.is_file():  # /dev/stdout, a named pipe
        with target.open("wb") as file:
            yield file
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with aside.open("wb") as file:
            yield file
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


class Writer:
    """Writes chunks as a sink would, with broken rows in their places."""

    def __init__(
        self, spec: ContractSpec, kind: Format, file: IO[bytes], manifest: IO[bytes] | None
    ) -> None:
        self._kind = kind
        self._manifest = manifest
        self._encoder = encoder_of(kind, file, uri="the rows")
        self._wide = pa.schema([(field.name, wide_type(field)) for field in spec.fields])

    def write(self, chunks: Iterator[Chunk]) -> None:
        """Write all of it, and for each broken row a line that says what is wrong."""
        none = pa.RecordBatch.from_pylist([], schema=self._wide)
        self._encoder.write(
            self._shown(none)
        )  # it brings the columns, also where there are no rows
        for chunk in chunks:
            begun = 0
            for mistake in chunk.mistakes:
                self._encoder.write(self._shown(chunk.rows.slice(begun, mistake.place - begun)))
                self._encoder.write(self._shown(mistake.instead))
                self._told(mistake)
                begun = mistake.place + 1
            self._encoder.write(self._shown(chunk.rows.slice(begun)))
        self._encoder.finish()

    def _shown(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows as they are written: bytes as text where there are only texts, whole numbers wide where a column has one type."""
        if self._kind is Format.PARQUET:
            return rows.cast(self._wide)
        columns = [column.cast(_texts(column.type)) for column in rows.columns]
        return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)

    def _told(self, mistake: Mistake) -> None:
        assert self._manifest is not None, "there are no broken rows without it"
        said = {"row": mistake.row, "field": mistake.field, "rule": mistake.rule}
        self._manifest.write(msgspec.json.encode(said) + b"\n")


def _texts(kind: pa.DataType) -> pa.DataType:
    """Return the type with text for bytes, which are ASCII here: a sink would write base64, and a contract reads the text as it stands."""
    if pa.types.is_binary(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_texts(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(one.name, _texts(one.type)) for one in kind])
    return kind
