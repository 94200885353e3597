"""Which columns of its tables each column of a query is made of, by the query's text (sqlglot, decision 0027).

A column that is taken as it is keeps what it holds; one that is reckoned from others holds what they hold, in a form of its own; a `count` holds nothing
of what it counts.  What only decides which rows come out (WHERE, ON, ORDER BY) is not followed: nothing of it is shown.

A query that cannot be followed for certain (columns of a table that are not known, functions that make tables, pivots, `COLUMNS(…)`, recursion) is opaque: every
column that it gives may hold everything that its tables hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from msgspec.structs import replace as changed

from runink.dsl.carried import NONE, Carried, Held, Inputs, either, merged, opaque

INPUT: Final = "input"  # what a query calls its stream
_UNNAMED: Final = re.compile(r"_col_[0-9]+$|\*?$")  # as sqlglot calls what has no name
QUERY_NODES_MAX: Final = 5_000  # more is no query that a person wrote
SCOPES_KEPT_MAX: Final = (
    256  # queries that need not be read again, a millisecond each: an editor asks at each key
)


def queried(inputs: Inputs, query: str) -> Carried:
    """Return what the query gives."""
    tables = {INPUT: inputs.main, **inputs.sides}
    if not any(one.origins for one in tables.values()):
        return Carried(None)  # nothing to be followed
    is_open = any(one.is_open for one in tables.values())
    # Where other columns may hold something, * would not say what.
    followed = {
        name: Carried(None, one.origins, one.why) if one.rest else one
        for name, one in tables.items()
    }
    try:
        return replace(_Query(followed).read(query), is_open=is_open)
    except _Opaque as reason:
        return opaque(inputs, f"its query cannot be followed: {reason}")


class _Opaque(Exception):
    """The query cannot be followed, and why."""


def _lowered(table: Carried) -> Carried:
    by_name: dict[str, list[Held]] = {}
    for name, held in (table.columns or {}).items():
        by_name.setdefault(name.lower(), []).append(held)
    return Carried({name: either(held) for name, held in by_name.items()}, table.rest, table.why)


class _Query:
    def __init__(self, tables: Mapping[str, Carried]) -> None:
        # As DuckDB does, names are compared without regard to case.
        self._tables = {
            name.lower(): one if one.columns is None else _lowered(one)
            for name, one in tables.items()
        }
        self._found: dict[int, dict[str, Held]] = {}  # by scope

    def read(self, query: str) -> Carried:
        from sqlglot import exp  # noqa: PLC0415 - a third of a second, for pipelines with personal data alone

        known = tuple(
            (name, None if one.columns is None else tuple(one.columns))
            for name, one in self._tables.items()
        )
        scope = _scope(query, known)
        if isinstance(scope, str):
            raise _Opaque(scope)
        return Carried(self._columns(scope, exp))

    def _columns(self, scope: Any, exp: Any) -> dict[str, Held]:
        """Return the columns that a SELECT gives, or several that are joined by UNION and its like. Each is looked at once."""
        found = self._found.get(id(scope))
        if found is None:
            found = self._found[id(scope)] = self._selected(scope, exp)
        return found

    def _selected(self, scope: Any, exp: Any) -> dict[str, Held]:
        if scope.set_operation_scopes:
            parts = [self._columns(one, exp) for one in scope.set_operation_scopes]
            if scope.expression.args.get("by_name"):
                return dict(merged([Carried(part) for part in parts]).columns or {})
            if len({len(part) for part in parts}) != 1:
                raise _Opaque("its parts have columns of different names")
            names = list(parts[0])
            renamed = [dict(zip(names, part.values(), strict=True)) for part in parts]
            return dict(merged([Carried(part) for part in renamed]).columns or {})
        selects = scope.expression.selects
        names = [one.alias_or_name for one in selects]
        held = [self._held(one, name, scope, exp) for name, one in zip(names, selects, strict=True)]
        is_named = len(set(names)) == len(names) and not any(map(_UNNAMED.match, names))
        if not is_named and any(one.origins for one in held):
            raise _Opaque("not every column of it has a name of its own: write AS …")
        return dict(zip(names, held, strict=True)) if is_named else {}

    def _held(self, select: Any, name: str, scope: Any, exp: Any) -> Held:
        bare = select.unalias()
        if bare.is_star:
            raise _Opaque("the columns of * are not known: no contract stands before it")
        if isinstance(bare, exp.Column):
            found = self._source(bare, scope, exp)
            return Held(
                found.origins, None if found.field is None else changed(found.field, name=name)
            )
        return Held(
            NONE.union(*(self._source(one, scope, exp).origins for one in self._made_of(bare, exp)))
        )

    def _made_of(self, tree: Any, exp: Any) -> list[Any]:
        """Return the columns that an expression shows something of."""
        if isinstance(tree, exp.Count):
            return []
        if isinstance(tree, exp.Column):
            return [tree]
        if isinstance(tree, exp.Filter):
            return self._made_of(tree.this, exp)
        if isinstance(tree, exp.Query):
            raise _Opaque("a query stands among its columns")
        # Not among them: what stands for a column by its number, or for a whole row.
        known = (exp.Condition, exp.Func, exp.DataType, exp.DataTypeParam, exp.Var)
        around = (exp.Order, exp.Ordered, exp.WindowSpec, exp.Where, exp.Distinct, exp.Interval)
        if not isinstance(tree, (*known, *around, exp.Alias, exp.PropertyEQ, exp.Slice, exp.Tuple)):
            raise _Opaque(f"it has {tree.sql(dialect='duckdb')[:40]}")
        # Where else than as these a bare name stands it is a column, as in name.upper().
        names = {exp.PropertyEQ: "this", exp.Alias: "alias", exp.Window: "alias"}
        names[exp.Dot] = "expression"
        parts = [
            one
            for one in tree.iter_expressions()
            if not (isinstance(one, exp.Identifier) and one.arg_key == names.get(type(tree)))
        ]
        return [one for part in parts for one in self._made_of(part, exp)]

    def _source(self, column: Any, scope: Any, exp: Any) -> Held:
        source = scope.sources.get(column.table)
        if source is None:
            raise _Opaque(f"it is not known where {column.sql(dialect='duckdb')[:40]} comes from")
        if isinstance(source, exp.Table):
            table = self._tables[source.name.lower()]
            if table.columns is not None and column.name.lower() not in table.columns:
                raise _Opaque(f"{column.name} is no column of {source.name}")
            return table.of(column.name.lower())
        columns = self._columns(source, exp)
        if column.name not in columns:
            raise _Opaque(f"it is not known what {column.name} is")
        return columns[column.name]


@lru_cache(SCOPES_KEPT_MAX)
def _scope(query: str, tables: tuple[tuple[str, tuple[str, ...] | None], ...]) -> Any:
    """Return the query as sqlglot's optimizer knows it, or why it is not followed. `tables` are its inputs with the columns that are known."""
    from sqlglot import exp, parse_one  # noqa: PLC0415 - as above
    from sqlglot.errors import SqlglotError  # noqa: PLC0415 - as above
    from sqlglot.optimizer.qualify import qualify  # noqa: PLC0415 - as above
    from sqlglot.optimizer.scope import build_scope  # noqa: PLC0415 - as above

    schema: dict[str, object] = {
        name: dict.fromkeys(columns, "unknown") for name, columns in tables if columns is not None
    }
    try:
        tree = parse_one(query, dialect="duckdb")
        _check(tree, {name for name, _ in tables}, exp)
        scope = build_scope(qualify(tree, schema=schema, dialect="duckdb"))
    except _Opaque as reason:
        return str(reason)
    except (SqlglotError, RecursionError, ValueError, KeyError) as error:
        return str(error).partition("\n")[0][:200]
    return "it is no SELECT" if scope is None else scope


def _check(tree: Any, tables: set[str], exp: Any) -> None:
    """Raise _Opaque for what is not followed."""
    if sum(1 for _ in tree.walk()) > QUERY_NODES_MAX:
        raise _Opaque("it is too long")
    if not isinstance(tree, exp.Query):
        raise _Opaque("it is no SELECT")
    known = {one.alias_or_name.lower() for one in tree.find_all(exp.CTE)} | tables
    if any(one.args.get("recursive") for one in tree.find_all(exp.With)):
        raise _Opaque("it is recursive")
    for kind in (exp.Pivot, exp.Lateral, exp.Unnest, exp.Columns, exp.Lambda, exp.Values):
        if (found := tree.find(kind)) is not None:
            raise _Opaque(f"it has {found.sql(dialect='duckdb')[:40]}")
    if any(one.columns for one in tree.find_all(exp.TableAlias)):
        raise _Opaque("it gives other names to a table's columns")
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.name.lower() not in known:
            raise _Opaque(f"{table.sql(dialect='duckdb')[:40]} is none of its inputs")
