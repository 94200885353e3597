"""A stream of batches as bytes on a program's stdin and stdout: Arrow IPC, JSON lines, CSV.

What is not of the format raises `Garbage` with the first line that is wrong, as far as the format lets one find it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from typing import IO, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv

from runink.dag import Format
from runink.errors import Invalid, Refused
from runink.pipes.plain import pieces
from runink.steps.records import batch_of_rows, values_of

JSONL_ROWS_MAX: Final = 8_192  # rows of a batch read from JSON lines: they are Python objects first
LINE_BYTES_MAX: Final = (
    64 << 20
)  # a longer line is no record; without an end it would fill the memory
SHOWN_CHARACTERS_MAX: Final = 200
CSV_BLOCK_BYTES: Final = 1 << 20


class Garbage(Exception):
    """What a program wrote is not of its format; the text says where."""


def encoded(
    kind: Format, file: IO[bytes], first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]
) -> None:
    """Write the stream to the file, in the format. Raises BrokenPipeError where nobody reads, Refused for types it does not know."""
    batches = chain((first,), rest)
    try:
        _encode(kind, file, first.schema, batches)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, TypeError) as error:
        raise Refused(
            f"the input cannot be written as {kind.value}: {error}",
            code="command_format",
            hint="choose format=arrow, which knows every type",
        ) from error


def _encode(
    kind: Format, file: IO[bytes], schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> None:
    match kind:
        case Format.ARROW:
            with pa.ipc.new_stream(file, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
                    file.flush()
        case Format.CSV:
            with pa_csv.CSVWriter(file, schema) as csv_writer:
                for batch in batches:
                    csv_writer.write_batch(batch)
                    file.flush()
        case _:
            encoder = msgspec.json.Encoder()
            for batch in batches:
                file.write(encoder.encode_lines(_dicts(batch)))
                file.flush()


def _dicts(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    names = batch.schema.names
    columns = [values_of(column) for column in batch.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def decoded(
    kind: Format, file: IO[bytes], *, like: pa.Schema, what: str
) -> Iterator[pa.RecordBatch]:
    """Yield the batches that the file holds. `like` is the schema of what was written. Raises Garbage."""
    match kind:
        case Format.ARROW:
            return _from_arrow(file)
        case Format.CSV:
            return _from_csv(file, like)
        case Format.JSONL:
            return _from_jsonl(file, like, what)
        case _:
            raise Invalid(
                f"{what}: a program cannot speak {kind.value}",
                code="command_format",
                hint="choose arrow, jsonl or csv",
            )


def _shown(line: bytes) -> str:
    text = line[:SHOWN_CHARACTERS_MAX].decode(errors="replace").rstrip("\r\n")
    return repr(text) + (" …" if len(line) > SHOWN_CHARACTERS_MAX else "")


def _from_jsonl(file: IO[bytes], like: pa.Schema, what: str) -> Iterator[pa.RecordBatch]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX), b""), start=1):
        if len(line) >= LINE_BYTES_MAX:
            raise Garbage(f"line {number} is longer than {LINE_BYTES_MAX} bytes")
        if not line.strip():
            continue
        try:
            rows.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Garbage(f"line {number} is {_shown(line)} ({error})") from None
        if len(rows) >= JSONL_ROWS_MAX:
            yield batch_of_rows(rows, like=like, what=what)
            rows = []
    if rows:
        yield batch_of_rows(rows, like=like, what=what)


def _from_arrow(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    head = _peeked(file)
    if not head:
        return
    try:
        with pa.ipc.open_stream(file) as reader:
            yield from _all_pieces(reader)
            if reader.schema is not None:
                yield from pieces(reader.schema.empty_table())
    except (pa.ArrowException, OSError) as error:
        line = head.partition(b"\n")[0]
        raise Garbage(f"it begins with {_shown(line)} ({error})") from None


def _from_csv(file: IO[bytes], like: pa.Schema) -> Iterator[pa.RecordBatch]:
    header = file.readline(LINE_BYTES_MAX)
    if not header.strip():
        return
    try:
        names = _csv_names(header)
        known = {name: like.field(name).type for name in names if name in like.names}
        reader = pa_csv.open_csv(
            file,
            read_options=pa_csv.ReadOptions(
                column_names=names, use_threads=False, block_size=CSV_BLOCK_BYTES
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: known.get(name, pa.string()) for name in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        yield from _all_pieces(reader)
    except (pa.ArrowException, OSError) as error:
        if str(error) == "Empty CSV file":
            return
        raise Garbage(str(error)) from None


def _csv_names(header: bytes) -> list[str]:
    table = pa_csv.read_csv(io.BytesIO(header))
    return list(table.column_names)


def _all_pieces(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield from pieces(batch)


def _peeked(file: IO[bytes]) -> bytes:
    assert isinstance(file, io.BufferedReader)
    return file.peek(SHOWN_CHARACTERS_MAX)
