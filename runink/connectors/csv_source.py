"""CSV in: blocks of whole records, each parsed by Arrow at once.

The first record is the header; the first file's names are the source's columns.  Another file of the same glob may have them in
any order, and more of them where a contract says which ones count.  Records follow RFC 4180 (quotes, doubled quotes, line ends inside them), lines
end with LF or CRLF, a byte order mark is skipped, empty lines are nothing.  A null token means nothing in every column, quoted or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from runink.connectors.blocks import BLOCK_BYTES, Block, Blocks, not_utf8
from runink.connectors.csv_columns import Declared, guessed
from runink.connectors.csv_header import check_against, check_contract, header_of
from runink.connectors.csv_records import Records
from runink.connectors.inputs import Input
from runink.contracts.physical import (
    FALSE_WORDS,
    TRUE_WORDS,
    column_types,
    may_hold_hexadecimal,
)
from runink.dag import Source
from runink.errors import Invalid

VALUE_SHOWN_MAX: Final = 60  # characters of a bad value in a message
_CONVERSION: Final = re.compile(
    r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to (.+?): (.*)", re.DOTALL
)
_BAD_VALUE: Final = re.compile(r"'(.*)'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _File:
    """One file while it is read, and its columns in their order there."""

    source: Input
    blocks: Blocks
    names: list[str]


class CsvSource:
    """Reads the CSV files of one source, one after the other."""

    def __init__(self, node: Source, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._node = node
        self._block_bytes = block_bytes
        self._records = Records(node.delimiter)
        self._columns: list[str] = []
        self._first = ""  # the file that said so
        self._guessed: dict[str, pa.DataType] | None = None
        self._declared: Declared | None = None

    def read(self, source: Input) -> Iterator[pa.Table]:
        """Yield the file's rows, at least one table (without rows, if there are none). Raises Refused, Invalid or Unavailable."""
        with closing(
            Blocks(source, cut=self._records.cut, block_bytes=self._block_bytes)
        ) as blocks:
            file: _File | None = None
            for block in blocks:
                start = 0
                if file is None:
                    names, start = header_of(self._records, block, source)
                    self._begin(names, source)
                    file = _File(source, blocks, names)
                if block.is_last:
                    self._check_last(file, block)
                if start < len(block.view) or block.is_last:
                    yield self._table(file, block, start)
            if file is None:
                raise Invalid(
                    f"{source.origin} is empty: a CSV file begins with the names of its columns",
                    code="source_empty",
                    hint="did what writes it fail? a file without rows still has its header line",
                )

    def _begin(self, names: list[str], source: Input) -> None:
        contract = self._node.contract
        if contract is not None:
            check_contract(names, contract, source.origin)
        if self._columns:
            check_against(
                names,
                self._columns,
                source.origin,
                first=self._first,
                allows_more=contract is not None,
            )
            return
        self._columns, self._first = names, source.origin
        if contract is not None:
            self._declared = Declared(names, column_types(contract))

    def _check_last(self, file: _File, block: Block) -> None:
        """Raise Invalid if a quote is still open where the file ends: Arrow would take all behind it for one value."""
        if not block.holds(b'"'):
            return
        end = self._records.cut(block.buffer, block.end)
        if end < block.end and self._records.first_end(block.view, end) < 0:
            line = file.blocks.line_at(block, end)
            raise Invalid(
                f"{file.source.origin}: a quote in the record that begins in line {line} is never closed",
                code="source_open_quote",
                hint='is the file cut off? a quote inside a quoted value is written twice: ""',
            )

    def _table(self, file: _File, block: Block, start: int) -> pa.Table:
        """Parse what is in the block from `start` on."""
        view = block.view[start:]
        if self._declared is not None:
            return self._declared_table(file, block, start)
        types = self._guessed or self._guess(file, block, start)
        table = self._parsed(file, view, types)
        if isinstance(table, pa.ArrowInvalid):
            raise self._told(table, file, block, start)
        return table

    def _guess(self, file: _File, block: Block, start: int) -> dict[str, pa.DataType]:
        view = block.view[start:]
        text = self._parsed(file, view, dict.fromkeys(self._columns, pa.string()))
        if isinstance(text, pa.ArrowInvalid):
            raise self._told(text, file, block, start)
        if not text.num_rows:
            return dict(zip(text.column_names, text.schema.types, strict=True))
        table = self._parsed(file, view, {})
        assert isinstance(table, pa.Table), "what parses as text parses to something"
        self._guessed = guessed(table, text)
        return self._guessed

    def _declared_table(self, file: _File, block: Block, start: int) -> pa.Table:
        """Parse to the contract's types; a column that does not parse stays text, once more from the start for each."""
        assert self._declared is not None
        types = self._declared.next_block()
        delimiter = self._records.delimiter
        if may_hold_hexadecimal(block.buffer, end=block.end, delimiter=delimiter):
            types = {name: _not_integer(kind) for name, kind in types.items()}
        while True:  # ends: each turn makes one column text, and text fails for good
            table = self._parsed(file, block.view[start:], types)
            if isinstance(table, pa.Table):
                return table
            found = _CONVERSION.match(str(table))
            name = file.names[int(found[1])] if found else ""
            if types.get(name, pa.string()) == pa.string():
                raise self._told(table, file, block, start)
            self._declared.failed(name)
            types[name] = pa.string()

    def _parsed(
        self, file: _File, view: memoryview, types: Mapping[str, pa.DataType]
    ) -> pa.Table | pa.ArrowInvalid:
        """Return the rows, or Arrow's error; it is no exception here, because one would keep the block in use."""
        if not len(view):
            return pa.schema(
                [(name, types.get(name, pa.string())) for name in self._columns]
            ).empty_table()
        try:
            return pa_csv.read_csv(
                pa.BufferReader(pa.py_buffer(view)),
                read_options=pa_csv.ReadOptions(
                    use_threads=False, block_size=len(view) + 1, column_names=file.names
                ),
                # Looking for line ends in values costs nothing here: the block is parsed whole.
                parse_options=pa_csv.ParseOptions(
                    delimiter=self._records.delimiter, newlines_in_values=True
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=types,
                    include_columns=self._columns,
                    null_values=list(self._node.nulls),
                    strings_can_be_null=True,
                    true_values=list(TRUE_WORDS),
                    false_values=list(FALSE_WORDS),
                ),
            )
        except pa.ArrowInvalid as error:
            return error

    # What is wrong.

    def _told(self, error: pa.ArrowInvalid, file: _File, block: Block, start: int) -> Invalid:
        bad = not_utf8(block, file.blocks, file.source)
        if bad is not None:
            return bad
        found = _CONVERSION.match(str(error))
        if found:
            return self._bad_value(found, file, block, start)
        return self._ragged(file, block, start) or Invalid(
            f"{file.source.origin} near line {file.blocks.line_at(block, start)}: {error}",
            code="source_malformed",
        )

    def _ragged(self, file: _File, block: Block, start: int) -> Invalid | None:
        """Find the first record with another number of values than the header."""
        for begin, values in self._walk(block, start):
            if len(values) != len(file.names):
                line = file.blocks.line_at(block, begin)
                shown = bytes(block.view[begin : begin + VALUE_SHOWN_MAX]).decode(errors="replace")
                return Invalid(
                    f"{file.source.origin} line {line} has {_columns(len(values))}, its header {len(file.names)}: {_line(shown)}",
                    code="source_ragged",
                    hint=f"a value that holds {self._records.delimiter!r} or a line end is written in quotes",
                )
        return None

    def _bad_value(self, found: re.Match[str], file: _File, block: Block, start: int) -> Invalid:
        """Say where a value stands that is not of the type that the first rows had."""
        column, kind, rest = int(found[1]), found[2], found[3]
        bad = _BAD_VALUE.search(rest)
        value = bad[1] if bad else ""
        place = next(
            (begin for begin, values in self._walk(block, start) if values[column] == value), start
        )
        line = file.blocks.line_at(block, place)
        return Invalid(
            f"{file.source.origin} line {line}: {file.names[column]} is {value[:VALUE_SHOWN_MAX]!r}; in the rows before it was {kind} throughout",
            code="source_type_changed",
            hint="say what the column holds by a contract (@contract behind @source), or name the value in nulls=[…] if it stands for nothing",
        )

    def _walk(self, block: Block, start: int) -> Iterator[tuple[int, list[str]]]:
        """Yield each record's place in the block and its values, without empty lines."""
        view = block.view
        while start < len(view):
            end = self._records.first_end(view, start)
            if end < 0:
                return
            values = self._records.names(bytes(view[start:end]).decode(errors="replace"))
            if values:
                yield start, values
            start = end


def _not_integer(kind: pa.DataType) -> pa.DataType:
    """Arrow takes 0x1F for 31; a contract does not, so it is given the text."""
    return pa.string() if pa.types.is_integer(kind) else kind


def _columns(number: int) -> str:
    return "1 column" if number == 1 else f"{number} columns"


def _line(text: str) -> str:
    return text.splitlines()[0] if text.strip() else text
