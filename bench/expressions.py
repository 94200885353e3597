"""Expressions: a condition over a record, a boolean and a list of texts, against the same condition written by hand in Polars.

Both take 200,000 rows that lie in Arrow, and give the rows that are kept, in Arrow.  They take turns in one run, on one thread each, the best of each
counts, and both must keep the same number of rows.  Parsing is not in it: a pipeline parses once.  `--json` prints the list of figures that `make bench` gathers.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from random import Random

import pyarrow as pa
from runink.expressions.batches import kept
from runink.expressions.parsing import parse
from runink.expressions.typing import RecordOf, Scope, Sort

from figures import Figure, at_least, main

ROWS = 200_000
TURNS = 30
SEED = 266
RATIO_MUST = 0.5  # of Polars' rows a second
CONDITION = 'user.active == true && amount > 100.0 && user.country in ["CA", "US"]'
SCOPE = Scope(
    {
        "amount": Sort.NUMBER,
        "user": RecordOf({"active": Sort.BOOLEAN, "country": Sort.TEXT}, "user"),
    }
)


def orders() -> pa.RecordBatch:
    random = Random(SEED)
    countries = ["CA", "US", "DE", "FR", "BR", None]
    user = [
        {"active": random.random() < 0.7, "country": random.choice(countries)} for _ in range(ROWS)
    ]
    amount = [None if random.random() < 0.02 else random.random() * 300 for _ in range(ROWS)]
    schema = pa.schema(
        {"user": pa.struct({"active": pa.bool_(), "country": pa.string()}), "amount": pa.float64()}
    )
    return pa.RecordBatch.from_pydict({"user": user, "amount": amount}, schema)


def timed(work: Callable[[], int]) -> tuple[float, int]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def by_hand() -> Callable[[pa.RecordBatch], int]:
    """Return what keeps rows by the condition as one writes it in Polars."""
    os.environ["POLARS_MAX_THREADS"] = "1"  # before it is imported
    import polars as pl

    user = pl.col("user").struct
    condition = (
        (user.field("active") == True)  # noqa: E712 - as the condition says
        & (pl.col("amount") > 100.0)
        & user.field("country").is_in(["CA", "US"])
    )
    return lambda batch: pl.DataFrame(pl.from_arrow(batch)).filter(condition).to_arrow().num_rows


def measure(_: argparse.Namespace) -> list[Figure]:
    pa.set_cpu_count(1)
    batch, theirs = orders(), by_hand()
    parsed = parse(CONDITION, SCOPE, wanted=Sort.BOOLEAN)
    assert parsed.expression is not None
    expression = parsed.expression
    best_ours = best_theirs = 0.0
    for _ in range(TURNS):
        seconds, rows = timed(lambda: kept(batch, expression).num_rows)
        best_ours = max(best_ours, ROWS / seconds)
        seconds, same = timed(lambda: theirs(batch))
        best_theirs = max(best_theirs, ROWS / seconds)
        assert rows == same, f"we keep {rows} rows, Polars {same}"
    name = f"condition on {ROWS:,} rows, rows/s on one core ({rows:,} kept by both)"
    return [at_least(name, best_ours, best_theirs, RATIO_MUST)]


if __name__ == "__main__":
    main(measure, str(__doc__))
