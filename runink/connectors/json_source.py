"""JSON lines and JSON in: blocks of whole records, each parsed by Arrow at once.

    the source has                 a field is read as
    a contract right behind it     int64, double or bool where it says so, records and lists of these, else as text
    none                           what the first block shows; text, where it shows values of several kinds

With a contract, a field whose values do not fit in some block is text there, each value as it stands in the file, so that the check finds every bad
one; fields that the contract does not name come along.  Without one, the first block's fields and types hold: a field that is text takes all that comes,
another that a later value does not fit is an error that names it.  A string stays a string, whatever it looks like.  A field that is missing holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pyarrow as pa
import pyarrow.json as pa_json

from runink.connectors.blocks import BLOCK_BYTES, Block, Blocks, not_utf8
from runink.connectors.inputs import Input
from runink.connectors.json_layouts import Elements, Layout, Lines
from runink.connectors.json_values import Misfit, as_text, first_misfit, has_wide_integer, misfits
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dag import Format, Source
from runink.errors import Invalid

VALUE_SHOWN_MAX: Final = 60  # characters of what is wrong, in a message
_KINDS: Final = {Kind.INT: pa.int64(), Kind.FLOAT: pa.float64(), Kind.BOOL: pa.bool_()}


class JsonSource:
    """Reads the files of one source, one after the other."""

    def __init__(self, node: Source, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._format = node.format
        self._block_bytes = block_bytes
        self._declared = None if node.contract is None else _schema_of(node.contract)
        self._guessed: pa.Schema | None = None

    def read(self, source: Input) -> Iterator[pa.Table]:
        """Yield the file's rows, at least one table. Raises Refused, Invalid or Unavailable."""
        layout: Layout = Lines() if self._format is Format.JSONL else Elements()
        with closing(Blocks(source, cut=layout.cut, block_bytes=self._block_bytes)) as blocks:
            block: Block | None = None
            for block in blocks:
                bad = not_utf8(block, blocks, source)
                if bad is not None:
                    raise bad
                yield self._table(layout, block, blocks, source)
            if block is None:
                self._check_empty(source)
                yield self._without_rows()

    def _check_empty(self, source: Input) -> None:
        """JSON lines may be none at all; an array has its brackets."""
        if self._format is Format.JSON:
            raise Invalid(
                f"{source.origin} is empty: JSON without rows is []",
                code="source_empty",
                hint="did what writes it fail?",
            )

    def _without_rows(self) -> pa.Table:
        return (self._declared or self._guessed or pa.schema([])).empty_table()

    def _table(self, layout: Layout, block: Block, blocks: Blocks, source: Input) -> pa.Table:
        text = layout.text(block)
        if text is None:
            raise self._malformed(layout, block, blocks, source)
        if not bytes(text[:1024]).strip() and not bytes(text).strip():
            return self._without_rows()
        if self._declared is not None:
            table = _parsed(text, self._declared, others="infer")
            if not isinstance(table, pa.Table):
                table = self._repaired(layout, block, self._declared)
        elif self._guessed is not None:
            table = self._as_guessed(text, layout, block, self._guessed)
        else:
            table = self._guess(text, layout, block)
        if isinstance(table, pa.Table):
            return table
        raise self._told(table, layout, block, blocks, source)

    def _guess(
        self, text: memoryview | bytes, layout: Layout, block: Block
    ) -> pa.Table | pa.ArrowInvalid:
        """Parse the first block and keep its schema for the others."""
        first = _parsed(text, pa.schema([]), others="infer")
        table = first
        if isinstance(table, pa.ArrowInvalid):
            table = self._repaired(layout, block, pa.schema([]))
        if isinstance(table, pa.ArrowInvalid):
            return table
        schema = pa.schema([pa.field(field.name, _kept(field.type)) for field in table.schema])
        schema = _without_wide(schema, text, layout, block)
        if not schema.equals(table.schema) or table is not first:
            table = self._as_guessed(text, layout, block, schema)
        if isinstance(table, pa.Table):
            self._guessed = schema
        return table

    def _as_guessed(
        self, text: memoryview | bytes, layout: Layout, block: Block, schema: pa.Schema
    ) -> pa.Table | pa.ArrowInvalid:
        """Parse to a schema that no contract gives: a field that is text takes everything, as it stands in the file."""
        table = _parsed(text, schema, others="error")
        if isinstance(table, pa.Table):
            return table
        try:
            return _parsed(as_text(layout.records(block), schema), schema, others="error")
        except ValueError:
            return table

    def _repaired(
        self, layout: Layout, block: Block, schema: pa.Schema
    ) -> pa.Table | pa.ArrowInvalid:
        """Parse a block in which fields do not fit their types, those as text; at last all that have something inside as well."""
        try:
            names = misfits(layout.records(block), schema)
        except ValueError as error:
            return pa.ArrowInvalid(str(error))
        for nested in (False, True):
            fields = [
                pa.field(field.name, pa.string())
                if field.name in names or (nested and pa.types.is_nested(field.type))
                else field
                for field in schema
            ]
            fields += [pa.field(name, pa.string()) for name in names if name not in schema.names]
            fitted = pa.schema(fields)
            text = as_text(layout.records(block), fitted, nested=nested)
            table = _parsed(text, fitted, others="infer")
            if isinstance(table, pa.Table):
                return table
        return table

    # What is wrong.

    def _told(
        self,
        error: pa.ArrowInvalid,
        layout: Layout,
        block: Block,
        blocks: Blocks,
        source: Input,
    ) -> Invalid:
        found = first_misfit(
            layout.records(block),
            self._declared or self._guessed,
            allows_more=self._declared is not None,
        )
        if found is None:
            line = blocks.line_at(block, 0)
            return Invalid(
                f"{source.origin} cannot be read near line {line}: {error}",
                code="source_malformed",
                hint="one field holds values of one kind: say by a contract what it holds",
            )
        line = blocks.line_at(block, found.place)
        return _misfit_error(found, source, line)

    def _malformed(self, layout: Layout, block: Block, blocks: Blocks, source: Input) -> Invalid:
        assert isinstance(layout, Elements), "lines are always laid out as lines"
        end = layout.wrong_at
        line = blocks.line_at(block, end)
        shown = bytes(block.view[end : end + VALUE_SHOWN_MAX]).decode(errors="replace").strip()
        begins = bytes(block.view[:64]).strip()[:1] if block.offset == 0 else b"["
        if begins == b"{":
            hint = "objects that follow each other are JSON lines: write jsonl://; JSON is one array of objects"
        else:
            hint = "is the file cut off? it is one array of objects: [{…}, {…}]"
        return Invalid(
            f"{source.origin} line {line} is no JSON array of objects from here on: {shown or 'the end of the file'}",
            code="source_malformed",
            hint=hint,
        )


