"""What a query is said to hold of its tables' personal data, against what DuckDB really gives: no value ever shows up where it was not told."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dsl.carried import NOTHING, Carried, Inputs, checked
from runink.dsl.queries import queried

PEOPLE = ContractSpec(
    "Person",
    "1.0.0",
    (
        FieldSpec("id", Kind.INT),
        FieldSpec("email", Kind.STR, pii="email", mask="hash"),
        FieldSpec("name", Kind.STR, pii="name"),
        FieldSpec("score", Kind.INT),
    ),
)
PLANES = ContractSpec(
    "Plane", "1.0.0", (FieldSpec("id", Kind.INT), FieldSpec("owner", Kind.STR, pii="owner"))
)
ROWS = {
    "input": [(n, f"<email{n}>", f"<name{n}>", n * 10) for n in range(1, 5)],
    "planes": [(n, f"<owner{n}>") for n in range(1, 5)],
}
COLUMNS = {"input": "id, email, name, score", "planes": "id, owner"}


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        for table, rows in ROWS.items():
            values = ", ".join(map(repr, rows))
            connection.execute(
                f"CREATE TABLE {table} AS FROM (VALUES {values}) t({COLUMNS[table]})"
            )
        yield connection


SCALARS = [
    "id",
    "email",
    "name",
    "score",
    "1",
    "'plain'",
    "NULL",
    "lower(email)",
    "email || name",
    "CASE WHEN score > 20 THEN name ELSE 'nobody' END",
    "CASE name WHEN '<name1>' THEN 1 ELSE 2 END",
    "coalesce(NULL, name, email)",
    "{'a': email, 'b': id}",
    "[name, email]",
    "list_transform([email], x -> x || '!')",
    "struct_pack(n := name)",
    "substr(email, 2)",
    "score + 1",
    "input",
    "to_json(input)",
    "i",
    "first_value(email) OVER (ORDER BY id)",
    "lag(name) OVER (ORDER BY id)",
    "row_number() OVER (ORDER BY email)",
    "(SELECT max(owner) FROM planes)",
    "email::VARCHAR",
    "CAST(name AS BLOB)",
    "regexp_replace(name, 'n', 'N')",
    "#2",
    "columns('n.*')",
    "unnest([email, name])",
    "email.upper()",
    "input.name.lower()",
    "(email).upper().lower()",
    "min(name) OVER w",
]
FROMS = [
    "FROM input",
    "FROM input i",
    "FROM input AS i",
    "FROM (SELECT * FROM input) i",
    "FROM (SELECT id, name AS email, email AS name, score FROM input) i",
    "FROM input i JOIN (SELECT id AS pid, owner FROM planes) p ON i.id = p.pid",
    "FROM input i, LATERAL (SELECT i.name AS extra)",
    "FROM (FROM input UNION ALL SELECT id, owner, owner, id FROM planes) i",
    "FROM (FROM input INTERSECT FROM input) i",
    "FROM (SELECT id, upper(name) AS email, 'x' AS name, score FROM input) AS i",
    "FROM input AS i(id, name, email, score)",
]
ENDS = [
    "",
    "WHERE email LIKE '%1%'",
    "ORDER BY name",
    "LIMIT 2",
    "QUALIFY row_number() OVER (ORDER BY id) < 3",
    "WINDOW w AS (PARTITION BY name)",
]
AGGREGATES = ["count(*)", "count(email)", "count(DISTINCT name)", "max(email)", "any_value(name)", "list(email)", "string_agg(name, ',')", "sum(score)", "max_by(name, score)", "arg_min(email, id)", "avg(score) FILTER (WHERE name <> 'x')", "histogram(name)", "min(id)", "mode(email)"]  # fmt: skip
STARS = [
    "*",
    "* EXCLUDE (email)",
    "* REPLACE ('x' AS name)",
    "* REPLACE (name AS email)",
    "* LIKE 'e%'",
    "i.*",
    "COLUMNS(*)",
]


@st.composite
def queries(draw: st.DrawFn) -> str:
    named = st.sampled_from(["a", "b", "email", "id", "Name"])
    kind = draw(st.sampled_from(["scalar", "aggregate", "star", "with", "union"]))
    source, end = draw(st.sampled_from(FROMS)), draw(st.sampled_from(ENDS))
    if kind == "star":
        return f"SELECT {draw(st.sampled_from(STARS))} {source} {end}"
    parts = draw(st.lists(st.sampled_from(AGGREGATES if kind == "aggregate" else SCALARS), min_size=1, max_size=4))  # fmt: skip
    names = draw(st.lists(named, min_size=len(parts), max_size=len(parts), unique_by=str.lower))
    aliases = [draw(st.sampled_from([f"AS {name}", name, ""])) for name in names]
    listed = ", ".join(f"{part} {alias}" for part, alias in zip(parts, aliases, strict=True))
    if kind == "with":
        inner = f"SELECT {listed} {source}"
        return f"WITH w AS ({inner}) SELECT {draw(st.sampled_from(['*', 'a', 'b', 'email AS z, *', 'count(*) AS n']))} FROM w"
    if kind == "union":
        joined = draw(st.sampled_from(["UNION", "UNION ALL", "UNION BY NAME", "UNION ALL BY NAME", "EXCEPT"]))  # fmt: skip
        order = draw(st.permutations(names))
        others = draw(st.lists(st.sampled_from(SCALARS), min_size=len(parts), max_size=len(parts)))
        right = ", ".join(f"{part} AS {name}" for part, name in zip(others, order, strict=True))
        left = ", ".join(f"{part} AS {name}" for part, name in zip(parts, names, strict=True))
        return f"SELECT {left} {source} {joined} SELECT {right} {source}"
    group = " GROUP BY ALL" if kind == "aggregate" and draw(st.booleans()) else ""
    return f"SELECT {listed} {source}{'' if group else ' ' + end}{group}"


def shown(value: Any) -> set[str]:
    """The kinds of personal data that stand in a value."""
    text = str(value).lower()
    return {
        kind for kind in ("email", "name", "owner") if f"<{kind}" in text or f"{kind}1>" in text
    }


@settings(max_examples=600)
@given(query=queries(), is_known=st.booleans())
def test_no_value_of_a_personal_field_shows_up_in_a_column_that_is_said_not_to_hold_it(
    database, query, is_known
):
    came = checked(NOTHING, PEOPLE)
    main = came if is_known else Carried(None, came.origins)
    inputs = Inputs(main, {"planes": checked(NOTHING, PLANES)})
    carried = queried(inputs, query)
    try:
        answer = database.execute(query)
        rows = answer.fetchall()
    except duckdb.Error:
        return  # no query: nobody runs it
    known = None if carried.columns is None else {n.lower(): h for n, h in carried.columns.items()}
    for place, (name, *_) in enumerate(answer.description):
        found = set().union(*(shown(row[place]) for row in rows))
        if known is None:
            assert found <= {one.pii for one in carried.rest}
        elif name.lower() in known:  # any other column is refused when it comes
            held = known[name.lower()]
            assert found <= {one.pii for one in held.origins}
            if held.field is not None:
                originals = {str(row[at]) for rows in ROWS.values() for row in rows for at in range(len(row))}  # fmt: skip
                assert {str(row[place]) for row in rows} <= originals


@pytest.mark.parametrize("end", ENDS)
def test_a_query_that_only_takes_columns_is_followed_to_the_end(end):
    inputs = Inputs(checked(NOTHING, PEOPLE))
    carried = queried(inputs, f"SELECT id, email AS address, count(name) AS n FROM input {end}")
    assert carried.columns is not None
    assert {str(one) for one in carried.of("address").origins} == {"Person.email"}
    assert carried.of("address").field.mask == "hash"
    assert carried.of("id").origins == carried.of("n").origins == frozenset()
