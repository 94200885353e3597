"""The easier half of the flights pipeline in dlt, CSV to Parquet as Arrow tables, without rules and join. Arguments: flights.csv folder reader.

`reader` is who parses: `arrow` gives dlt the tables of pyarrow's reader, `source` is dlt's own source of files, which has DuckDB make Arrow tables.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

CHUNK_ROWS = 100_000  # dlt's default of 5,000 is slower


def main() -> None:
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt  # it reads the environment when it is imported

    flights, folder, reader = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        pipeline = dlt.pipeline(
            "flights",
            pipelines_dir=work,
            destination=dlt.destinations.filesystem(bucket_url=str(Path(folder).absolute())),
        )
        rows = {"arrow": batches, "source": own_source}[reader](Path(flights).absolute())
        pipeline.run(rows, table_name="flights", loader_file_format="parquet")


def batches(path: Path) -> Iterator[pa.Table]:
    convert = pa_csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    with pa_csv.open_csv(path, convert_options=convert) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def own_source(path: Path) -> Any:
    from dlt.sources.filesystem import filesystem, read_csv_duckdb

    files = filesystem(bucket_url=str(path.parent), file_glob=path.name)
    return files | read_csv_duckdb(use_pyarrow=True, chunk_size=CHUNK_ROWS, na_values="NA")


if __name__ == "__main__":
    main()
