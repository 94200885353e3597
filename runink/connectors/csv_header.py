"""The header of a CSV file: read, and compared with the contract behind it and with the file before it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Final

from runink.connectors.blocks import BOM, Block
from runink.connectors.csv_records import Records
from runink.connectors.inputs import Input
from runink.contracts.fields import ContractSpec
from runink.errors import Invalid
from runink.suggestions import nearest

NAMES_SHOWN_MAX: Final = 8  # of a list of columns in a message


def header_of(records: Records, block: Block, source: Input) -> tuple[list[str], int]:
    """Return the names of the columns and where the rows begin. Raises Invalid."""
    view = block.view
    begin = len(BOM) if bytes(view[: len(BOM)]) == BOM else 0
    while begin < len(view) and view[begin] in b"\r\n":
        begin += 1
    end = records.first_end(view, begin)
    if end < 0:
        raise Invalid(
            f"{source.origin}: a quote in its header is never closed",
            code="source_open_quote",
            hint='a quote inside a quoted value is written twice: ""',
        )
    try:
        text = bytes(view[begin:end]).decode()
    except UnicodeDecodeError as error:
        raise Invalid(
            f"{source.origin}: its header is no text in UTF-8 (byte {begin + error.start})",
            code="source_not_utf8",
            hint="convert it, as in iconv -f latin1 -t utf-8",
        ) from None
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=records.delimiter))
    if len(rows) > 1:
        raise Invalid(
            f"{source.origin} ends its lines with CR alone, as old Macs did",
            code="source_line_ends",
            hint="convert it, as in tr '\\r' '\\n'",
        )
    names = rows[0] if rows else []
    _check_names(names, source, records.delimiter)
    return names, end


def _check_names(names: list[str], source: Input, delimiter: str) -> None:
    if not any(names):
        raise Invalid(
            f"{source.origin} has no names of columns: a CSV file begins with them",
            code="source_empty",
            hint="write a header line",
        )
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise Invalid(
            f"{source.origin}: its header has {_listed(twice)} more than once",
            code="source_columns_twice",
            hint="is its first line a header at all? rows are addressed by these names, so give each column its own",
        )
    other = next((mark for mark in ";\t|," if mark != delimiter and mark in names[0]), None)
    if len(names) == 1 and other is not None:
        raise Invalid(
            f"{source.origin} has one column, called {names[0][:60]!r}",
            code="source_delimiter",
            hint=f"its values seem to be separated by {other!r}: write delimiter={other!r} in its @source",
        )


def check_contract(names: Sequence[str], contract: ContractSpec, origin: str) -> None:
    """Raise Invalid if a column is missing that the contract needs."""
    needed = [field.name for field in contract.fields if not field.has_default]
    missing = _not_in(needed, names)
    if missing:
        raise Invalid(
            f"{origin} has no column {_listed(missing)}, which contract {contract.name} {contract.version} needs; it has {_listed(names)}",
            code="source_columns",
            hint=_near(missing, names)
            or "is its first line a header? give the field a default if it may be missing",
        )


def check_against(
    names: Sequence[str], columns: Sequence[str], origin: str, *, first: str, allows_more: bool
) -> None:
    """Raise Invalid if a file's columns are not those of the first file."""
    missing = _not_in(columns, names)
    more = [] if allows_more else _not_in(names, columns)
    if not missing and not more:
        return
    parts = [f"has no column {_listed(missing)}"] if missing else []
    parts += [f"has the column {_listed(more)} besides"] if more else []
    raise Invalid(
        f"{origin} {' and '.join(parts)}; {first} has {_listed(columns)}",
        code="source_columns",
        hint=_near(missing, names)
        or "files of one source have the same columns; read those that differ by a source of their own",
    )


def _not_in(names: Sequence[str], others: Sequence[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]


def _near(missing: Sequence[str], names: Sequence[str]) -> str:
    for name in missing:
        if there := nearest(name, names):
            return f"it has {there!r}: is that {name!r}?"
    return ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:NAMES_SHOWN_MAX])
    left = len(names) - NAMES_SHOWN_MAX
    return f"{shown} and {left} more" if left > 0 else shown
