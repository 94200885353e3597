"""Expressions of pipelines and contracts: `when "…"`, `@assert("…")`, rules over a row, `runi eval`.

    tree.py        the expression as a value, which travels in pipelines and contracts, and how it is said
    grammar.lark, parsing.py   text to tree, typed on the way; every mistake with its place
    typing.py      sorts of values, and what goes with what
    functions.py   the functions: what they take and give
    patterns.py    regular expressions as RE2 reads them, in linear time
    times.py       instants, days, times of day and durations as text
    values.py      evaluation over single values
    batches.py     evaluation over Arrow batches
    sql.py         the expression as SQL

What an expression means is said once, in `docs/reference/expressions.md`, and `values.py`, `batches.py` and `sql.py` agree to the last bit: property
tests hold them to it.  Importing this package brings the tree and the evaluation of single values, neither lark nor Arrow.
"""

from runink.expressions.tree import (
    Binary,
    Call,
    Choice,
    Expression,
    Figure,
    Function,
    Index,
    Items,
    Literal,
    Measure,
    Member,
    Name,
    Not,
    Operator,
    Scalar,
    figures_in,
    names_in,
    said,
)
from runink.expressions.values import evaluate

__all__ = [
    "Binary",
    "Call",
    "Choice",
    "Expression",
    "Figure",
    "Function",
    "Index",
    "Items",
    "Literal",
    "Measure",
    "Member",
    "Name",
    "Not",
    "Operator",
    "Scalar",
    "evaluate",
    "figures_in",
    "names_in",
    "said",
]
