"""A step as the smallest ones are: it takes nothing and gives a row."""

from __future__ import annotations

import pyarrow as pa

from runink import step


@step(each="batch")
def gives_a_row() -> pa.RecordBatch:
    print("a row")  # noqa: T201 - as steps do; it is written to nobody
    return pa.record_batch({"n": [1]})
