"""Steps that are SQL: one DuckDB query over the whole stream, which it reads as the table `input`.

DuckDB pulls from our generator while we pull from its result, so a query without a sort or an aggregate holds a few
batches and no more.  A query that reads `input` twice (a self join, two subqueries, PIVOT) cannot be streamed: then the input is first
copied into a table of DuckDB's, which spills to the scratch folder.  How often it is read is taken from DuckDB's own plan.

Rules
- Side inputs are DuckDB tables, so that the planner knows their size; `input` it knows nothing about. Left to itself it
  takes the unknown stream for tiny and builds the hash table of a join from it, all of it in memory (seen with DuckDB 2.0.0): so
  the sides of joins stay as written, `FROM input JOIN side`.
- The query sees its tables and nothing else: no files, no network, no extensions, no variables of Python.
- A sum of integers is HUGEINT in DuckDB and comes out as int64, or as an error where it does not fit.
- An error of the stream's own producer is raised as it was, never as DuckDB's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from runink.errors import Refused
from runink.pipes.batch import Batch
from runink.pipes.plain import BATCH_ROWS_MAX, empty, plain
from runink.steps.schemas import check_names, one_schema

INPUT: Final = "input"
MEMORY_BYTES_MIN: Final = 256 << 20  # DuckDB's own operators fail rather than spill with much less
HARD_PART: Final = (
    0.5  # of a hard limit: the rest is Python's, Arrow's, and what the engine does not count
)
MORE_MEMORY: Final = (
    "ask for more, as in @requires(memory=1Gi), or for fewer threads: @requires(cpu=1)"
)
_STREAM: Final = "runink_stream"
_SIDE: Final = "runink_side"
_SCAN: Final = "PYTHON_ARROW_SCAN"
_EXPLAIN: Final = "EXPLAIN (FORMAT json) "
_WHOLE: Final = "MULTI"  # PIVOT and the like: DuckDB makes several statements of one


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine may use: threads, bytes of memory before it spills, and the folder that it spills to.

    `is_hard` says that the process is ended when it takes more than these bytes, so that the engine has to spill long before.
    """

    threads: int
    memory_bytes: int
    scratch: Path
    is_hard: bool = False

    @property
    def engine_bytes(self) -> int:
        if self.is_hard:
            return int(self.memory_bytes * HARD_PART)
        return max(self.memory_bytes, MEMORY_BYTES_MIN)