def _misfit_error(found: Misfit, source: Input, line: int) -> Invalid:
    shown = found.text[:VALUE_SHOWN_MAX].decode(errors="replace")
    if not found.field:
        return Invalid(
            f"{source.origin} line {line} is no JSON object: {found.why}: {shown}",
            code="source_malformed",
            hint="each line is one whole object; a file that is one array is json://, not jsonl://",
        )
    return Invalid(
        f"{source.origin} line {line}: {found.field} is {shown}; {found.why}",
        code="source_type_changed",
        hint="say what the field holds by a contract (@contract behind @source)",
    )


def _without_wide(
    schema: pa.Schema, text: memoryview | bytes, layout: Layout, block: Block
) -> pa.Schema:
    """Make text of the numbers that a double has made of integers too large for an int64."""
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    if not floats or not has_wide_integer(text):
        return schema
    for name in misfits(layout.records(block), schema, wide=frozenset(floats)):
        schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
    return schema


def _schema_of(contract: ContractSpec) -> pa.Schema:
    return pa.schema([(field.name, _declared(field)) for field in contract.fields])


def _declared(field: FieldSpec) -> pa.DataType:
    if field.kind is Kind.RECORD:
        return pa.struct([(inner.name, _declared(inner)) for inner in field.fields])
    if field.kind is Kind.LIST:
        assert field.items is not None, "a list says what it holds"
        return pa.list_(_declared(field.items))
    return _KINDS.get(field.kind, pa.string())


def _parsed(
    text: memoryview | bytes, schema: pa.Schema, *, others: str
) -> pa.Table | pa.ArrowInvalid:
    """Return the rows, or Arrow's error; it is no exception here, because one would keep the block in use."""
    try:
        return pa_json.read_json(
            pa.BufferReader(pa.py_buffer(text)),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
            parse_options=pa_json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior=others
            ),
        )
    except pa.ArrowInvalid as error:
        return error


def _kept(kind: pa.DataType) -> pa.DataType:
    """Return the type that a field keeps: Arrow would make instants of strings, and has none yet for nothing."""
    if pa.types.is_timestamp(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_kept(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _kept(field.type)) for field in kind])
    return kind
