"""The easier half of the flights pipeline in dlt, CSV to Parquet by its Arrow path, without rules and join. Arguments: flights.csv folder."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv


def main() -> None:
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt  # it reads the environment when it is imported

    flights, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        pipeline = dlt.pipeline(
            "flights",
            pipelines_dir=work,
            destination=dlt.destinations.filesystem(bucket_url=str(Path(folder).absolute())),
        )
        pipeline.run(batches(flights), table_name="flights", loader_file_format="parquet")


def batches(path: str) -> Iterator[pa.Table]:
    convert = pa_csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    with pa_csv.open_csv(path, convert_options=convert) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


if __name__ == "__main__":
    main()
