"""What is reckoned of trades before they leave the floor."""

import polars as pl
from runink import step


@step(each="batch", maps={"notional": ["quantity", "price"], "*": "*"})
def valued(trades: pl.DataFrame) -> pl.DataFrame:
    """Say what a trade is worth, and drop the address. `maps` says that all other columns pass as they come."""
    notional = pl.col("quantity") * pl.col("price").cast(pl.Float64)
    return trades.with_columns(notional=notional).drop("mail", "quantity", "price")
