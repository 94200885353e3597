"""The unit of data inside a slice: an Arrow record batch that knows where its rows come from."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Batch:
    """`origin` is the file or the step that the rows come from; `row` counts from 0 there and is the first row's."""

    data: pa.RecordBatch
    origin: str
    row: int
