"""The flights pipeline in one Polars streaming process: the reference of `pipeline.py`. Arguments: flights.csv planes.csv folder."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

CARRIERS = [
    "UA",
    "AA",
    "B6",
    "DL",
    "EV",
    "MQ",
    "US",
    "WN",
    "VX",
    "FL",
    "AS",
    "9E",
    "F9",
    "HA",
    "YV",
    "OO",
]
RULES = {
    "dep_time: required": pl.col("dep_time").is_null(),
    "origin: choice": ~pl.col("origin").is_in(["EWR", "JFK", "LGA"]),
    "carrier: choice": ~pl.col("carrier").is_in(CARRIERS),
    "distance: range": ~pl.col("distance").is_between(50, 10_000),
    "tailnum: pattern": ~pl.col("tailnum").str.contains("^N[0-9A-Z]{3,5}$").fill_null(value=False),
    "dep_delay: range": (pl.col("dep_delay") > 500).fill_null(value=True),
}


def main() -> None:
    flights, planes, folder = sys.argv[1:]
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    rows = pl.scan_csv(flights, null_values=["NA"], try_parse_dates=True)
    bad = pl.any_horizontal(*RULES.values())
    reasons = [pl.when(mask).then(pl.lit(name)) for name, mask in RULES.items()]
    dead = rows.filter(bad).with_columns(
        pl.concat_str(reasons, separator="; ", ignore_nulls=True).alias("reasons")
    )
    made = pl.scan_csv(planes, null_values=["NA"]).select("tailnum", "manufacturer", "seats")
    good = rows.filter(~bad).join(made, on="tailnum", how="left")
    groups = good.group_by("carrier", "month", "manufacturer").agg(
        pl.len().alias("flights"),
        pl.col("dep_delay").sum().alias("delay_minutes"),
        pl.col("seats").sum(),
    )
    pl.collect_all(
        [
            good.sink_parquet(out / "good.parquet", compression="snappy", lazy=True),
            dead.sink_parquet(out / "dead.parquet", compression="snappy", lazy=True),
            groups.sink_parquet(out / "groups.parquet", compression="snappy", lazy=True),
        ],
        engine="streaming",
    )


if __name__ == "__main__":
    main()
