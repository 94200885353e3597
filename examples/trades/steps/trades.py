"""What is done to trades before they leave the floor."""

import polars as pl
from runink import step


@step(each="batch")
def masked(trades: pl.DataFrame) -> pl.DataFrame:
    """Leave the first letter of a name, drop the address, and say what the trade is worth."""
    return trades.with_columns(
        trader=pl.col("trader").str.slice(0, 1) + "…",
        notional=pl.col("quantity") * pl.col("price").cast(pl.Float64),
    ).drop("mail", "quantity", "price")
