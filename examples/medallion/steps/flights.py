"""The one step that is no query."""

import polars as pl
from runink import step


@step(each="batch")
def with_airline(flights: pl.DataFrame, airlines: pl.DataFrame) -> pl.DataFrame:
    """Add the airline's name; a flight without a delay was cancelled."""
    return (
        flights.join(airlines.rename({"name": "airline"}), on="carrier")
        .with_columns(cancelled=pl.col("dep_delay").is_null())
        .rename({"dep_delay": "delay_minutes"})
    )
