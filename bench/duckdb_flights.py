"""The flights pipeline in DuckDB, three statements: a reference of `pipeline.py`. Arguments: flights.csv planes.csv folder."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

CARRIERS = ", ".join(
    f"'{one}'"
    for one in [
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
)
RULES = {
    "dep_time: required": "dep_time IS NULL",
    "origin: choice": "origin NOT IN ('EWR', 'JFK', 'LGA')",
    "carrier: choice": f"carrier NOT IN ({CARRIERS})",
    "distance: range": "distance NOT BETWEEN 50 AND 10000",
    "tailnum: pattern": "NOT coalesce(regexp_full_match(tailnum, 'N[0-9A-Z]{3,5}'), false)",
    "dep_delay: range": "coalesce(dep_delay > 500, true)",
}


def main() -> None:
    flights, planes, folder = sys.argv[1:]
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    rows = f"read_csv('{flights}', nullstr='NA', header=true)"
    bad = " OR ".join(f"({rule})" for rule in RULES.values())
    reasons = ", ".join(f"CASE WHEN {rule} THEN '{name}' END" for name, rule in RULES.items())
    made = f"(SELECT tailnum, manufacturer, seats FROM read_csv('{planes}', nullstr='NA', header=true))"
    good = f"'{out / 'good.parquet'}'"
    connection = duckdb.connect()
    connection.execute("SET memory_limit = '2GB'; SET preserve_insertion_order = false")
    connection.execute(
        f"COPY (SELECT *, concat_ws('; ', {reasons}) AS reasons FROM {rows} WHERE {bad}) TO '{out / 'dead.parquet'}'"
    )
    connection.execute(
        f"COPY (SELECT f.*, p.manufacturer, p.seats FROM {rows} f LEFT JOIN {made} p USING (tailnum) WHERE NOT ({bad})) TO {good}"
    )
    connection.execute(
        "COPY (SELECT carrier, month, manufacturer, count(*) AS flights, sum(dep_delay) AS delay_minutes, sum(seats) AS seats "
        f"FROM {good} GROUP BY ALL) TO '{out / 'groups.parquet'}'"
    )


if __name__ == "__main__":
    main()
