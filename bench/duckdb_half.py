"""The easier half of the flights pipeline in DuckDB, CSV to Parquet: what the fastest engine here takes for it. Arguments: flights.csv target."""

from __future__ import annotations

import sys

import duckdb


def main() -> None:
    flights, target = sys.argv[1:]
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    connection.execute(
        f"COPY (FROM read_csv('{flights}', nullstr='NA', header=true)) TO '{target}' (FORMAT parquet)"
    )


if __name__ == "__main__":
    main()