class SqlRun:
    """One query's run. `interrupt` may be called from another thread and makes `batches` end with an error."""

    def __init__(self, query: str, *, what: str, limits: Limits) -> None:
        import duckdb  # noqa: PLC0415 - only a SQL step needs it

        self._query = query
        self._what = what
        self._error = duckdb.Error
        self._no_memory = duckdb.OutOfMemoryException
        self._connection: Any = duckdb.connect(":memory:", config=_settings(limits))
        self._connection.execute("SET disabled_optimizers = 'build_side_probe_side'")
        self._upstream_error: BaseException | None = None

    def interrupt(self) -> None:
        with suppress(self._error):  # it may have ended by itself in the meantime
            self._connection.interrupt()

    def batches(
        self, stream: Iterable[Batch] | None, sides: Mapping[str, pa.Table]
    ) -> Iterator[pa.RecordBatch]:
        """Run the query and yield its result in batches of at most BATCH_ROWS_MAX rows.

        Raises Refused with the query and DuckDB's message, or whatever the stream raised.
        """
        try:
            yield from self._batches(stream, sides)
        except (self._error, OSError, pa.ArrowException) as error:
            # DuckDB and Arrow wrap what a generator raises in errors of their own.
            if self._upstream_error is not None:
                raise self._upstream_error from None
            if isinstance(error, self._no_memory):
                raise self._refused(str(error), code="out_of_memory", hint=MORE_MEMORY) from error
            raise self._refused(str(error)) from error
        finally:
            self._connection.close()

    def _batches(
        self, stream: Iterable[Batch] | None, sides: Mapping[str, pa.Table]
    ) -> Iterator[pa.RecordBatch]:
        kind = self._statement_kind()
        for name, table in sides.items():
            self._load_side(name, table)
        if stream is not None and not self._register(stream):
            raise self._refused("its input has no columns", hint="is the source empty?")
        if stream is not None and (kind == _WHOLE or self._scans() > 1):
            self._keep_input()
        relation = self._connection.sql(self._query)
        names, types = relation.columns, [str(kind) for kind in relation.types]
        check_names(names, self._what)
        sums = frozenset(name for name, kind in zip(names, types, strict=True) if kind == "HUGEINT")
        reader = relation.to_arrow_reader(BATCH_ROWS_MAX)
        seen = False
        for batch in reader:
            seen = seen or batch.num_rows > 0
            yield plain(self._without_hugeints(batch, sums))
        if not seen:
            yield plain(self._without_hugeints(empty(reader.schema), sums))

    def _statement_kind(self) -> str:
        statements = self._connection.extract_statements(self._query)
        kinds = [statement.type.name for statement in statements]
        if len(kinds) != 1 or kinds[0] not in {"SELECT", _WHOLE}:
            told = "nothing" if not kinds else ", ".join(kinds)
            raise self._refused(
                f"it holds {told}", hint="a SQL step is one query: SELECT … FROM input …"
            )
        return str(kinds[0])

    def _load_side(self, name: str, table: pa.Table) -> None:
        self._connection.register(_SIDE, table)
        self._connection.execute(f"CREATE TABLE {_quoted(name)} AS SELECT * FROM {_SIDE}")  # noqa: S608 - quoted
        self._connection.unregister(_SIDE)

    def _register(self, stream: Iterable[Batch]) -> bool:
        """Make the stream the table `input`; False if there is no batch to tell its columns."""
        batches = self._watched(stream)
        first = next(batches, None)
        if first is None or first.num_columns == 0:
            return False
        reader = pa.RecordBatchReader.from_batches(first.schema, chain((first,), batches))
        self._connection.register(INPUT, reader)
        return True

    def _watched(self, stream: Iterable[Batch]) -> Iterator[pa.RecordBatch]:
        """Feed DuckDB, and keep what went wrong: it would tell only its text."""
        try:
            yield from one_schema((batch.data for batch in stream), f"the input of {self._what}")
        except BaseException as error:
            self._upstream_error = error
            raise

    def _scans(self) -> int:
        """Count how often the plan reads Arrow data, which is `input` alone: side inputs are tables."""
        plan = self._connection.execute(f"{_EXPLAIN}{self._query}").fetchall()
        return _count(json.loads(plan[0][1]), _SCAN)

    def _keep_input(self) -> None:
        self._connection.execute(f"CREATE TABLE {_STREAM} AS SELECT * FROM {INPUT}")  # noqa: S608 - names of ours
        self._connection.unregister(INPUT)
        self._connection.execute(f"ALTER TABLE {_STREAM} RENAME TO {INPUT}")

    def _without_hugeints(self, batch: pa.RecordBatch, sums: frozenset[str]) -> pa.RecordBatch:
        if not sums:
            return batch
        columns = []
        for field, column in zip(batch.schema, batch.columns, strict=True):
            columns.append(self._int64(field.name, column) if field.name in sums else column)
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _int64(self, name: str, column: pa.Array) -> pa.Array:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            raise self._refused(
                f"column {name!r} holds whole numbers beyond 64 bits",
                hint=f"choose a type for it: CAST({name} AS DOUBLE)",
            ) from None

    def _refused(self, message: str, *, hint: str = "", code: str = "sql_failed") -> Refused:
        message = message.replace(_EXPLAIN, "").strip()
        text = f"{self._what}: {message}\nin the query: {self._query.strip()}"
        return Refused(text, code=code, hint=hint)


def _settings(limits: Limits) -> dict[str, str]:
    return {
        "threads": str(max(limits.threads, 1)),
        "memory_limit": f"{limits.engine_bytes}B",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "temp_directory": str(limits.scratch / "duckdb"),
        "enable_external_access": "false",  # last: it forbids to change the folder
    }


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _count(plan: Any, name: str) -> int:
    if isinstance(plan, list):
        return sum(_count(part, name) for part in plan)
    here = str(plan.get("name", "")).strip() == name
    return here + _count(plan.get("children", []), name)
