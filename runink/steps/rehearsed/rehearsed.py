"""Steps as the smallest ones are: they take nothing and give a row, or none."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from runink import step


@step(each="batch")
def gives_a_row() -> pa.RecordBatch:
    print("a row")  # noqa: T201 - as steps do; it is written to nobody
    return pa.record_batch({"n": [1]})


@step(each="stream")
def gives_no_row() -> Iterator[pa.RecordBatch]:
    yield from ()
