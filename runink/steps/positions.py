"""Where in its source a batch is, for people: `data/flights.csv rows 40,000 to 47,999` (rows count from 0, as the dead letter's do)."""

from __future__ import annotations

from runink.pipes.batch import Batch


def position_of(batch: Batch | None, *, exact: bool) -> str:
    """Say where the batch's rows come from. Where rows have been dropped since the source, only the first one's place is known."""
    if batch is None:
        return ""
    last = batch.row + batch.data.num_rows - 1
    if not exact or last < batch.row:
        return f"{batch.origin} from row {batch.row:,}"
    if last == batch.row:
        return f"{batch.origin} row {batch.row:,}"
    return f"{batch.origin} rows {batch.row:,} to {last:,}"
